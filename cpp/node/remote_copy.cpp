/// node/remote_copy.cpp - scrolls through every collection and writes the pages under the versions that they came with.
#include "node/remote_copy.hpp"

#include <algorithm>

namespace dvesp::node {
namespace {

constexpr std::uint32_t step_timeout_ms = 30'000;
constexpr std::uint64_t room_timeout_ms = 600'000;
constexpr std::uint64_t unsealed_bytes_max = std::uint64_t{128} << 20;
constexpr std::uint64_t page_bytes_wanted = std::uint64_t{8} << 20;
constexpr std::uint32_t page_rows_first = 64, page_rows_max = 16'384, page_growth_max = 8;
constexpr int attempts_max = 5;

/// So many rows that a page is about as large as wanted, going by the last one; their metadata may be anything.
std::uint32_t next_page_rows(std::uint32_t rows, std::size_t page_bytes) {
    const std::uint64_t fitting = std::uint64_t{rows} * page_bytes_wanted / std::max<std::size_t>(page_bytes, 1);
    const std::uint64_t most = std::min<std::uint64_t>(std::uint64_t{rows} * page_growth_max, page_rows_max);
    return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(fitting, 1, most));
}

codec::Request question_of(codec::Op op, const std::string& collection) {
    codec::Request request;
    request.op = op;
    request.collection = collection;
    request.timeout_ms = step_timeout_ms;
    request.level = codec::Level::quorum;
    return request;
}

/// Whether a copy of one collection may do better when it begins again, perhaps at another node.
bool may_recover(ErrorCode code) {
    return code == ErrorCode::unavailable || code == ErrorCode::timeout || code == ErrorCode::corruption ||
           code == ErrorCode::dimension_mismatch;  // dropped and made anew with another one
}

/// One collection from one scroll, which stands still.
class CollectionCopy {
  public:
    CollectionCopy(RemoteStore& source, store::Database& target, CopyProgress& progress, const std::string& name)
        : source_(source), target_(target), progress_(progress), name_(name) {}

    /// @errors collection_not_found: it was dropped
    Result<void> run() {
        DVESP_ASSIGN(const codec::Topology topology, source_.topology(step_timeout_ms));
        const codec::ShardInfo* shard = topology.shard_of(name_);
        if (shard == nullptr) return fail(ErrorCode::collection_not_found, "collection '" + name_ + "' was dropped");
        DVESP_ASSIGN(const store::CollectionConfig config, store::parse_config(shard->config));
        DVESP_TRY(target_.create_collection(name_, config, false));
        DVESP_ASSIGN(const RemoteAnswer counted, source_.read(question_of(codec::Op::count, name_)));
        total_ = counted.reply.count;
        progress_.rows_total += total_;
        codec::Request request = question_of(codec::Op::scroll, name_);
        request.top_k = page_rows_first;
        DVESP_ASSIGN(RemoteAnswer page, source_.read(request));
        request.level = codec::Level::one;  // the node that has the scroll open answers from it
        while (true) {
            if (progress_.is_cancelled) return fail(ErrorCode::closed, "the store was closed while its snapshot was written");
            DVESP_TRY(write(page.reply));
            if (page.reply.version == 0) return {};
            request.version = page.reply.version;
            request.top_k = next_page_rows(request.top_k, page.bytes.bytes().size());
            DVESP_ASSIGN(page, source_.read_at(page.address, request));
        }
    }

    /// Leaves nothing of it behind.
    Result<void> undo() {
        progress_.rows -= rows_;
        progress_.rows_total -= total_;
        const auto dropped = target_.drop_collection(name_);
        return dropped.ok() || dropped.error().code != ErrorCode::collection_not_found ? dropped : Result<void>();
    }

  private:
    Result<void> write(const codec::Reply& page) {
        if (page.ids.empty()) return {};
        store::WriteRequest request;
        request.collection = name_;
        request.vectors = page.vectors.data();
        request.count = static_cast<std::uint32_t>(page.ids.size());
        request.dimension = page.dimension;
        request.ids = page.ids;
        request.metadata = page.metadata;
        request.versions = page.versions;
        request.fresh_ids = true;
        request.timeout_ms = room_timeout_ms;
        if (page.versions.size() != page.ids.size() || !page.has_vectors) {
            return fail(ErrorCode::unavailable, "the node's answer is malformed");
        }
        DVESP_TRY(target_.write(request));
        rows_ += page.ids.size();
        progress_.rows += page.ids.size();
        return {};
    }

    RemoteStore& source_;
    store::Database& target_;
    CopyProgress& progress_;
    const std::string& name_;
    std::uint64_t rows_ = 0, total_ = 0;
};

Result<void> copy_collection(RemoteStore& source, store::Database& target, CopyProgress& progress, const std::string& name) {
    for (int attempt = 1;; ++attempt) {
        CollectionCopy copy(source, target, progress, name);
        const auto done = copy.run();
        if (done.ok()) return done;
        DVESP_TRY(copy.undo());
        if (done.error().code == ErrorCode::collection_not_found) return {};
        if (!may_recover(done.error().code) || attempt == attempts_max) {
            return fail(done.error().code, "collection '" + name + "': " + done.error().message);
        }
    }
}

}  // namespace

store::DatabaseOptions copy_options() {
    store::DatabaseOptions options;
    options.log.is_kept = false;
    options.unsealed_bytes_max = unsealed_bytes_max;
    options.index_rows_min = ~std::uint32_t{0};  // who opens the copy builds them; until then it is scanned
    return options;
}

Result<void> copy_cluster(RemoteStore& source, store::Database& target, CopyProgress& progress) {
    DVESP_ASSIGN(const codec::Topology topology, source.topology(step_timeout_ms));
    for (const auto& [name, group] : topology.by_name) DVESP_TRY(copy_collection(source, target, progress, name));
    return target.harden();
}

}  // namespace dvesp::node
