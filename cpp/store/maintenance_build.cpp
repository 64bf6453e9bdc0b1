/// store/maintenance_build.cpp - merges segments and builds their indexes.
#include <algorithm>

#include "store/maintenance.hpp"
#include "store/segment_builder.hpp"

namespace dvesp::store {
namespace {

constexpr std::uint32_t tier_ratio = 4;  ///< this many segments of one size class become one
constexpr double dead_share_max = 0.3;   ///< a segment with more dead rows is rewritten alone
constexpr std::uint32_t dead_rows_min = 1024;
/// Scanning so many bytes of codes takes 50 us: 4,700 rows of 384 dimensions.
constexpr std::uint64_t index_code_bytes_min = std::uint64_t{2} << 20;
constexpr std::uint64_t merge_rows_max = std::uint64_t{16} << 20;

std::uint32_t tier_of(std::uint64_t rows, std::uint64_t seal_rows) noexcept {
    std::uint32_t tier = 0;
    for (std::uint64_t bound = seal_rows; rows > bound; bound *= tier_ratio) ++tier;
    return tier;
}

/// Takes the build lane from a background build by cancelling it; the cancellation ends here, unless the store closes.
class CancelBackground {
  public:
    CancelBackground(index::BuildControl& control, std::mutex& mutex, const std::atomic<bool>& closed)
        : lock_(mutex, std::defer_lock) {
        control.cancelled = true;
        lock_.lock();
        control.cancelled = closed.load();
    }

  private:
    std::unique_lock<std::mutex> lock_;
};

/// Of the index that a merge replaces, if it is an inverted file: most rows are where they were.
std::span<const float> known_centroids(const IndexedSegment* before, Metric metric) {
    if (before == nullptr) return {};
    for (const auto& file : before->indexes) {
        if (file->is_graph() || file->metric() != metric) continue;
        const auto centroids = file->centroids();
        if (centroids.ok()) return *centroids;
    }
    return {};
}

}  // namespace

std::vector<IndexedSegment> Maintenance::pick_merge(const Collection& collection) const {
    const auto snapshot = collection.snapshot();
    std::vector<IndexedSegment> sorted = snapshot->segments;
    for (const IndexedSegment& segment : sorted) {
        const std::uint32_t dead = segment.segment->deaths.count();
        if (dead >= dead_rows_min && dead > dead_share_max * segment.segment->rows()) return {segment};
    }
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const IndexedSegment& a, const IndexedSegment& b) { return a.segment->rows() < b.segment->rows(); });
    const std::uint32_t seal_rows = database_.options_.seal_rows != 0 ? database_.options_.seal_rows : collection.seal_rows();
    for (std::size_t first = 0; first + tier_ratio <= sorted.size(); ++first) {
        const std::size_t last = first + tier_ratio - 1;
        const bool same_tier =
            tier_of(sorted[first].segment->rows(), seal_rows) == tier_of(sorted[last].segment->rows(), seal_rows);
        const bool too_many = sorted.size() > segments_target && first == 0;
        if (!same_tier && !too_many) continue;
        std::uint64_t rows = 0;
        for (std::size_t index = first; index <= last; ++index) rows += sorted[index].segment->rows();
        if (rows > merge_rows_max) continue;
        return {sorted.begin() + static_cast<std::ptrdiff_t>(first), sorted.begin() + static_cast<std::ptrdiff_t>(last + 1)};
    }
    return {};
}

std::optional<Metric> Maintenance::missing_index(const Collection& collection, const IndexedSegment& segment) const {
    const std::uint64_t code_bytes = segment.segment->rows() * segment.segment->coding().stride();
    const bool small = database_.options_.index_rows_min != 0 ? segment.segment->rows() < database_.options_.index_rows_min
                                                              : code_bytes < index_code_bytes_min;
    if (collection.config().index == IndexKind::flat || small) return {};
    for (const Metric metric : {collection.config().metric, Metric::cosine, Metric::l2, Metric::dot_product}) {
        if (!collection.wants_metric(metric)) continue;
        const bool served = std::any_of(segment.indexes.begin(), segment.indexes.end(), [&](const auto& file) {
            return file->metric() == metric || segment.segment->unit_norms();
        });
        if (!served) return metric;
    }
    return {};
}

Result<std::shared_ptr<IndexFile>> Maintenance::build_index(const Collection& collection, const Segment& segment, Metric metric,
                                                            const IndexedSegment* before, TaskRunner& runner) {
    const CollectionConfig& config = collection.config();
    DVESP_ASSIGN(const index::CodeView codes, segment.codes());
    index::BuildControl& control = database_.build_control_;
    control.rows_done = 0;
    database_.progress_.total = codes.rows;
    database_.progress_.phase = "building the index";
    WrittenFile written;
    if (config.index == IndexKind::hnsw) {
        auto graph = index::build_graph(segment.coding(), metric, codes, segment, {config.degree_half, config.ef_construction},
                                        runner, control);
        database_.progress_.phase = "";
        if (!graph.ok()) return graph.error();
        DVESP_ASSIGN(written,
                     IndexFile::write(*database_.ports_.files, unique(), segment.file(), segment.rows(), metric, *graph));
    } else {
        auto ivf = index::build_ivf(segment.coding(), metric, codes, segment,
                                    {config.list_count, known_centroids(before, metric)}, runner, control);
        database_.progress_.phase = "";
        if (!ivf.ok()) return ivf.error();
        DVESP_ASSIGN(written,
                     IndexFile::write(*database_.ports_.files, unique(), segment.file(), segment.rows(), metric, *ivf));
    }
    DVESP_ASSIGN(auto file,
                 IndexFile::open(*database_.ports_.files, written.hash, segment.file(), segment.rows(), config.dimension));
    segment.checked_file().release();  // building read all of it; searches need a small part
    file->prepare();
    return file;
}

bool Maintenance::is_settled(const IndexedSegment& segment) const {
    return segment.sealed_ns == 0 || database_.ports_.clock->monotonic_ns() - segment.sealed_ns >= settling_ms * 1'000'000;
}

Result<void> Maintenance::add_missing_indexes(Collection& collection, Which which, TaskRunner& runner) {
    const auto snapshot = collection.snapshot();
    for (const IndexedSegment& segment : snapshot->segments) {
        if (which == Which::settled && !is_settled(segment)) continue;
        IndexedSegment with = segment;
        while (const auto metric = missing_index(collection, with)) {
            DVESP_ASSIGN(auto file, build_index(collection, *segment.segment, *metric, nullptr, runner));
            with.indexes.push_back(file);
            DVESP_TRY(database_.exclusively([&]() -> Result<void> {
                const auto before = collection.snapshot();
                collection.publish([&](Snapshot& next) {
                    for (IndexedSegment& other : next.segments) {
                        if (other.segment == segment.segment) other.indexes.push_back(file);
                    }
                });
                auto persisted = database_.persist_manifest();
                if (persisted.ok()) return persisted;
                collection.publish([&](Snapshot& next) { next = *before; });
                if (!database_.manifest_uncertain_) file->declare_obsolete();
                return persisted;
            }));
        }
    }
    return {};
}

Result<std::vector<std::shared_ptr<IndexFile>>> Maintenance::build_all_indexes(const Collection& collection,
                                                                               const Segment& segment,
                                                                               const IndexedSegment* before,
                                                                               TaskRunner& runner) {
    IndexedSegment with{std::shared_ptr<Segment>(const_cast<Segment*>(&segment), [](Segment*) {}), {}, 0};
    while (const auto metric = missing_index(collection, with)) {
        DVESP_ASSIGN(auto file, build_index(collection, segment, *metric, before, runner));
        with.indexes.push_back(std::move(file));
    }
    return std::move(with.indexes);
}

Result<void> Maintenance::merge(Collection& collection, const std::vector<IndexedSegment>& inputs, TaskRunner& runner) {
    std::vector<BuildInput> sources;
    std::vector<std::shared_ptr<const Source>> replaced;
    std::uint32_t generation = 0;
    for (const IndexedSegment& input : inputs) {
        sources.push_back({input.segment, input.segment->rows(), true});
        replaced.push_back(input.segment);
        generation = std::max(generation, input.generation + 1);
    }
    database_.progress_.phase = "merging segments";
    const std::uint64_t sealed = database_.exclusively([&] { return collection.applied_log_seq(); });
    const std::uint64_t seq = database_.options_.is_replica ? sealed : collection.snapshot()->seq;  // as in seal_oldest
    auto built =
        build_segment(*database_.ports_.files, unique(), collection.config(), sources, seq, database_.build_control_, runner);
    database_.progress_.phase = "";
    if (!built.ok()) return built.error();
    DVESP_ASSIGN(auto segment, Segment::open(*database_.ports_.files, built->file.hash));
    const auto largest = std::max_element(inputs.begin(), inputs.end(), [](const IndexedSegment& a, const IndexedSegment& b) {
        return a.segment->rows() < b.segment->rows();
    });
    auto indexes = build_all_indexes(collection, *segment, &*largest, runner);
    if (!indexes.ok()) {
        const bool fresh = std::none_of(inputs.begin(), inputs.end(),
                                        [&](const auto& input) { return input.segment->file() == segment->file(); });
        if (fresh && !database_.manifest_uncertain_) segment->declare_obsolete();
        return indexes.error();
    }
    return publish_segment(collection, replaced, built->new_rows, {std::move(segment), std::move(*indexes), generation}, {});
}

/// After opening, so that the first search does not wait.
void Maintenance::prepare_indexes() {
    for (const auto& collection : collections()) {
        const auto snapshot = collection->snapshot();
        for (const IndexedSegment& segment : snapshot->segments) {
            for (const auto& file : segment.indexes) {
                if (!database_.closed_) file->prepare();
            }
        }
    }
}

Result<void> Maintenance::build_work() {
    const std::scoped_lock lock(build_mutex_);
    TaskRunner& runner = database_.ports_.executor->background();
    prepare_indexes();
    for (const auto& collection : collections()) {
        for (auto inputs = pick_merge(*collection); !inputs.empty() && !collection->dropped; inputs = pick_merge(*collection)) {
            DVESP_TRY(merge(*collection, inputs, runner));
        }
        DVESP_TRY(add_missing_indexes(*collection, Which::settled, runner));
    }
    return {};
}

Result<void> Maintenance::compact(Collection& collection) {
    DVESP_TRY(seal_all(collection, *database_.ports_.executor));
    const CancelBackground lane(database_.build_control_, build_mutex_, database_.closed_);
    const auto snapshot = collection.snapshot();
    std::vector<IndexedSegment> inputs;
    std::uint64_t dead = 0;
    for (const IndexedSegment& segment : snapshot->segments) {
        inputs.push_back(segment);
        dead += segment.segment->deaths.count();
    }
    if (inputs.size() > 1 || dead > 0) DVESP_TRY(merge(collection, inputs, *database_.ports_.executor));
    DVESP_TRY(add_missing_indexes(collection, Which::all, *database_.ports_.executor));
    return trim_log(LogTrim::everything);
}

}  // namespace dvesp::store
