/// tests/fuzz/cbor_fuzz.cpp - libFuzzer target: readers of CBOR stay inside; what is valid has one encoding.
/// Input bytes: u8 path length | path | CBOR.
#include "codec/cbor.hpp"
#include "fuzz/fuzz_support.hpp"
#include "store/term_key.hpp"

using namespace dvesp;
using fuzz::require;
namespace cbor = codec::cbor;

namespace {

/// Writes again what it reads.
void copy_item(codec::Reader& in, codec::Writer& out) {
    const cbor::Item item = cbor::read(in);
    switch (item.kind) {
        case cbor::Kind::null:
            return cbor::write_null(out);
        case cbor::Kind::boolean:
            return cbor::write_boolean(out, item.boolean);
        case cbor::Kind::real:
            return cbor::write_real(out, item.real);
        case cbor::Kind::text:
            return cbor::write_text(out, item.text);
        case cbor::Kind::integer: {
            const std::size_t head = out.bytes().size();
            cbor::write_unsigned(out, item.magnitude);
            if (item.negative) out.bytes()[head] |= 0x20;
            return;
        }
        case cbor::Kind::array:
            cbor::write_array(out, item.count);
            for (std::uint64_t index = 0; index < item.count; ++index) copy_item(in, out);
            return;
        case cbor::Kind::map:
            cbor::write_map(out, item.count);
            for (std::uint64_t index = 0; index < 2 * item.count; ++index) copy_item(in, out);
            return;
        case cbor::Kind::malformed:
            std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::string path(text_of(input.take(input.byte())));
    const ByteView given = input.rest();
    const fuzz::Bytes bytes(given.begin(), given.end());  // its own block, so that the sanitizer guards its ends
    codec::Reader reader(bytes);
    const bool skipped = cbor::skip(reader);
    const bool ended = reader.at_end();
    const auto key = store::term_key(bytes);
    if (!cbor::valid(bytes)) return 0;
    require(skipped && ended);
    codec::Reader in(bytes);
    codec::Writer out;
    copy_item(in, out);
    require(out.bytes() == bytes);
    codec::Reader head(bytes);
    const cbor::Item item = cbor::read(head);
    if (key) require(item.kind != cbor::Kind::map && item.kind != cbor::Kind::array);
    if (item.kind != cbor::Kind::map) return 0;
    const auto found = cbor::find(bytes, path);
    if (found) require(cbor::valid(*found));
    return 0;
}
