/// store/query.cpp - one search per part of a snapshot, merged by distance and id.
#include "store/query.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace dvesp::store {
namespace {

/// A walk among the rows of a filter looks at more links than one among all: a code of it costs as much as so many in a row.
constexpr double filtered_walk_cost = 10;
/// Among fewer rows than this share, two links seldom lead from one that passes to another.
constexpr double walked_share_min = 0.06;
/// Fewer survivors than this are scanned with proven bounds.
constexpr double coded_scan_rows_min = 2000;
/// Of a scan over walk codes, so many times top_k rows are computed exactly, and so many at least.
constexpr std::size_t coded_scan_kept = 5, coded_scan_kept_min = 64;
/// A scattered code costs about as much as this many codes in a row.
constexpr double scattered_cost = 4;
/// A code in a list costs as much as this share of a row in a scan: it is smaller, and compared once.
constexpr double listed_cost = 0.7;
/// Rows of lists computed exactly when calibration found no number that is enough.
constexpr double most_reranked = 512;
constexpr std::uint32_t calibrated_top_k = 10;
/// Of what a target allows to miss, this share is kept back for what a few hundred held-out rows cannot tell.
constexpr float recall_reserve = 0.1F;

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
    LivePassingRows(const DeathTable& deaths, std::uint64_t seq, const PassingRows& passing)
        : live_(deaths, seq), passing_(passing) {}
    [[nodiscard]] bool accepts(std::uint32_t row) const noexcept override {
        return passing_.contains(row) && live_.accepts(row);
    }

  private:
    LiveRows live_;
    const PassingRows& passing_;
};

/// How hard an index is searched, and what that costs.
struct Setting {
    double effort = 0;
    double slack = 0;
    double distance_count = 0;
    double reranked = 0;
};

/// The cheapest setting that reached `recall` on held-out rows; nothing when none did. (What lies between two settings was not
/// measured: mixing pool, slack and exact rows of neighbours reached less than either promised.)
std::optional<Setting> effort_for(const std::vector<index::CalibrationPoint>& calibration, float recall) noexcept {
    const float promised = recall + recall_reserve * (1 - recall);
    for (const index::CalibrationPoint& point : calibration) {
        if (!(point.recall >= promised)) continue;
        return Setting{static_cast<double>(point.effort), static_cast<double>(point.slack),
                       static_cast<double>(point.distance_count), static_cast<double>(point.reranked)};
    }
    return std::nullopt;
}

/// What an effort that the caller chose costs. As many rows are computed exactly as the most careful setting computes: who
/// chooses an effort wants the whole pool of it.
Setting asked_effort(const std::vector<index::CalibrationPoint>& calibration, std::uint32_t effort) noexcept {
    Setting setting{static_cast<double>(effort), 0, 0, 0};
    for (const index::CalibrationPoint& point : calibration) {
        if (point.effort >= effort && setting.distance_count == 0) setting.distance_count = point.distance_count;
        if (point.reranked == 0) return {setting.effort, 0, setting.distance_count, 0};
        setting.reranked = std::max<double>(setting.reranked, point.reranked);
    }
    return setting;
}

/// The setting for a search that asks for an effort, or else for a recall.
std::optional<Setting> setting_for(const IndexFile& file, std::optional<std::uint32_t> asked, float recall) noexcept {
    return asked ? asked_effort(file.calibration(), *asked) : effort_for(file.calibration(), recall);
}

}  // namespace

/// Evaluates the filter on head rows as they are asked for, once each for as long as the head remembers the filter.
struct SnapshotSearch::HeadFilter final : index::RowPredicate {
    HeadFilter(const Head& head, std::uint64_t seq, const ParsedFilter& wanted)
        : source(head), live(head.deaths, seq), filter(wanted.filter), answers(head.answers_of(wanted.bytes)) {}
    [[nodiscard]] bool accepts(std::uint32_t row) const noexcept override {
        if (!live.accepts(row)) return false;
        return answers->passes(row, [&] {
            const auto metadata = source.metadata(row);
            return metadata && matches(filter, *metadata);
        });
    }
    const Source& source;
    LiveRows live;
    const Filter& filter;
    std::shared_ptr<FilterAnswers> answers;
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
        if (filter != nullptr) part.head_filter = std::make_unique<HeadFilter>(head, now.seq, *filter);
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
            if (part.passing->rows().empty()) continue;
        }
        DVESP_TRY(search->plan(part));
        search->parts_.push_back(std::move(part));
    }
    return search;
}

const IndexFile* SnapshotSearch::usable_index(const IndexedSegment& segment) const noexcept {
    for (const auto& file : segment.indexes) {
        if (file->metric() == options_.metric || segment.segment->unit_norms()) return file.get();
    }
    return nullptr;
}

Result<void> SnapshotSearch::plan(Part& part) const {
    const bool rigorous = options_.exact || collection_.config().index == IndexKind::flat;
    const IndexFile* file = rigorous || part.indexed == nullptr ? nullptr : usable_index(*part.indexed);
    if (file == nullptr) return {};
    const double survivors = part.passing ? static_cast<double>(part.passing->rows().size()) : part.rows;
    if (part.passing && survivors < coded_scan_rows_min) return {};  // whatever effort was asked for: a scan is exact
    return file->is_graph() ? plan_walk(part, *file) : plan_lists(part, *file);
}

Result<void> SnapshotSearch::plan_walk(Part& part, const IndexFile& file) const {
    const double survivors = part.passing ? static_cast<double>(part.passing->rows().size()) : part.rows;
    const double share = std::max(static_cast<double>(part.indexed->live_rows()) / part.rows, 1e-6);
    const std::optional<Setting> calibrated = setting_for(file, options_.ef, options_.recall);
    if (!calibrated) return {};
    double effort = calibrated->effort;
    if (part.passing && survivors < walked_share_min * part.rows) return plan_coded_scan(part, file, survivors * share);
    if (!options_.ef) {
        if (options_.top_k > calibrated_top_k) effort = std::max(effort, 1.5 * options_.top_k) + effort * 0.5;
        const double cost = effort / calibrated->effort * calibrated->distance_count / share;
        if (part.passing && cost * filtered_walk_cost > survivors) return plan_coded_scan(part, file, survivors * share);
        if (cost * scattered_cost > survivors) return {};
        part.enough = std::min<double>(options_.top_k, survivors * 0.999);
    }
    effort = std::max<double>(std::ceil(std::max(1.0, effort / share)), options_.top_k);
    DVESP_ASSIGN(part.graph, file.graph());
    // The settings were measured for ten: fewer take the same, for the nearest row is as hard to find as any.
    const double ranks = std::max(options_.top_k, calibrated_top_k);
    const double wanted = calibrated->reranked == 0 ? effort : calibrated->reranked * ranks / calibrated_top_k;
    part.slack = static_cast<float>(calibrated->slack);
    // Where the last living row that counts stands, about.
    part.nearest = static_cast<std::uint32_t>(std::min<double>(std::ceil(ranks / share), index::pool_size_max));
    part.reranked = static_cast<std::size_t>(std::ceil(std::max<double>(wanted, options_.top_k)));
    part.effort = static_cast<std::uint32_t>(std::min<double>(effort, index::pool_size_max));
    part.way = Way::graph;
    return {};
}

Result<void> SnapshotSearch::plan_lists(Part& part, const IndexFile& file) const {
    const double survivors = part.passing ? static_cast<double>(part.passing->rows().size()) : part.rows;
    const double living = std::max(static_cast<double>(part.indexed->live_rows()) / part.rows, 1e-6);
    const std::optional<Setting> calibrated = setting_for(file, options_.nprobe, options_.recall);
    if (!calibrated) return {};
    const double ranks = std::max(options_.top_k, calibrated_top_k);
    double effort = calibrated->effort;
    if (!options_.nprobe) {
        // Lists hold the rows that do not pass, too; more neighbours lie in more lists.
        effort = effort * std::sqrt(ranks / calibrated_top_k) / (living * survivors / part.rows);
        const double cost = effort / calibrated->effort * calibrated->distance_count;
        if (cost * listed_cost > (part.passing ? scattered_cost * survivors : survivors)) return {};
        part.enough = std::min<double>(options_.top_k, survivors * 0.999);
    }
    DVESP_ASSIGN(part.ivf, file.ivf());
    const double wanted = calibrated->reranked == 0 ? most_reranked : calibrated->reranked * ranks / calibrated_top_k;
    part.reranked = static_cast<std::size_t>(std::ceil(std::max<double>(wanted, options_.top_k)));
    part.slack = static_cast<float>(calibrated->slack);
    const double nearest = index::IvfTask{}.nearest * ranks / calibrated_top_k / living;
    part.nearest = static_cast<std::uint32_t>(std::min<double>(std::ceil(nearest), index::pool_size_max));
    // A row stands in two lists; dead rows are in the pool as well.
    const double kept = 1.6 * static_cast<double>(part.reranked) / living + 4;
    part.kept = static_cast<std::size_t>(std::min<double>(kept, index::pool_size_max));
    part.effort = static_cast<std::uint32_t>(std::min<double>(std::ceil(effort), part.ivf->view.list_count()));
    part.way = Way::ivf;
    return {};
}

Result<void> SnapshotSearch::plan_coded_scan(Part& part, const IndexFile& file, double living) const {
    DVESP_ASSIGN(part.graph, file.graph());
    part.way = Way::codes;
    part.reranked = std::max<std::size_t>(coded_scan_kept_min, coded_scan_kept * options_.top_k);
    part.enough = std::min<double>(options_.top_k, living * 0.999);
    return {};
}

Result<void> SnapshotSearch::search(const float* queries, std::span<std::vector<Hit>> hits) const {
    DVESP_ASSERT(hits.size() <= tile_queries);
    const std::size_t dim = collection_.config().dimension;
    for (const Part& part : parts_) {
        if (part.way != Way::scan) {
            DVESP_TRY(search_pools(part, queries, hits));
            continue;
        }
        for (std::size_t index = 0; index < hits.size(); ++index) {
            DVESP_ASSIGN(const index::Reranked found, scan_part(part, queries + index * dim));
            DVESP_TRY(add_hits(part, found, hits[index]));
        }
    }
    for (std::vector<Hit>& one : hits) keep_nearest(one);
    for (const std::vector<Hit>& one : hits) {
        for (const Hit& hit : one) hit.location.source->prefetch_ends(hit.location.row);
    }
    for (const std::vector<Hit>& one : hits) {
        for (const Hit& hit : one) hit.location.source->prefetch_values(hit.location.row);
    }
    for (std::vector<Hit>& one : hits) DVESP_TRY(name_hits(one));
    return {};
}

Result<void> SnapshotSearch::add_hits(const Part& part, const index::Reranked& found, std::vector<Hit>& hits) const {
    if (found.damaged) return fail(ErrorCode::corruption, part.source->name() + ": damaged (vectors)");
    for (const index::Neighbor& neighbor : found.nearest) {
        hits.push_back({neighbor.distance, {const_cast<Source*>(part.source), neighbor.row}, {}});
    }
    return {};
}

/// Keeps the top_k nearest, and those that are as near as the last of them: ids decide among these.
void SnapshotSearch::keep_nearest(std::vector<Hit>& hits) const {
    if (parts_.size() > 1) {
        std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.distance < b.distance; });
    }
    std::size_t kept = std::min<std::size_t>(hits.size(), options_.top_k);
    while (kept > 0 && kept < hits.size() && hits[kept].distance == hits[kept - 1].distance) ++kept;
    hits.resize(kept);
}

Result<void> SnapshotSearch::name_hits(std::vector<Hit>& hits) const {
    for (Hit& hit : hits) {
        const auto id = hit.location.source->id(hit.location.row);
        if (!id) return fail(ErrorCode::corruption, hit.location.source->name() + ": damaged (ids)");
        hit.id = *id;
    }
    std::sort(hits.begin(), hits.end(),
              [](const Hit& a, const Hit& b) { return a.distance < b.distance || (a.distance == b.distance && a.id < b.id); });
    if (hits.size() > options_.top_k) hits.resize(options_.top_k);
    return {};
}

Result<index::Reranked> SnapshotSearch::scan_part(const Part& part, const float* query) const {
    const bool rigorous = options_.exact || collection_.config().index == IndexKind::flat;
    const index::CodedQuery coded(part.source->coding(), options_.metric, query,
                                  rigorous ? index::Margin::rigorous : index::Margin::likely);
    const LiveRows live(part.source->deaths, snapshot_->seq);
    const index::RowPredicate& predicate = part.head_filter ? static_cast<const index::RowPredicate&>(*part.head_filter) : live;
    index::FlatScan scan(coded, options_.top_k, predicate);
    if (part.passing) {
        DVESP_ASSIGN(const index::CodeView codes, part.indexed->segment->codes());
        scan.scan_rows(codes.codes, part.passing->rows());
    } else {
        DVESP_TRY(part.source->scan(scan, part.rows));
    }
    return scan.finish(*part.source);
}

void SnapshotSearch::fill_pools(const Part& part, const float* queries, std::span<index::SearchScratch> pools) const {
    const std::uint32_t dim = collection_.config().dimension;
    const bool unit = part.indexed->segment->unit_norms();
    const index::WalkCoding& coding = part.way == Way::ivf ? *part.ivf->view.coding : *part.graph->view.coding;
    const std::uint32_t* bits = part.passing ? part.passing->bits() : nullptr;
    std::vector<index::WalkQuery> coded;
    coded.reserve(pools.size());
    for (std::size_t index = 0; index < pools.size(); ++index) coded.emplace_back(coding, queries + index * dim, unit);
    if (part.way == Way::codes) {
        for (std::size_t index = 0; index < pools.size(); ++index) {
            index::scan_codes(part.graph->view, coded[index], part.passing->rows(), part.reranked, pools[index]);
        }
    } else if (part.way == Way::ivf) {
        std::vector<index::IvfTask> tasks;
        for (std::size_t index = 0; index < pools.size(); ++index) {
            tasks.push_back({queries + index * dim, &coded[index], unit, part.effort, part.slack, part.nearest, part.kept, bits,
                             &pools[index]});
        }
        index::search_ivf(part.ivf->view, tasks);
    } else {
        const auto starts =
            part.passing ? std::span<const std::uint32_t>(part.passing->starts()) : std::span<const std::uint32_t>();
        std::vector<index::GraphTask> tasks;
        for (std::size_t index = 0; index < pools.size(); ++index) {
            tasks.push_back({&coded[index], part.effort, &pools[index], part.slack, part.nearest, bits, starts});
        }
        index::search_graph(part.graph->view, tasks);
    }
}

Result<void> SnapshotSearch::search_pools(const Part& part, const float* queries, std::span<std::vector<Hit>> hits) const {
    const std::uint32_t dim = collection_.config().dimension;
    auto workspace = collection_.take_workspace();
    const std::span<index::SearchScratch> pools = std::span(*workspace).first(hits.size());
    fill_pools(part, queries, pools);
    const LiveRows live(part.source->deaths, snapshot_->seq);
    std::optional<LivePassingRows> passing;
    if (part.passing) passing.emplace(part.source->deaths, snapshot_->seq, *part.passing);
    const index::RowPredicate& predicate = passing ? static_cast<const index::RowPredicate&>(*passing) : live;
    // While one query's distances are computed, the next one's vectors are on their way.
    std::array<index::ChosenRows, 2> chosen;
    const auto choose = [&](std::size_t index) {
        if (index == hits.size()) return;
        index::choose_rows(pools[index].found(), part.reranked, predicate, *part.source, dim, chosen[index % 2]);
    };
    Result<void> outcome;
    choose(0);
    for (std::size_t index = 0; index < hits.size() && outcome.ok(); ++index) {
        choose(index + 1);
        const float* query = queries + index * dim;
        auto found =
            Result<index::Reranked>(index::rerank_chosen({options_.metric, query, dim}, chosen[index % 2], options_.top_k));
        // A pool of scattered survivors may come out short: then only a scan can fill the answer.
        if (!found->damaged && static_cast<double>(found->nearest.size()) < part.enough) found = scan_part(part, query);
        outcome = found.ok() ? add_hits(part, *found, hits[index]) : Result<void>(found.error());
    }
    collection_.give_workspace(std::move(workspace));
    return outcome;
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
