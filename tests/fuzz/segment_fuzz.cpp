/// tests/fuzz/segment_fuzz.cpp - libFuzzer target: no file makes a segment crash, whatever is asked of it.
/// Input bytes: u8 mode (fuzz_support.hpp, content_file) | file or sections.
#include "base/ids.hpp"
#include "fuzz/fuzz_support.hpp"
#include "store/segment.hpp"
#include "unit/json_model.hpp"

using namespace dvesp;
using fuzz::require;
using fuzz::touch;

namespace {

struct Everyone final : index::RowPredicate {
    [[nodiscard]] bool accepts(std::uint32_t) const noexcept override { return true; }
};

void touch_rows(const store::Segment& segment) {
    const std::uint32_t rows = std::min(segment.rows(), 300U);
    for (std::uint32_t row = 0; row < rows; ++row) {
        const auto read = segment.row(row);
        if (read.ok()) {
            touch(read->id);
            touch(read->metadata);
            touch(read->parent);
            touch({reinterpret_cast<const std::uint8_t*>(read->vector), segment.properties().dimension * sizeof(float)});
            static_cast<void>(segment.find(read->id, id_key(read->id), 1, segment.rows()).ok());
        }
        static_cast<void>(segment.row_leaf(row).ok());
        static_cast<void>(segment.id(row).has_value());
    }
    for (const char* id : {"", "g1", "l7", "x"}) static_cast<void>(segment.find(id, id_key(id), 1, segment.rows()).ok());
    for (std::uint32_t index = 0; index < std::min(segment.batch_count(), 50U); ++index)
        static_cast<void>(segment.batch(index).ok());
    for (std::uint32_t index = 0; index < std::min(segment.leaf_count(), 300U); ++index)
        static_cast<void>(segment.leaf(index).ok());
    static_cast<void>(segment.verify_ids().ok());
}

void search(const store::Segment& segment) {
    const std::vector<float> query(segment.properties().dimension, 0.5F);
    for (const index::Metric metric : {index::Metric::cosine, index::Metric::l2, index::Metric::dot_product}) {
        const index::CodedQuery coded(segment.coding(), metric, query.data(), index::Margin::rigorous);
        const Everyone everyone;
        index::FlatScan scan(coded, 5, everyone);
        if (!segment.scan(scan, segment.rows()).ok()) continue;
        const auto found = scan.finish(segment);
        for (const index::Neighbor& neighbor : found.nearest) require(neighbor.row < segment.rows());
    }
}

void filter(const store::Segment& segment) {
    using test::Json;
    using test::JsonList;
    using test::JsonMap;
    static const std::vector<Json> filters = {Json(JsonMap{{"n", Json(JsonMap{{"$gte", 3}, {"$lt", 7}})}}),
                                              Json(JsonMap{{"tags", "red"}}),
                                              Json(JsonMap{{"nested.deep", Json(JsonMap{{"$exists", false}})}}),
                                              Json(JsonMap{{"t", Json(JsonMap{{"$contains", "x"}})}}),
                                              Json(JsonMap{{"tags", Json(JsonList{"red"})}}),
                                              Json(JsonMap{{"n", Json(JsonMap{{"$nin", Json(JsonList{1, 2})}})}})};
    for (const Json& json : filters) {
        const auto bytes = test::to_cbor(json);
        const auto passing = segment.passing(store::parse_filter(bytes).value(), bytes);
        if (!passing.ok()) continue;
        const auto rows = (*passing)->rows();
        for (const std::uint32_t row : rows) require(row < segment.rows());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const fuzz::Bytes file = fuzz::content_file(input, codec::FileKind::segment);
    static_cast<void>(codec::parse_footer(file).ok());
    const auto files = fuzz::files_with(file);
    const auto segment = store::Segment::open(*files, Hash{});
    if (!segment.ok()) return 0;
    static_cast<void>((*segment)->checked_file().count_damaged_blocks());
    touch_rows(**segment);
    filter(**segment);
    search(**segment);
    return 0;
}
