/// store/index_file.cpp - writes and opens index files.
/// Bytes: docs/formats/segment.md, index files.
#include "store/index_file.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <new>

#include "index/calibration.hpp"

namespace dvesp::store {
namespace {

using codec::SectionId;

constexpr std::size_t index_properties_bytes = 32 + 8 + 4 + 4 + 4;
constexpr std::size_t calibration_point_bytes = 20;

template <class T>
ByteView bytes_of_values(const std::vector<T>& values) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(T)};
}

/// Centre and steps, as section walk_ranges has them.
std::vector<float> ranges_of(const index::WalkCoding& coding) {
    std::vector<float> ranges = coding.center();
    ranges.insert(ranges.end(), coding.steps().begin(), coding.steps().end());
    return ranges;
}

/// segment hash | rows u64 | metric u32 | degree u32 | bits of the walk codes u32
std::vector<std::uint8_t> properties_of(const Hash& segment, std::uint32_t rows, index::Metric metric, std::uint32_t degree,
                                        std::uint32_t walk_bits) {
    codec::Writer out;
    out.raw(segment);
    out.number(std::uint64_t{rows});
    out.number(static_cast<std::uint32_t>(metric));
    out.number(degree);
    out.number(walk_bits);
    return std::move(out.bytes());
}

std::vector<std::uint8_t> encode_calibration(const std::vector<index::CalibrationPoint>& points) {
    codec::Writer out;
    for (const index::CalibrationPoint& point : points) {
        out.number(point.effort);
        out.number(std::bit_cast<std::uint32_t>(point.slack));
        out.number(std::bit_cast<std::uint32_t>(point.recall));
        out.number(point.distance_count);
        out.number(point.reranked);
    }
    return std::move(out.bytes());
}

std::vector<index::CalibrationPoint> decode_calibration(ByteView bytes) {
    std::vector<index::CalibrationPoint> points;
    codec::Reader reader(bytes);
    while (reader.left() >= calibration_point_bytes && points.size() < index::calibration_points_max) {
        index::CalibrationPoint point;
        point.effort = reader.number<std::uint32_t>();
        point.slack = std::bit_cast<float>(reader.number<std::uint32_t>());
        point.recall = std::bit_cast<float>(reader.number<std::uint32_t>());
        point.distance_count = reader.number<std::uint32_t>();
        point.reranked = reader.number<std::uint32_t>();
        points.push_back(point);
    }
    return points;
}

template <class T>
std::span<const T> values_of(ByteView bytes) noexcept {
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

bool links_inside(std::span<const std::uint32_t> links, std::uint32_t rows) noexcept {
    return std::all_of(links.begin(), links.end(), [rows](std::uint32_t row) { return row < rows || row == index::no_row; });
}

/// Copies sections into one block of memory, one behind the other.
class Placer {
  public:
    explicit Placer(AlignedBuffer& memory) : at_(memory.data()) {}
    ByteView place(ByteView section) {
        const std::uint8_t* start = at_;
        if (!section.empty()) std::memcpy(at_, section.data(), section.size());
        at_ += section.size();
        return {start, section.size()};
    }

  private:
    std::uint8_t* at_;
};

}  // namespace

Result<WrittenFile> IndexFile::write(ports::Files& files, std::uint64_t unique, const Hash& segment, std::uint32_t rows,
                                     index::Metric metric, const index::Graph& graph) {
    DVESP_ASSIGN(auto writer, ContentFileWriter::create(files, codec::FileKind::graph, unique));
    DVESP_TRY(
        writer->section(SectionId::properties, properties_of(segment, rows, metric, graph.degree, graph.coded.coding->bits())));
    const index::WalkCoding& coding = *graph.coded.coding;
    DVESP_TRY(writer->section(SectionId::walk_ranges, bytes_of_values(ranges_of(coding))));
    DVESP_TRY(writer->section(SectionId::walk_codes, {graph.coded.codes.data(), graph.rows * coding.stride()}));
    if (!graph.coded.terms.empty()) DVESP_TRY(writer->section(SectionId::walk_terms, bytes_of_values(graph.coded.terms)));
    DVESP_TRY(writer->section(SectionId::links, bytes_of_values(graph.links)));
    DVESP_TRY(writer->section(SectionId::entry_points, bytes_of_values(graph.entry_points)));
    DVESP_TRY(writer->section(SectionId::calibration, encode_calibration(graph.calibration)));
    return writer->finish();
}

Result<WrittenFile> IndexFile::write(ports::Files& files, std::uint64_t unique, const Hash& segment, std::uint32_t rows,
                                     index::Metric metric, const index::Ivf& ivf) {
    DVESP_ASSIGN(auto writer, ContentFileWriter::create(files, codec::FileKind::ivf, unique));
    const index::WalkCoding& coding = *ivf.coded.coding;
    const index::Graph& graph = ivf.centroids.graph;
    DVESP_TRY(writer->section(SectionId::properties, properties_of(segment, rows, metric, graph.degree, coding.bits())));
    DVESP_TRY(writer->section(SectionId::walk_ranges, bytes_of_values(ranges_of(coding))));
    DVESP_TRY(writer->section(SectionId::walk_codes, {ivf.coded.codes.data(), ivf.list_rows.size() * coding.stride()}));
    if (!ivf.coded.terms.empty()) DVESP_TRY(writer->section(SectionId::walk_terms, bytes_of_values(ivf.coded.terms)));
    DVESP_TRY(writer->section(SectionId::centroids, bytes_of_values(ivf.centroids.values)));
    DVESP_TRY(writer->section(SectionId::links, bytes_of_values(graph.links)));
    DVESP_TRY(writer->section(SectionId::entry_points, bytes_of_values(graph.entry_points)));
    DVESP_TRY(writer->section(SectionId::list_ends, bytes_of_values(ivf.list_ends)));
    DVESP_TRY(writer->section(SectionId::list_rows, bytes_of_values(ivf.list_rows)));
    DVESP_TRY(writer->section(SectionId::calibration, encode_calibration(ivf.calibration)));
    return writer->finish();
}

Result<std::shared_ptr<IndexFile>> IndexFile::open(ports::Files& files, const Hash& file, const Hash& segment,
                                                   std::uint32_t rows, std::uint32_t dimension) {
    std::shared_ptr<IndexFile> index(new IndexFile());
    index->hash_ = file;
    auto graph = CheckedFile::open(files, segment_path(file), codec::FileKind::graph);
    if (!graph.ok() && graph.error().code != ErrorCode::corruption) return graph.error();  // of the disk, not of the file
    index->is_graph_ = graph.ok();
    auto opened = graph.ok() ? std::move(graph) : CheckedFile::open(files, segment_path(file), codec::FileKind::ivf);
    if (!opened.ok()) return opened.error();
    index->file_ = std::move(*opened);
    const ByteView properties = index->file_->section(SectionId::properties);
    if (properties.size() != index_properties_bytes || !index->file_->check(properties)) return index->damaged("properties");
    codec::Reader reader(properties);
    const Hash owner = reader.array<32>();
    const auto indexed_rows = reader.number<std::uint64_t>();
    const auto metric = reader.number<std::uint32_t>();
    index->degree_ = reader.number<std::uint32_t>();
    index->walk_bits_ = reader.number<std::uint32_t>();
    if (owner != segment || indexed_rows != rows || metric > 2) return index->damaged("it belongs to another segment");
    index->metric_ = static_cast<index::Metric>(metric);
    index->rows_ = rows;
    index->dimension_ = dimension;
    DVESP_TRY(index->check_sizes());
    const ByteView calibration = index->file_->section(SectionId::calibration);
    if (!index->file_->check(calibration)) return index->damaged("calibration");
    index->calibration_ = decode_calibration(calibration);
    return index;
}

Error IndexFile::damaged(const char* what) const {
    return fail(ErrorCode::corruption, file_->name() + ": damaged (" + what + "); compact() rebuilds the index");
}

Result<void> IndexFile::check_sizes() const {
    const auto size = [this](SectionId id) { return file_->section(id).size(); };
    if (walk_bits_ != 4 && walk_bits_ != 8) return damaged("properties");
    const std::uint64_t lists = size(SectionId::list_ends) / 4;
    const std::uint64_t nodes = is_graph_ ? rows_ : lists;
    const std::uint64_t coded = is_graph_ ? rows_ : size(SectionId::list_rows) / 4;
    const bool links = degree_ > 0 && degree_ <= 4096 && size(SectionId::links) == nodes * degree_ * 4;
    const bool ranges = size(SectionId::walk_ranges) == std::uint64_t{dimension_} * 8;
    const bool terms = size(SectionId::walk_terms) == 0 || size(SectionId::walk_terms) == coded * 4;
    if (!links || !ranges || !terms || size(SectionId::entry_points) % 4 != 0) return damaged("section sizes");
    if (is_graph_) return {};
    const bool centroids = lists > 0 && size(SectionId::centroids) == lists * dimension_ * 4;
    if (!centroids || coded < rows_ || coded > 2 * std::uint64_t{rows_}) return damaged("section sizes");
    return {};
}

Result<index::WalkCoding> IndexFile::walk_coding() const {
    const ByteView ranges = file_->section(SectionId::walk_ranges);
    if (!file_->check(ranges)) return damaged("ranges of the codes");
    const std::span<const float> numbers = values_of<float>(ranges);
    const auto usable = [](float number) { return std::isfinite(number); };
    if (!std::all_of(numbers.begin(), numbers.end(), usable)) return damaged("ranges of the codes");
    const auto steps = numbers.begin() + dimension_;
    return index::WalkCoding(metric_, walk_bits_, {numbers.begin(), steps}, {steps, numbers.end()});
}

void IndexFile::prepare() const {
    if (is_prepared_.exchange(true)) return;
    if (is_graph()) {
        static_cast<void>(graph().ok());
    } else {
        static_cast<void>(ivf().ok());
    }
}

Result<std::shared_ptr<const LoadedGraph>> IndexFile::graph() const {
    DVESP_ASSERT(is_graph());
    const std::scoped_lock lock(load_mutex_);
    if (graph_) return graph_;
    try {
        DVESP_ASSIGN(graph_, load_graph());
        file_->release();  // copied: the file's pages are not needed any more
    } catch (const std::bad_alloc&) {
        return fail(ErrorCode::unavailable,
                    file_->name() + ": not enough memory to load the graph; free some and search again");
    }
    return graph_;
}

Result<std::shared_ptr<const LoadedGraph>> IndexFile::load_graph() const {
    const ByteView codes = file_->section(SectionId::walk_codes);
    const ByteView terms = file_->section(SectionId::walk_terms);
    const ByteView links = file_->section(SectionId::links);
    const ByteView entry_points = file_->section(SectionId::entry_points);
    for (const ByteView section : {codes, terms, links, entry_points}) {
        if (!file_->check(section)) return damaged("graph");
    }
    DVESP_ASSIGN(index::WalkCoding coding, walk_coding());
    const bool sizes = codes.size() == rows_ * coding.stride() && terms.empty() != (coding.has_terms() && rows_ > 0);
    if (!sizes) return damaged("codes of the graph");
    const auto all_links = values_of<std::uint32_t>(links);
    const auto entries = values_of<std::uint32_t>(entry_points);
    if (!links_inside(all_links, rows_) || !links_inside(entries, rows_)) return damaged("a link points outside");
    auto loaded = std::make_shared<LoadedGraph>(std::move(coding), codes.size() + links.size() + terms.size());
    Placer placer(loaded->memory);
    index::GraphView& view = loaded->view;
    view.coding = &loaded->coding;
    view.codes = placer.place(codes).data();
    view.links = values_of<std::uint32_t>(placer.place(links));
    const auto term_values = values_of<float>(placer.place(terms));
    view.terms = term_values.empty() ? nullptr : term_values.data();
    loaded->entry_points.assign(entries.begin(), entries.end());
    view.entry_points = loaded->entry_points;
    view.degree = degree_;
    view.rows = rows_;
    return std::shared_ptr<const LoadedGraph>(std::move(loaded));
}

Result<std::shared_ptr<const LoadedIvf>> IndexFile::ivf() const {
    DVESP_ASSERT(!is_graph());
    const std::scoped_lock lock(load_mutex_);
    if (ivf_) return ivf_;
    try {
        DVESP_ASSIGN(ivf_, load_ivf());
        file_->release();
    } catch (const std::bad_alloc&) {
        return fail(ErrorCode::unavailable,
                    file_->name() + ": not enough memory to load the inverted lists; free some and search again");
    }
    return ivf_;
}

Result<std::span<const float>> IndexFile::centroids() const {
    DVESP_ASSERT(!is_graph());
    const ByteView centroids = file_->section(SectionId::centroids);
    const std::span<const float> values = values_of<float>(centroids);
    const bool whole =
        file_->check(centroids) && std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
    if (!whole) return damaged("centroids");
    return values;
}

Result<std::shared_ptr<const LoadedIvf>> IndexFile::load_ivf() const {
    const ByteView codes = file_->section(SectionId::walk_codes);
    const ByteView terms = file_->section(SectionId::walk_terms);
    const ByteView ends = file_->section(SectionId::list_ends);
    const ByteView rows = file_->section(SectionId::list_rows);
    const ByteView links = file_->section(SectionId::links);
    const ByteView entry_points = file_->section(SectionId::entry_points);
    for (const ByteView section : {codes, terms, ends, rows, links, entry_points}) {
        if (!file_->check(section)) return damaged("inverted lists");
    }
    DVESP_ASSIGN(index::WalkCoding coding, walk_coding());
    const auto list_ends = values_of<std::uint32_t>(ends);
    const auto list_rows = values_of<std::uint32_t>(rows);
    const auto lists = static_cast<std::uint32_t>(list_ends.size());
    const bool sizes = codes.size() == list_rows.size() * coding.stride() && terms.empty() != (coding.has_terms() && rows_ > 0);
    const bool rising = std::is_sorted(list_ends.begin(), list_ends.end()) && list_ends.back() == list_rows.size();
    const bool inside = std::all_of(list_rows.begin(), list_rows.end(), [this](std::uint32_t row) { return row < rows_; });
    const auto entries = values_of<std::uint32_t>(entry_points);
    const bool linked = links_inside(values_of<std::uint32_t>(links), lists) && links_inside(entries, lists);
    if (!sizes || !rising || !inside || !linked) return damaged("inverted lists");
    DVESP_ASSIGN(const std::span<const float> values, centroids());
    auto loaded =
        std::make_shared<LoadedIvf>(std::move(coding), codes.size() + terms.size() + ends.size() + rows.size() + links.size());
    DVESP_ASSIGN(loaded->centroids, index::code_centroids(metric_, values, dimension_));
    Placer placer(loaded->memory);
    index::IvfView& view = loaded->view;
    view.coding = &loaded->coding;
    view.codes = placer.place(codes).data();
    view.list_ends = values_of<std::uint32_t>(placer.place(ends));
    view.list_rows = values_of<std::uint32_t>(placer.place(rows));
    view.centroids.links = values_of<std::uint32_t>(placer.place(links));
    const auto term_values = values_of<float>(placer.place(terms));
    view.terms = term_values.empty() ? nullptr : term_values.data();
    loaded->entry_points.assign(entries.begin(), entries.end());
    view.centroids.entry_points = loaded->entry_points;
    view.centroids.coding = &*loaded->centroids.coding;
    view.centroids.codes = loaded->centroids.codes.data();
    view.centroids.terms = loaded->centroids.term_data();
    view.centroids.degree = degree_;
    view.centroids.rows = lists;
    view.walked = index::walks_to_centroids(metric_) && !entries.empty();
    return std::shared_ptr<const LoadedIvf>(std::move(loaded));
}

}  // namespace dvesp::store
