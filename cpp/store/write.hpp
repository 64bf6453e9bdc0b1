/// store/write.hpp - what writers ask for, and how a request becomes a frame.
/// A request is prepared against a snapshot without any lock, then confirmed by the committing thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/task.hpp"
#include "ports/random.hpp"
#include "store/collection.hpp"
#include "store/query.hpp"

namespace dvesp::store {

/// What a batch keeps over its retries; drawn where the caller of the store is (a client of a cluster draws it itself).
struct BatchKey {
    codec::BatchId id{};
    codec::Salt salt{};
};

enum class WriteMode : std::uint8_t { insert, upsert };

struct WriteRequest {
    std::string collection;
    WriteMode mode = WriteMode::insert;
    const float* vectors = nullptr;  ///< float32 [count, dimension], C order
    std::uint32_t count = 0;         ///< 1..100,000
    std::uint32_t dimension = 0;
    std::span<const std::string_view> ids;  ///< empty = fresh UUIDv4, else count
    std::span<const ByteView> metadata;     ///< empty = none, else count; each a CBOR map or empty
    std::uint64_t timeout_ms = 5000;        ///< how long to wait for back-pressure
    const BatchKey* key = nullptr;          ///< nullptr = drawn here
    bool fresh_ids = false;                 ///< `ids` were drawn for this batch: nobody else can have written them
    /// Versions that the rows have elsewhere, from 1: empty = the store counts them, else count, and no id may be there (with
    /// fresh_ids), for a copy replaces nothing.
    std::span<const std::uint64_t> versions;
};
struct WriteReply {
    std::vector<std::string> ids;
    Hash root{};  ///< over the batch's stored leaves in request order
    std::uint64_t timestamp_ms = 0;
    std::uint32_t copies = 0;  ///< WriteOperation::copies, here and below
};

struct UpdateRequest {
    std::string collection;
    std::string_view id;
    const float* vector = nullptr;  ///< float32 [dimension] or nullptr = keep
    std::uint32_t dimension = 0;
    std::optional<ByteView> metadata;  ///< nullopt = keep
    std::optional<std::uint64_t> if_version;
    std::uint64_t timeout_ms = 5000;
    const BatchKey* key = nullptr;
};
struct UpdateReply {
    std::uint64_t version = 0;
    std::uint64_t timestamp_ms = 0;
    std::uint32_t copies = 0;
};

struct DeleteRequest {
    std::string collection;
    std::span<const std::string_view> ids;
    bool has_ids = false;
    const ParsedFilter* filter = nullptr;  ///< nullptr = none; with ids: those of them that pass
    std::uint64_t timeout_ms = 5000;
    const BatchKey* key = nullptr;
};
struct DeleteReply {
    std::uint64_t deleted = 0;
    std::uint64_t timestamp_ms = 0;
    std::uint32_t copies = 0;
};

/// One write on its way to the log. @threads one at a time
class WriteOperation {
  public:
    virtual ~WriteOperation() = default;
    /// Checks the request against `snapshot` and builds the frame, or finds that nothing is to be written.
    /// Called first without locks, and again by the committing thread when the collection changed in between.
    virtual Result<void> prepare(const Snapshot& snapshot) = 0;
    /// Whether `prepare` depends on what the collection holds (fresh ids do not).
    [[nodiscard]] virtual bool depends_on_state() const noexcept = 0;
    /// Keys of ids that the operation touches, so that no two in a group touch the same; empty with
    /// `depends_on_state` means: anything.
    [[nodiscard]] virtual const std::vector<std::uint64_t>& touched_keys() const noexcept = 0;
    /// The frame to write; nullptr = nothing to write.
    [[nodiscard]] virtual std::shared_ptr<Frame> frame() const noexcept = 0;

    std::shared_ptr<Collection> collection;  ///< nullptr for catalog changes
    std::uint64_t hlc = 0;                   ///< of the commit, set by the committing thread
    std::uint32_t copies = 0;                ///< that a CommitGuard made; 0 = nothing was written
};

/// Fills in what only the commit knows (hlc, sequence) and the checksum that depends on it not at all.
void complete_body(Frame& frame, std::uint64_t shard_seq, std::uint64_t hlc);

std::unique_ptr<WriteOperation> make_put(const WriteRequest& request, std::shared_ptr<Collection> collection,
                                         ports::Random& random, TaskRunner& runner, WriteReply& reply);
std::unique_ptr<WriteOperation> make_update(const UpdateRequest& request, std::shared_ptr<Collection> collection,
                                            ports::Random& random, UpdateReply& reply);
std::unique_ptr<WriteOperation> make_delete(const DeleteRequest& request, std::shared_ptr<Collection> collection,
                                            ports::Random& random, DeleteReply& reply);
/// A catalog frame: `kind` is create_collection (with its configuration) or drop_collection.
std::unique_ptr<WriteOperation> make_catalog(codec::FrameKind kind, const std::string& name, std::uint32_t shard,
                                             ByteView config, ports::Random& random);

/// Refuses wrong requests before anything else happens. @errors invalid_argument, dimension_mismatch, naming row and field
[[nodiscard]] Result<void> check_write(const WriteRequest& request);
[[nodiscard]] Result<void> check_id(std::string_view id, const std::string& where);
/// Every vector of the batch; the first wrong row is the one named. @param runner takes parts of a large batch
[[nodiscard]] Result<void> check_vectors(const WriteRequest& request, Metric metric, TaskRunner& runner);
/// Finite, and not zero for cosine. `what` names the field, e.g. "vectors: row 3".
[[nodiscard]] Result<void> check_vector(const float* vector, std::uint32_t dimension, Metric metric, const std::string& what);

}  // namespace dvesp::store
