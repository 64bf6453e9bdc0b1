/// tests/fuzz/filter_fuzz.cpp - libFuzzer target: a filter means the same on rows and on the index of the same rows.
/// Input bytes: u16 length | filter in CBOR | (u16 length | metadata in CBOR)*.
#include <set>

#include "fuzz/fuzz_support.hpp"
#include "store/filter_index.hpp"

using namespace dvesp;
using fuzz::require;
namespace cbor = codec::cbor;

namespace {

/// Metadata comes from dicts, which have every key once. Steps over one valid item.
bool keys_repeat(codec::Reader& reader) {
    const cbor::Item item = cbor::read(reader);
    bool repeat = false;
    std::set<std::string_view> keys;
    for (std::uint64_t index = 0; index < item.count; ++index) {
        if (item.kind == cbor::Kind::map) repeat = !keys.insert(cbor::read(reader).text).second || repeat;
        repeat = keys_repeat(reader) || repeat;
    }
    return repeat;
}

bool is_metadata(ByteView bytes) {
    if (!cbor::valid(bytes)) return false;
    codec::Reader head(bytes);
    codec::Reader walk(bytes);
    return cbor::read(head).kind == cbor::Kind::map && !keys_repeat(walk);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const ByteView filter_bytes = input.take(input.u16());
    const auto filter = store::parse_filter(filter_bytes);
    std::vector<fuzz::Bytes> rows;
    store::FilterIndexBuilder builder;
    while (!input.empty() && rows.size() < 100) {
        const ByteView metadata = input.take(input.u16());
        if (!metadata.empty() && !is_metadata(metadata)) continue;
        builder.add(static_cast<std::uint32_t>(rows.size()), metadata);
        rows.emplace_back(metadata.begin(), metadata.end());
    }
    const auto sections = builder.finish();
    const auto index = store::FilterIndex::parse(sections.paths, sections.terms, static_cast<std::uint32_t>(rows.size()));
    require(index.ok());
    if (!filter.ok()) return 0;
    const auto passing = index->evaluate(*filter, [&](std::uint32_t row) { return std::optional<ByteView>(rows.at(row)); });
    require(passing.ok());
    for (std::uint32_t row = 0; row < rows.size(); ++row) require(passing->contains(row) == store::matches(*filter, rows[row]));
    require(passing->count() <= rows.size());
    return 0;
}
