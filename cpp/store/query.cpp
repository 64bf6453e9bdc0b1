/// store/query.cpp - one search per part of a snapshot, merged by distance and id.
#include "store/query.hpp"

#include <algorithm>
#include <atomic>

namespace dvesp::store {
namespace {

/// Scanning the survivors of a filter beats any index below these (docs/decisions/004).
constexpr std::uint64_t scan_rows_max = 20'000;
constexpr double scan_share_max = 0.02;
/// A scattered code costs about as much as this many codes in a row.
constexpr double scattered_cost = 4;
constexpr std::uint32_t calibrated_top_k = 10;

class LiveRows final : public index::RowPredicate {
  public:
    LiveRows(const DeathTable& deaths, std::uint64_t seq) : deaths_(deaths), seq_(seq) {}
    [[nodiscard]] bool accepts(std::uint32_t row) const noexcept override { return deaths_.alive_at(row, seq_); }

  private:
    const DeathTable& deaths_;
    std::uint64_t seq_;
};

class LivePassingRows final : public index::RowPredicate {
  public:
    LivePassingRows(const DeathTable& deaths, std::uint64_t seq, const RowSet& passing)
        : live_(deaths, seq), passing_(passing) {}
    [[nodiscard]] bool accepts(std::uint32_t row) const noexcept override {
        return passing_.contains(row) && live_.accepts(row);
    }

  private:
    LiveRows live_;
    const RowSet& passing_;
};

/// The first calibrated effort that reached `recall`, scaled to `top_k`; nullptr when none did.
const index::CalibrationPoint* choose_effort(const std::vector<index::CalibrationPoint>& calibration, float recall) noexcept {
    const auto found = std::find_if(calibration.begin(), calibration.end(),
                                    [&](const index::CalibrationPoint& point) { return point.recall >= recall; });
    return found == calibration.end() ? nullptr : &*found;
}

}  // namespace

/// Evaluates the filter on head rows as they are asked for, once each.
struct SnapshotSearch::HeadFilter final : index::RowPredicate {
    HeadFilter(const Source& head, std::uint32_t rows, std::uint64_t seq, const Filter& wanted)
        : source(head), live(head.deaths, seq), filter(wanted), answers(rows) {}
    [[nodiscard]] bool accepts(std::uint32_t row) const noexcept override {
        if (!live.accepts(row)) return false;
        std::uint8_t answer = answers[row].load(std::memory_order_relaxed);
        if (answer == 0) {
            const auto metadata = source.metadata(row);
            answer = metadata && matches(filter, *metadata) ? 2 : 1;
            answers[row].store(answer, std::memory_order_relaxed);
        }
        return answer == 2;
    }
    const Source& source;
    LiveRows live;
    const Filter& filter;
    mutable std::vector<std::atomic<std::uint8_t>> answers;  ///< 0 unknown, 1 no, 2 yes
};

SnapshotSearch::SnapshotSearch(Collection& collection, std::shared_ptr<const Snapshot> snapshot, const SearchOptions& options)
    : collection_(collection), snapshot_(std::move(snapshot)), options_(options) {}
SnapshotSearch::~SnapshotSearch() = default;

Result<std::unique_ptr<SnapshotSearch>> SnapshotSearch::prepare(Collection& collection,
                                                                std::shared_ptr<const Snapshot> snapshot,
                                                                const SearchOptions& options, const ParsedFilter* filter) {
    std::unique_ptr<SnapshotSearch> search(new SnapshotSearch(collection, std::move(snapshot), options));
    const Snapshot& now = *search->snapshot_;
    const auto add_head = [&](const Head& head, std::uint32_t rows) {
        if (rows == 0) return;
        Part part;
        part.source = &head;
        part.rows = rows;
        if (filter != nullptr) part.head_filter = std::make_unique<HeadFilter>(head, rows, now.seq, filter->filter);
        search->parts_.push_back(std::move(part));
    };
    if (now.head) add_head(*now.head, now.head_rows);
    for (const FrozenHead& frozen : now.frozen) add_head(*frozen.head, frozen.rows);
    for (const IndexedSegment& segment : now.segments) {
        if (segment.live_rows() == 0 && segment.segment->rows() == 0) continue;
        Part part;
        part.source = segment.segment.get();
        part.rows = segment.segment->rows();
        part.indexed = &segment;
        if (filter != nullptr) {
            DVESP_ASSIGN(part.passing, segment.segment->passing(filter->filter, filter->bytes));
            part.passing_count = part.passing->count();
            if (part.passing_count == 0) continue;
        }
        search->parts_.push_back(std::move(part));
    }
    return search;
}

Result<std::vector<Hit>> SnapshotSearch::search(const float* query) const {
    std::vector<Hit> hits;
    for (const Part& part : parts_) {
        DVESP_ASSIGN(const index::Reranked found, search_part(part, query));
        if (found.damaged) return fail(ErrorCode::corruption, part.source->name() + ": damaged (vectors)");
        for (const index::Neighbor& neighbor : found.nearest) {
            hits.push_back({neighbor.distance, {const_cast<Source*>(part.source), neighbor.row}, {}});
        }
    }
    for (Hit& hit : hits) {
        const auto id = hit.location.source->id(hit.location.row);
        if (!id) return fail(ErrorCode::corruption, hit.location.source->name() + ": damaged (ids)");
        hit.id = *id;
    }
    std::sort(hits.begin(), hits.end(),
              [](const Hit& a, const Hit& b) { return a.distance < b.distance || (a.distance == b.distance && a.id < b.id); });
    if (hits.size() > options_.top_k) hits.resize(options_.top_k);
    return hits;
}

Result<index::Reranked> SnapshotSearch::search_part(const Part& part, const float* query) const {
    return part.indexed == nullptr ? search_head(part, query) : search_segment(part, query);
}

Result<index::Reranked> SnapshotSearch::search_head(const Part& part, const float* query) const {
    const bool rigorous = options_.exact || collection_.config().index == IndexKind::flat;
    const index::CodedQuery coded(part.source->coding(), options_.metric, query,
                                  rigorous ? index::Margin::rigorous : index::Margin::likely);
    const LiveRows live(part.source->deaths, snapshot_->seq);
    const index::RowPredicate& predicate = part.head_filter ? static_cast<const index::RowPredicate&>(*part.head_filter) : live;
    index::FlatScan scan(coded, options_.top_k, predicate);
    DVESP_TRY(part.source->scan(scan, part.rows));
    return scan.finish(*part.source);
}

const IndexFile* SnapshotSearch::usable_index(const IndexedSegment& segment) const noexcept {
    for (const auto& file : segment.indexes) {
        if (file->metric() == options_.metric || segment.segment->unit_norms()) return file.get();
    }
    return nullptr;
}

Result<index::Reranked> SnapshotSearch::search_segment(const Part& part, const float* query) const {
    const bool rigorous = options_.exact || collection_.config().index == IndexKind::flat;
    const index::CodedQuery coded(part.source->coding(), options_.metric, query,
                                  rigorous ? index::Margin::rigorous : index::Margin::likely);
    if (!rigorous) {
        DVESP_ASSIGN(auto found, search_index(part, coded));
        if (found) return std::move(*found);
    }
    DVESP_ASSIGN(const index::CodeView codes, part.indexed->segment->codes());
    const LiveRows live(part.source->deaths, snapshot_->seq);
    index::FlatScan scan(coded, options_.top_k, live);
    if (part.passing) {
        scan.scan_rows(codes.codes, part.passing->rows());
    } else {
        scan.scan(codes.codes, 0, codes.rows);
    }
    return scan.finish(*part.source);
}

Result<std::optional<index::Reranked>> SnapshotSearch::search_index(const Part& part, const index::CodedQuery& query) const {
    const std::optional<index::Reranked> scan_instead;
    const IndexFile* file = usable_index(*part.indexed);
    if (file == nullptr) return scan_instead;
    double share = 1;
    if (part.passing) {
        share = static_cast<double>(part.passing_count) / part.rows;
        if (part.passing_count < scan_rows_max || share < scan_share_max) return scan_instead;
    }
    const double survivors = share * part.rows;
    share *= static_cast<double>(part.indexed->live_rows()) / part.rows;
    const std::optional<std::uint32_t> asked = file->is_graph() ? options_.ef : options_.nprobe;
    const index::CalibrationPoint* point = choose_effort(file->calibration(), options_.recall);
    if (!asked && point == nullptr) return scan_instead;
    double effort = asked ? *asked : point->effort;
    if (!asked) {
        if (options_.top_k > calibrated_top_k && file->is_graph()) {
            effort = std::max(effort, 1.5 * options_.top_k) + effort * 0.5;
        }
        const double cost = effort / point->effort * point->distance_count / std::max(share, 1e-6);
        if (cost * scattered_cost > survivors) return scan_instead;
    }
    effort = std::max(1.0, effort / std::max(share, 1e-6));
    if (file->is_graph()) effort = std::max<double>(effort, options_.top_k);
    const auto whole = static_cast<std::uint32_t>(std::min<double>(effort, index::pool_size_max));
    auto found = file->is_graph() ? search_graph(part, *file, query, whole) : search_ivf(part, *file, query, whole);
    if (!found.ok()) return found.error();
    // A pool of scattered survivors may come out short: then only a scan can fill the answer.
    const double enough = std::min<double>(options_.top_k, survivors * 0.999);
    if (!asked && !found->damaged && static_cast<double>(found->nearest.size()) < enough) return scan_instead;
    return std::optional<index::Reranked>(std::move(*found));
}

Result<index::Reranked> SnapshotSearch::search_graph(const Part& part, const IndexFile& file, const index::CodedQuery& query,
                                                     std::uint32_t ef) const {
    DVESP_ASSIGN(const index::GraphView graph, file.graph());
    DVESP_ASSIGN(const index::CodeView codes, part.indexed->segment->codes());
    auto scratch = collection_.take_scratch();
    index::GraphHits hits;
    if (part.passing) {
        const LivePassingRows predicate(part.source->deaths, snapshot_->seq, *part.passing);
        hits = index::search_graph(graph, codes, query, ef, predicate, *scratch);
    } else {
        const LiveRows predicate(part.source->deaths, snapshot_->seq);
        hits = index::search_graph(graph, codes, query, ef, predicate, *scratch);
    }
    collection_.give_scratch(std::move(scratch));
    return index::rerank(query, hits.candidates, options_.top_k, *part.source);
}

Result<index::Reranked> SnapshotSearch::search_ivf(const Part& part, const IndexFile& file, const index::CodedQuery& query,
                                                   std::uint32_t probe_count) const {
    DVESP_ASSIGN(const index::IvfView ivf, file.ivf());
    DVESP_ASSIGN(const index::CodeView codes, part.indexed->segment->codes());
    const std::vector<std::uint32_t> rows = index::probed_rows(ivf, query, probe_count, codes.rows);
    const auto run = [&](const index::RowPredicate& predicate) {
        index::FlatScan scan(query, options_.top_k, predicate);
        scan.scan_rows(codes.codes, rows);
        return scan.finish(*part.source);
    };
    if (part.passing) return run(LivePassingRows(part.source->deaths, snapshot_->seq, *part.passing));
    return run(LiveRows(part.source->deaths, snapshot_->seq));
}

namespace {

/// Calls `visit(source, row)` for every living row that passes.
template <class Visit>
Result<void> for_each_passing(const Snapshot& snapshot, const ParsedFilter& filter, Visit visit) {
    for (const Snapshot::Part& part : snapshot.parts()) {
        const auto* segment = dynamic_cast<const Segment*>(part.source);
        if (segment != nullptr) {
            DVESP_ASSIGN(const auto passing, segment->passing(filter.filter, filter.bytes));
            for (const std::uint32_t row : passing->rows()) {
                if (part.source->deaths.alive_at(row, snapshot.seq)) DVESP_TRY(visit(*part.source, row));
            }
            continue;
        }
        for (std::uint32_t row = 0; row < part.rows; ++row) {
            const auto metadata = part.source->metadata(row);
            const bool alive = part.source->deaths.alive_at(row, snapshot.seq);
            if (alive && metadata && matches(filter.filter, *metadata)) DVESP_TRY(visit(*part.source, row));
        }
    }
    return {};
}

}  // namespace

Result<std::uint64_t> count_rows(const Snapshot& snapshot, const ParsedFilter* filter) {
    if (filter == nullptr) return snapshot.live_rows;
    std::uint64_t count = 0;
    DVESP_TRY(for_each_passing(snapshot, *filter, [&](const Source&, std::uint32_t) {
        ++count;
        return Result<void>();
    }));
    return count;
}

Result<std::vector<std::string>> matching_ids(const Snapshot& snapshot, const ParsedFilter& filter) {
    std::vector<std::string> ids;
    DVESP_TRY(for_each_passing(snapshot, filter, [&](const Source& source, std::uint32_t row) -> Result<void> {
        DVESP_ASSIGN(const RowView view, source.row(row));
        ids.emplace_back(view.id);
        return {};
    }));
    return ids;
}

}  // namespace dvesp::store
