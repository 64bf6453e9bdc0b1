/// store/write.cpp - checks requests and turns them into frames.
#include "store/write.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "base/ids.hpp"
#include "codec/cbor.hpp"
#include "kernels/kernels.hpp"
#include "store/frame_maker.hpp"

namespace dvesp::store {
namespace {

Error refuse(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

Result<void> check_repeats(std::span<const std::string_view> ids) {
    std::vector<std::pair<std::string_view, std::size_t>> sorted;
    sorted.reserve(ids.size());
    for (std::size_t index = 0; index < ids.size(); ++index) sorted.emplace_back(ids[index], index);
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t index = 1; index < sorted.size(); ++index) {
        if (sorted[index].first != sorted[index - 1].first) continue;
        return refuse("ids: '" + std::string(sorted[index].first) + "' is repeated in rows " +
                      std::to_string(sorted[index - 1].second) + " and " + std::to_string(sorted[index].second) +
                      "; each id may appear once in a batch");
    }
    return {};
}

/// The parent of a replaced row: the first half of its leaf.
codec::Parent parent_of(const Hash& leaf) noexcept {
    codec::Parent parent;
    std::memcpy(parent.data(), leaf.data(), parent.size());
    return parent;
}

bool same_content(const RowView& row, const float* vector, std::uint32_t dimension, ByteView metadata) noexcept {
    return std::memcmp(row.vector, vector, std::size_t{dimension} * sizeof(float)) == 0 &&
           std::equal(row.metadata.begin(), row.metadata.end(), metadata.begin(), metadata.end());
}

/// The caller's key, or a fresh one.
void take_key(const BatchKey* key, ports::Random& random, codec::BatchId& batch_id, codec::Salt& salt) {
    if (key == nullptr) return draw_batch(random, batch_id, salt);
    batch_id = key->id;
    salt = key->salt;
}

/// insert and upsert.
class Put final : public WriteOperation {
  public:
    Put(const WriteRequest& request, std::shared_ptr<Collection> target, ports::Random& random, TaskRunner& runner,
        WriteReply& reply)
        : request_(request), runner_(runner), reply_(reply) {
        collection = std::move(target);
        take_key(request.key, random, batch_id_, salt_);
        if (request.ids.empty()) {
            draw_ids(random);
        } else {
            reply_.ids.assign(request.ids.begin(), request.ids.end());
            for (const std::string_view id : request.ids) keys_.push_back(id_key(id));
            if (request.fresh_ids) keys_.clear();
        }
    }

    Result<void> prepare(const Snapshot& snapshot) override {
        DVESP_ASSIGN(std::vector<Known> known, look_up(snapshot));
        if (prepared_ && known == known_) return {};
        known_ = std::move(known);
        build();
        prepared_ = true;
        return {};
    }
    [[nodiscard]] bool depends_on_state() const noexcept override { return !request_.ids.empty() && !request_.fresh_ids; }
    [[nodiscard]] const std::vector<std::uint64_t>& touched_keys() const noexcept override { return keys_; }
    [[nodiscard]] std::shared_ptr<Frame> frame() const noexcept override { return frame_; }

  private:
    /// What the store holds under a row's id.
    struct Known {
        bool present = false;
        bool identical = false;  ///< an insert that was done before
        std::uint64_t version = 0;
        Hash leaf{};
        bool operator==(const Known&) const = default;
    };

    void draw_ids(ports::Random& random) {
        std::vector<std::uint8_t> bytes(std::size_t{request_.count} * 16);
        random.fill(bytes);
        reply_.ids.resize(request_.count);
        for (std::uint32_t row = 0; row < request_.count; ++row) {
            std::array<std::uint8_t, 16> random_16;
            std::memcpy(random_16.data(), bytes.data() + std::size_t{row} * 16, 16);
            reply_.ids[row].resize(uuid_text_bytes);
            format_uuid4(random_16, reply_.ids[row].data());
        }
    }
    [[nodiscard]] const float* vector(std::uint32_t row) const noexcept {
        return request_.vectors + std::size_t{row} * request_.dimension;
    }
    [[nodiscard]] ByteView metadata(std::uint32_t row) const noexcept {
        return request_.metadata.empty() ? ByteView() : request_.metadata[row];
    }

    Result<std::vector<Known>> look_up(const Snapshot& snapshot) const {
        std::vector<Known> known(depends_on_state() ? request_.count : 0);
        if (known.empty()) return known;
        DVESP_ASSIGN(const auto locations, Collection::find_all(snapshot, request_.ids));
        for (std::uint32_t row = 0; row < known.size(); ++row) {
            const auto& found = locations[row];
            if (!found) continue;
            DVESP_ASSIGN(const RowView stored, found->source->row(found->row));
            DVESP_ASSIGN(known[row].leaf, found->source->row_leaf(found->row));
            known[row].present = true;
            known[row].version = stored.version;
            if (request_.mode == WriteMode::upsert) continue;
            if (!same_content(stored, vector(row), request_.dimension, metadata(row))) {
                return fail(ErrorCode::id_exists, "collection '" + request_.collection + "', row " + std::to_string(row) +
                                                      ": the id '" + std::string(request_.ids[row]) +
                                                      "' exists with other content; use upsert to replace it");
            }
            known[row].identical = true;
        }
        return known;
    }

    void build() {
        std::vector<FrameRow> rows;
        rows.reserve(request_.count);
        for (std::uint32_t row = 0; row < request_.count; ++row) {
            const bool is_known = !known_.empty() && known_[row].present;
            if (is_known && known_[row].identical) continue;
            FrameRow out{
                reply_.ids[row], request_.versions.empty() ? 1 : request_.versions[row], {}, vector(row), metadata(row)};
            if (is_known) {
                out.version = known_[row].version + 1;
                out.parent = parent_of(known_[row].leaf);
            }
            rows.push_back(out);
        }
        frame_.reset();
        if (!rows.empty()) {
            frame_ =
                make_frame({codec::FrameKind::put, collection->shard(), request_.dimension, batch_id_, salt_}, rows, runner_);
        }
        if (rows.size() == request_.count) {
            reply_.root = frame_->view.head.merkle_root;
            return;
        }
        std::vector<Hash> leaves;
        std::size_t next = 0;
        for (std::uint32_t row = 0; row < request_.count; ++row) {
            const bool stored = !known_.empty() && known_[row].identical;
            leaves.push_back(stored ? known_[row].leaf : frame_->leaves()[next++]);
        }
        reply_.root = codec::merkle_root(leaves);
    }

    const WriteRequest& request_;
    TaskRunner& runner_;
    WriteReply& reply_;
    codec::BatchId batch_id_{};
    codec::Salt salt_{};
    std::vector<std::uint64_t> keys_;
    std::vector<Known> known_;
    std::shared_ptr<Frame> frame_;
    bool prepared_ = false;
};

class Update final : public WriteOperation {
  public:
    Update(const UpdateRequest& request, std::shared_ptr<Collection> target, ports::Random& random, UpdateReply& reply)
        : request_(request), reply_(reply), keys_{id_key(request.id)} {
        collection = std::move(target);
        take_key(request.key, random, batch_id_, salt_);
    }
    Result<void> prepare(const Snapshot& snapshot) override {
        const std::string where = "collection '" + request_.collection + "', id '" + std::string(request_.id) + "': ";
        DVESP_ASSIGN(const auto found, Collection::find(snapshot, request_.id));
        if (!found) return fail(ErrorCode::id_not_found, where + "there is no such record; insert it first");
        DVESP_ASSIGN(const RowView stored, found->source->row(found->row));
        if (request_.if_version && *request_.if_version != stored.version) {
            return fail(ErrorCode::version_conflict, where + "if_version is " + std::to_string(*request_.if_version) +
                                                         " but the record has version " + std::to_string(stored.version) +
                                                         "; read it again and decide");
        }
        DVESP_ASSIGN(const Hash leaf, found->source->row_leaf(found->row));
        const FrameRow row{request_.id, stored.version + 1, parent_of(leaf),
                           request_.vector != nullptr ? request_.vector : stored.vector,
                           request_.metadata ? *request_.metadata : stored.metadata};
        const FrameSpec spec{codec::FrameKind::put, collection->shard(), collection->config().dimension, batch_id_, salt_};
        SerialRunner alone;
        frame_ = make_frame(spec, {row}, alone);
        reply_.version = row.version;
        return {};
    }
    [[nodiscard]] bool depends_on_state() const noexcept override { return true; }
    [[nodiscard]] const std::vector<std::uint64_t>& touched_keys() const noexcept override { return keys_; }
    [[nodiscard]] std::shared_ptr<Frame> frame() const noexcept override { return frame_; }

  private:
    const UpdateRequest& request_;
    UpdateReply& reply_;
    std::vector<std::uint64_t> keys_;
    codec::BatchId batch_id_{};
    codec::Salt salt_{};
    std::shared_ptr<Frame> frame_;
};

class Delete final : public WriteOperation {
  public:
    Delete(const DeleteRequest& request, std::shared_ptr<Collection> target, ports::Random& random, DeleteReply& reply)
        : request_(request), reply_(reply) {
        collection = std::move(target);
        take_key(request.key, random, batch_id_, salt_);
        if (request.filter == nullptr) {
            for (const std::string_view id : request.ids) keys_.push_back(id_key(id));
        }
    }
    Result<void> prepare(const Snapshot& snapshot) override {
        std::vector<std::string> matched;
        std::vector<std::string_view> ids(request_.ids.begin(), request_.ids.end());
        if (request_.filter != nullptr) {
            DVESP_ASSIGN(matched, matching_ids(snapshot, *request_.filter));
            std::sort(matched.begin(), matched.end());
            if (request_.has_ids) {
                std::erase_if(ids,
                              [&](std::string_view id) { return !std::binary_search(matched.begin(), matched.end(), id); });
            } else {
                ids.assign(matched.begin(), matched.end());
            }
        }
        if (ids.size() > codec::batch_count_max) {
            return refuse("filter: it matches " + std::to_string(ids.size()) +
                          " records, more than the 100,000 of one batch; narrow the filter");
        }
        std::sort(ids.begin(), ids.end());
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
        std::vector<FrameRow> rows;
        for (const std::string_view id : ids) {
            DVESP_ASSIGN(const auto found, Collection::find(snapshot, id));
            if (!found) continue;
            DVESP_ASSIGN(const RowView stored, found->source->row(found->row));
            DVESP_ASSIGN(const Hash leaf, found->source->row_leaf(found->row));
            rows.push_back({id, stored.version + 1, parent_of(leaf), nullptr, {}});
        }
        reply_.deleted = rows.size();
        frame_.reset();
        if (rows.empty()) return {};
        SerialRunner alone;
        frame_ = make_frame({codec::FrameKind::remove, collection->shard(), 0, batch_id_, salt_}, rows, alone);
        return {};
    }
    [[nodiscard]] bool depends_on_state() const noexcept override { return true; }
    [[nodiscard]] const std::vector<std::uint64_t>& touched_keys() const noexcept override { return keys_; }
    [[nodiscard]] std::shared_ptr<Frame> frame() const noexcept override { return frame_; }

  private:
    const DeleteRequest& request_;
    DeleteReply& reply_;
    std::vector<std::uint64_t> keys_;  ///< empty with a filter: it may touch anything
    codec::BatchId batch_id_{};
    codec::Salt salt_{};
    std::shared_ptr<Frame> frame_;
};

class Catalog final : public WriteOperation {
  public:
    Catalog(codec::FrameKind kind, const std::string& name, std::uint32_t shard, ByteView config, ports::Random& random) {
        FrameSpec spec;
        spec.kind = kind;
        spec.shard = shard;
        draw_batch(random, spec.batch_id, spec.salt);
        SerialRunner alone;
        frame_ = make_frame(spec, {{name, 1, {}, nullptr, config}}, alone);
    }
    Result<void> prepare(const Snapshot&) override { return {}; }
    [[nodiscard]] bool depends_on_state() const noexcept override { return false; }
    [[nodiscard]] const std::vector<std::uint64_t>& touched_keys() const noexcept override { return keys_; }
    [[nodiscard]] std::shared_ptr<Frame> frame() const noexcept override { return frame_; }

  private:
    std::vector<std::uint64_t> keys_;
    std::shared_ptr<Frame> frame_;
};

}  // namespace

void complete_body(Frame& frame, std::uint64_t shard_seq, std::uint64_t hlc) {
    frame.view.head.seq = shard_seq;
    frame.view.head.hlc = hlc;
    codec::store_body_head(frame.buffer.bytes(), frame.view.head);
}

std::unique_ptr<WriteOperation> make_put(const WriteRequest& request, std::shared_ptr<Collection> collection,
                                         ports::Random& random, TaskRunner& runner, WriteReply& reply) {
    return std::make_unique<Put>(request, std::move(collection), random, runner, reply);
}
std::unique_ptr<WriteOperation> make_update(const UpdateRequest& request, std::shared_ptr<Collection> collection,
                                            ports::Random& random, UpdateReply& reply) {
    return std::make_unique<Update>(request, std::move(collection), random, reply);
}
std::unique_ptr<WriteOperation> make_delete(const DeleteRequest& request, std::shared_ptr<Collection> collection,
                                            ports::Random& random, DeleteReply& reply) {
    return std::make_unique<Delete>(request, std::move(collection), random, reply);
}
std::unique_ptr<WriteOperation> make_catalog(codec::FrameKind kind, const std::string& name, std::uint32_t shard,
                                             ByteView config, ports::Random& random) {
    return std::make_unique<Catalog>(kind, name, shard, config, random);
}

Result<void> check_id(std::string_view id, const std::string& where) {
    if (id.empty()) return refuse(where + " is empty; an id has 1..512 bytes");
    if (id.size() > id_bytes_max) return refuse(where + " has " + std::to_string(id.size()) + " bytes; an id has 1..512 bytes");
    if (!is_utf8(id)) return refuse(where + " is not valid UTF-8");
    return {};
}

Result<void> check_vector(const float* vector, std::uint32_t dimension, Metric metric, const std::string& what) {
    const float square = kernels::best().dot(vector, vector, dimension);
    for (std::uint32_t index = 0; !std::isfinite(square) && index < dimension; ++index) {
        if (std::isfinite(vector[index])) continue;
        return refuse(what + ", coordinate " + std::to_string(index) + " is NaN or infinite; every coordinate must be finite");
    }
    if (metric != Metric::cosine || square > 0) return {};
    const bool zero = std::all_of(vector, vector + dimension, [](float value) { return value == 0; });
    if (zero) return refuse(what + " is a zero vector, which has no direction; a cosine collection cannot hold it");
    return {};
}

Result<void> check_vectors(const WriteRequest& request, Metric metric, TaskRunner& runner) {
    constexpr std::size_t grain = 1024;
    const auto check = [&](std::size_t row, const std::string& what) {
        return check_vector(request.vectors + row * request.dimension, request.dimension, metric, what);
    };
    std::atomic<std::size_t> first_wrong{request.count};
    run_in_ranges(runner, request.count, grain, [&](std::size_t first, std::size_t last) {
        std::size_t row = first;
        while (row < last && check(row, "vectors").ok()) ++row;
        std::size_t known = first_wrong.load();
        while (row < last && row < known && !first_wrong.compare_exchange_weak(known, row)) continue;
    });
    const std::size_t row = first_wrong.load();
    return row == request.count ? Result<void>() : check(row, "vectors: row " + std::to_string(row));
}

Result<void> check_write(const WriteRequest& request) {
    if (request.count == 0) return refuse("vectors: there are no rows; give at least one");
    if (request.count > codec::batch_count_max) {
        return refuse("vectors: " + std::to_string(request.count) +
                      " rows in one batch; at most 100,000 are allowed, split it");
    }
    if (request.dimension == 0 || request.dimension > codec::dimension_max) {
        return refuse("vectors: dimension " + std::to_string(request.dimension) + "; it must be 1..4096");
    }
    if (!request.ids.empty() && request.ids.size() != request.count) {
        return refuse("ids: " + std::to_string(request.ids.size()) + " ids for " + std::to_string(request.count) + " vectors");
    }
    if (!request.metadata.empty() && request.metadata.size() != request.count) {
        return refuse("metadata: " + std::to_string(request.metadata.size()) + " entries for " + std::to_string(request.count) +
                      " vectors");
    }
    const bool is_copy = !request.versions.empty();
    if (is_copy && (request.versions.size() != request.count || request.ids.empty() || !request.fresh_ids)) {
        return refuse("versions: one for each row, and of ids that are not there");
    }
    for (std::size_t row = 0; row < request.ids.size(); ++row) {
        DVESP_TRY(check_id(request.ids[row], "ids: row " + std::to_string(row)));
        if (is_copy && request.versions[row] == 0)
            return refuse("versions: row " + std::to_string(row) + " has 0; they start at 1");
    }
    for (std::size_t row = 0; row < request.metadata.size(); ++row) {
        if (request.metadata[row].size() <= codec::metadata_bytes_max) continue;
        return refuse("metadata: row " + std::to_string(row) + " has more than 16 MiB");
    }
    return check_repeats(request.ids);
}

}  // namespace dvesp::store
