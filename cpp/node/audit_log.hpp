/// node/audit_log.hpp - a store's audit log: what was done, in an append-only Merkle tree whose checkpoints devices cosign.
/// Bytes: docs/formats/audit.md. Sources: RFC 6962; C2SP tlog-checkpoint and tlog-cosignature. Design: docs/decisions/018.
///
/// Recording only buffers. A timer, 1,000 entries, flush and close make entries durable under a signed checkpoint; then the
/// devices that are here see it. A crash loses what was recorded in the last second, never what a checkpoint covers.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "node/audit_scan.hpp"
#include "ports/clock.hpp"
#include "ports/executor.hpp"
#include "ports/files.hpp"
#include "ports/random.hpp"
#include "sealed/audit_note.hpp"

namespace dvesp::node {

/// Where devices keep what they remember of the log. @threads the log calls one at a time
class AuditWitnesses {
  public:
    virtual ~AuditWitnesses() = default;
    /// Which devices are here; as many as there are.
    virtual std::vector<bool> present() = 0;
    [[nodiscard]] virtual std::string name(std::size_t device) const = 0;
    /// Under which entries name it, from 1.
    [[nodiscard]] virtual std::uint32_t number(std::size_t device) const { return static_cast<std::uint32_t>(device + 1); }
    /// Nothing: it remembers nothing, or is not here.
    virtual std::optional<std::vector<std::uint8_t>> memory(std::size_t device) = 0;
    /// Durable when it returns.
    virtual Result<void> remember(std::size_t device, ByteView memory) = 0;
};

struct AuditPorts {
    std::unique_ptr<ports::Files> files;  ///< the log's own directory
    ports::Clock* clock = nullptr;
    ports::Random* random = nullptr;
    ports::Executor* executor = nullptr;
};

struct AuditLimits {
    std::uint64_t interval_ms = 1000;      ///< between recording and a durable checkpoint
    std::size_t batch_entries = 1000;      ///< that many are made durable at once
    std::size_t buffer_entries = 65'536;   ///< more are refused while nothing can be written
    std::size_t retained_leaves = 65'536;  ///< in memory for proofs; a device that knows less makes the log be read again
};

/// @threads every method from any thread
class AuditLog : public std::enable_shared_from_this<AuditLog> {
  public:
    /// Opens the log, or begins one. A tail that a crash tore is cut.
    /// @param key    signs the checkpoints; its public half is in the header
    /// @errors corruption: less is there than was durable, or it is damaged; integrity: the log has another key
    /// @cost   reads all of it: 1 s for about 2 million entries
    static Result<std::shared_ptr<AuditLog>> open(AuditPorts ports, const crypto::Key32& key, const codec::AuditActor& actor,
                                                  std::unique_ptr<AuditWitnesses> witnesses, const AuditLimits& limits = {});

    /// Buffers an entry. @errors closed; the disk's, when 65,536 wait for it    @cost about 0.1 us
    Result<void> record(codec::AuditKind kind, std::uint32_t subject, std::uint64_t count, const Hash& touched);
    /// Whether `record` would take an entry now. @errors as record
    Result<void> check_room();
    /// Everything recorded is durable, signed, and cosigned by the devices that are here.
    /// @errors integrity: a device remembers another history (named, with sizes); those of the disk
    Result<void> flush();
    /// As flush, but for conflicts: those stay for `flush` and `conflicts`. Idempotent.
    Result<void> close();
    /// Devices came back: the next visit, at the latest that of `close`, shows them what the others have seen.
    void take_returned();
    /// A device is none of the store's any more.
    void leave(std::uint32_t number);
    /// Other devices from now on; the old ones are not asked any more when it returns.
    void change_witnesses(std::unique_ptr<AuditWitnesses> witnesses);
    /// A sentence for each device that remembers another history.
    [[nodiscard]] std::vector<std::string> conflicts();

  private:
    AuditLog(AuditPorts ports, const crypto::Key32& key, const codec::AuditActor& actor,
             std::unique_ptr<AuditWitnesses> witnesses, const AuditLimits& limits);

    Result<void> create();
    Result<void> recover();
    Result<void> cut_tail(std::uint64_t from, std::uint64_t to);
    [[nodiscard]] std::uint64_t least_known();

    void push(codec::AuditKind kind, std::uint32_t subject, std::uint64_t count, const Hash& touched);
    [[nodiscard]] Result<void> check_open();
    void schedule();
    void work();
    Result<bool> write_out();
    Result<void> append(std::vector<std::uint8_t> bytes);
    Result<void> sync();
    Result<void> write_mark();
    Result<void> settle();
    Result<void> finish();

    void visit_witnesses(bool is_cosigning);
    std::optional<sealed::WitnessMemory> recall(std::size_t device);
    bool meet(std::size_t device, sealed::WitnessMemory& memory);
    Result<std::optional<codec::NoteSignature>> show(std::size_t device, sealed::WitnessMemory& memory);
    Result<codec::Proof> proof_from(std::uint64_t size);
    void note_conflict(std::size_t device, const codec::Checkpoint& known, const std::string& message);

    AuditPorts ports_;
    crypto::Ed25519Key key_;
    codec::AuditActor actor_;
    std::unique_ptr<AuditWitnesses> witnesses_;
    AuditLimits limits_;

    std::mutex mutex_;  ///< guards what follows; taken after io_mutex_
    std::vector<codec::AuditEntryBytes> buffer_;
    bool is_closed_ = false;
    bool is_scheduled_ = false;
    std::optional<Error> failure_;  ///< of the last attempt to write
    std::vector<std::string> conflicts_;

    std::mutex io_mutex_;  ///< guards what follows
    std::unique_ptr<ports::File> file_;
    AuditState state_;
    std::set<std::size_t> missed_;   ///< devices that joined and remembered nothing at the last visit
    std::uint64_t durable_end_ = 0;  ///< where the file ended at the last sync: never written over
    std::uint64_t written_end_ = 0;  ///< no attempt wrote behind it
    std::uint64_t shown_size_ = 0;   ///< of the last checkpoint that the devices saw
    std::uint64_t shown_ns_ = 0;
    bool is_put_off_ = false;  ///< a device was not shown the last checkpoint, for it does not cover what it shall forget
    bool is_settled_ = true;   ///< the newest mark covers the whole file, durably
};

}  // namespace dvesp::node
