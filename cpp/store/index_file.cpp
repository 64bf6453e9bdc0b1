/// store/index_file.cpp - writes and opens index files.
/// Bytes: docs/formats/segment.md, index files.
#include "store/index_file.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <new>

namespace dvesp::store {
namespace {

using codec::SectionId;

constexpr std::size_t index_properties_bytes = 32 + 8 + 4 + 4 + 4;
constexpr std::size_t calibration_points_max = 256;
constexpr std::size_t calibration_point_bytes = 20;

template <class T>
ByteView bytes_of_values(const std::vector<T>& values) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(T)};
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
    while (reader.left() >= calibration_point_bytes && points.size() < calibration_points_max) {
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

}  // namespace

Result<WrittenFile> IndexFile::write(ports::Files& files, std::uint64_t unique, const Hash& segment, std::uint32_t rows,
                                     index::Metric metric, const index::Graph& graph) {
    DVESP_ASSIGN(auto writer, ContentFileWriter::create(files, codec::FileKind::graph, unique));
    DVESP_TRY(writer->section(SectionId::properties,
                              properties_of(segment, rows, metric, graph.degree, graph.coding.front().bits())));
    const index::WalkCoding& coding = graph.coding.front();
    std::vector<float> ranges = coding.center();
    ranges.insert(ranges.end(), coding.steps().begin(), coding.steps().end());
    DVESP_TRY(writer->section(SectionId::walk_ranges, bytes_of_values(ranges)));
    DVESP_TRY(writer->section(SectionId::walk_codes, {graph.codes.data(), graph.rows * coding.stride()}));
    if (!graph.terms.empty()) DVESP_TRY(writer->section(SectionId::walk_terms, bytes_of_values(graph.terms)));
    DVESP_TRY(writer->section(SectionId::links, bytes_of_values(graph.links)));
    DVESP_TRY(writer->section(SectionId::entry_points, bytes_of_values(graph.entry_points)));
    DVESP_TRY(writer->section(SectionId::calibration, encode_calibration(graph.calibration)));
    return writer->finish();
}

Result<WrittenFile> IndexFile::write(ports::Files& files, std::uint64_t unique, const Hash& segment, std::uint32_t rows,
                                     index::Metric metric, const index::Ivf& ivf) {
    DVESP_ASSIGN(auto writer, ContentFileWriter::create(files, codec::FileKind::ivf, unique));
    DVESP_TRY(writer->section(SectionId::properties, properties_of(segment, rows, metric, 0, 0)));
    DVESP_TRY(writer->section(SectionId::centroids, bytes_of_values(ivf.centroids)));
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
    DVESP_TRY(index->check_sizes(rows, dimension));
    const ByteView calibration = index->file_->section(SectionId::calibration);
    if (!index->file_->check(calibration)) return index->damaged("calibration");
    index->calibration_ = decode_calibration(calibration);
    return index;
}

Error IndexFile::damaged(const char* what) const {
    return fail(ErrorCode::corruption, file_->name() + ": damaged (" + what + "); compact() rebuilds the index");
}

Result<void> IndexFile::check_sizes(std::uint32_t rows, std::uint32_t dimension) const {
    const auto size = [this](SectionId id) { return file_->section(id).size(); };
    if (is_graph()) {
        const bool links = degree_ <= 4096 && size(SectionId::links) == std::uint64_t{rows} * degree_ * 4;
        const bool ranges = size(SectionId::walk_ranges) == std::uint64_t{dimension} * 8;
        const bool terms = size(SectionId::walk_terms) == 0 || size(SectionId::walk_terms) == std::uint64_t{rows} * 4;
        const bool bits = walk_bits_ == 4 || walk_bits_ == 8;
        if (!bits) return damaged("properties");
        if (!links || !ranges || !terms || size(SectionId::entry_points) % 4 != 0) return damaged("section sizes");
        return {};
    }
    const std::uint64_t lists = size(SectionId::list_ends) / 4;
    const bool centroids = size(SectionId::centroids) == lists * dimension * 4;
    if (!centroids || size(SectionId::list_rows) != std::uint64_t{rows} * 4) return damaged("section sizes");
    return {};
}

Result<std::shared_ptr<const LoadedGraph>> IndexFile::graph() const {
    DVESP_ASSERT(is_graph());
    const std::scoped_lock lock(graph_mutex_);
    if (graph_) return graph_;
    try {
        DVESP_ASSIGN(graph_, load_graph());
    } catch (const std::bad_alloc&) {
        return fail(ErrorCode::unavailable,
                    file_->name() + ": not enough memory to load the graph; free some and search again");
    }
    return graph_;
}

Result<std::shared_ptr<const LoadedGraph>> IndexFile::load_graph() const {
    const ByteView ranges = file_->section(SectionId::walk_ranges);
    const ByteView codes = file_->section(SectionId::walk_codes);
    const ByteView terms = file_->section(SectionId::walk_terms);
    const ByteView links = file_->section(SectionId::links);
    const ByteView entry_points = file_->section(SectionId::entry_points);
    for (const ByteView section : {ranges, codes, terms, links, entry_points}) {
        if (!file_->check(section)) return damaged("graph");
    }
    const std::span<const float> numbers = values_of<float>(ranges);
    const auto usable = [](float number) { return std::isfinite(number); };
    if (!std::all_of(numbers.begin(), numbers.end(), usable)) return damaged("ranges of the codes");
    const auto steps = numbers.begin() + dimension_;
    index::WalkCoding coding(metric_, walk_bits_, {numbers.begin(), steps}, {steps, numbers.end()});
    const bool sizes = codes.size() == rows_ * coding.stride() && terms.empty() != (coding.has_terms() && rows_ > 0);
    if (!sizes) return damaged("codes of the graph");
    const auto inside = [this](std::uint32_t row) { return row < rows_ || row == index::no_row; };
    const auto all_links = values_of<std::uint32_t>(links);
    const auto entries = values_of<std::uint32_t>(entry_points);
    if (!std::all_of(all_links.begin(), all_links.end(), inside) || !std::all_of(entries.begin(), entries.end(), inside)) {
        return damaged("a link points outside");
    }
    auto loaded = std::make_shared<LoadedGraph>(std::move(coding), codes.size() + links.size() + terms.size());
    std::uint8_t* memory = loaded->memory.data();
    const auto place = [&memory](ByteView section) {
        const std::uint8_t* start = memory;
        if (!section.empty()) std::memcpy(memory, section.data(), section.size());
        memory += section.size();
        return ByteView{start, section.size()};
    };
    index::GraphView& view = loaded->view;
    view.coding = &loaded->coding;
    view.codes = place(codes).data();
    view.links = values_of<std::uint32_t>(place(links));
    const auto term_values = values_of<float>(place(terms));
    view.terms = term_values.empty() ? nullptr : term_values.data();
    loaded->entry_points.assign(entries.begin(), entries.end());
    view.entry_points = loaded->entry_points;
    view.degree = degree_;
    view.rows = rows_;
    return std::shared_ptr<const LoadedGraph>(std::move(loaded));
}

Result<index::IvfView> IndexFile::ivf() const {
    DVESP_ASSERT(!is_graph());
    const ByteView centroids = file_->section(SectionId::centroids);
    const ByteView ends = file_->section(SectionId::list_ends);
    const ByteView rows = file_->section(SectionId::list_rows);
    if (!file_->check(centroids) || !file_->check(ends) || !file_->check(rows)) return damaged("inverted lists");
    return index::IvfView{values_of<float>(centroids), values_of<std::uint32_t>(ends), values_of<std::uint32_t>(rows)};
}

}  // namespace dvesp::store
