/// tests/fuzz/filter_index_fuzz.cpp - libFuzzer target: no bytes make the filter index crash or answer rows that are not there.
/// Input bytes: u16 length | filter_paths | filter_terms. The index is said to span 64 rows.
#include "fuzz/fuzz_support.hpp"
#include "store/filter_index.hpp"
#include "unit/json_model.hpp"

using namespace dvesp;
using fuzz::require;
using test::Json;
using test::JsonList;
using test::JsonMap;

namespace {

constexpr std::uint32_t row_count = 64;

const std::vector<store::Filter>& filters() {
    static const std::vector<store::Filter> all = [] {
        std::vector<store::Filter> out;
        const Json long_text(std::string(300, 'x'));
        for (const char* path : {"a", "b", "a.b"}) {
            for (const Json& condition :
                 {Json(1), Json("x"), Json(), Json(true), Json(JsonList{1}), long_text, Json(JsonMap{{"$gt", 0}}),
                  Json(JsonMap{{"$lte", "y"}}), Json(JsonMap{{"$lt", long_text}}),
                  Json(JsonMap{{"$in", Json(JsonList{1, "x", long_text})}}), Json(JsonMap{{"$nin", Json(JsonList{1, "x"})}}),
                  Json(JsonMap{{"$exists", true}}), Json(JsonMap{{"$exists", false}}), Json(JsonMap{{"$contains", "x"}}),
                  Json(JsonMap{{"$contains", 1}}), Json(JsonMap{{"$contains", Json(JsonList{1})}})}) {
                out.push_back(store::parse_filter(test::to_cbor(Json(JsonMap{{path, condition}}))).value());
            }
        }
        return out;
    }();
    return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const fuzz::Bytes metadata = test::to_cbor(Json(JsonMap{{"a", 1}, {"b", "xy"}}));
    fuzz::Input input(data, size);
    const ByteView paths_view = input.take(input.u16());
    const fuzz::Bytes paths(paths_view.begin(), paths_view.end());
    const ByteView terms_view = input.rest();
    const fuzz::Bytes terms(terms_view.begin(), terms_view.end());
    const auto index = store::FilterIndex::parse(paths, terms, row_count);
    if (!index.ok()) return 0;
    for (const store::Filter& filter : filters()) {
        const auto rows = index->evaluate(filter, [&](std::uint32_t row) {
            require(row < row_count);
            return row % 8 == 7 ? std::optional<ByteView>() : std::optional<ByteView>(metadata);
        });
        if (!rows.ok()) continue;
        const auto found = rows->rows();
        for (const std::uint32_t row : found) require(row < row_count);
    }
    return 0;
}
