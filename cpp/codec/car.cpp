/// codec/car.cpp - writes and reads CARv1 piece by piece.
#include "codec/car.hpp"

#include <algorithm>

#include "codec/cbor.hpp"
#include "codec/varint.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint8_t cbor_tag_42[] = {0xd8, 0x2a};  ///< DAG-CBOR's only tag: a CID, as bytes behind a zero
constexpr std::uint8_t cbor_bytes_short = 0x40, cbor_bytes_u8 = 0x58;

Error malformed(const char* what) { return fail(ErrorCode::corruption, std::string("a CAR is malformed: ") + what); }

void write_link(Writer& out, const Cid& cid) {
    const std::vector<std::uint8_t> bytes = cid_bytes(cid);
    const std::size_t size = bytes.size() + 1;
    out.raw(cbor_tag_42);
    if (size < 24) {
        out.number(static_cast<std::uint8_t>(cbor_bytes_short | size));
    } else {
        out.number(cbor_bytes_u8);
        out.number(static_cast<std::uint8_t>(size));
    }
    out.number(std::uint8_t{0});
    out.raw(bytes);
}

Result<Cid> read_link(Reader& reader) {
    const auto tag = reader.array<2>();
    const auto head = reader.number<std::uint8_t>();
    const bool is_short = head >= cbor_bytes_short && head < cbor_bytes_short + 24;
    if (!std::equal(tag.begin(), tag.end(), cbor_tag_42) || (!is_short && head != cbor_bytes_u8)) {
        return malformed("a root is no CID");
    }
    const std::uint64_t size = is_short ? head - cbor_bytes_short : reader.number<std::uint8_t>();
    Reader bytes(reader.view(size));
    if (!reader.ok() || bytes.number<std::uint8_t>() != 0 || !bytes.ok()) return malformed("a root is no CID");
    DVESP_ASSIGN(Cid cid, read_cid(bytes));
    if (!bytes.at_end()) return malformed("a root goes on behind its end");
    return cid;
}

bool take_text(Reader& reader, std::string_view wanted) {
    const cbor::Item item = cbor::read(reader);
    return item.kind == cbor::Kind::text && item.text == wanted;
}

}  // namespace

std::vector<std::uint8_t> encode_car_header(std::span<const Cid> roots) {
    DVESP_ASSERT(!roots.empty() && roots.size() <= car_roots_max);
    Writer header;
    cbor::write_map(header, 2);
    cbor::write_text(header, "roots");
    cbor::write_array(header, roots.size());
    for (const Cid& root : roots) write_link(header, root);
    cbor::write_text(header, "version");
    cbor::write_unsigned(header, 1);
    Writer out;
    write_varint(out, header.bytes().size());
    out.raw(header.bytes());
    return std::move(out.bytes());
}

std::vector<std::uint8_t> encode_car_section(const Cid& cid, std::uint64_t block_bytes) {
    const std::vector<std::uint8_t> name = cid_bytes(cid);
    Writer out;
    write_varint(out, name.size() + block_bytes);
    out.raw(name);
    return std::move(out.bytes());
}

Result<void> CarReader::feed(ByteView bytes) {
    while (!bytes.empty()) {
        if (wanted_ == 0) {
            DVESP_ASSIGN(const bool whole, take_length(bytes));
            if (!whole) continue;
        }
        if (section_.empty() && bytes.size() >= wanted_) {  // no copy of what is here as a whole
            const ByteView section = bytes.first(static_cast<std::size_t>(wanted_));
            bytes = bytes.subspan(section.size());
            wanted_ = 0;
            DVESP_TRY(take_section(section));
            continue;
        }
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(wanted_ - section_.size(), bytes.size()));
        section_.insert(section_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
        bytes = bytes.subspan(count);
        if (section_.size() < wanted_) continue;
        wanted_ = 0;
        const Result<void> taken = take_section(section_);
        section_.clear();
        DVESP_TRY(taken);
    }
    return {};
}

Result<bool> CarReader::take_length(ByteView& bytes) {
    length_.push_back(bytes.front());
    bytes = bytes.subspan(1);
    if (length_.back() >= 0x80 && length_.size() < varint_bytes_max) return false;
    Reader reader(length_);
    wanted_ = read_varint(reader);
    length_.clear();
    const std::size_t most = has_header_ ? ipfs_block_bytes_max + cid_bytes_max : car_header_bytes_max;
    if (!reader.ok() || wanted_ == 0 || wanted_ > most) return malformed("a section's length is wrong or over its bound");
    return true;
}

Result<void> CarReader::take_section(ByteView section) {
    if (!has_header_) return take_header(section);
    Reader reader(section);
    DVESP_ASSIGN(const Cid cid, read_cid(reader));
    const ByteView block = reader.view(reader.left());
    if (!cid.names(block)) {
        return fail(ErrorCode::integrity, "a block is not the one that its CID " + to_text(cid) + " names");
    }
    return sink_(cid, block);
}

Result<void> CarReader::take_header(ByteView header) {
    Reader reader(header);
    const cbor::Item map = cbor::read(reader);
    if (map.kind != cbor::Kind::map || map.count != 2 || !take_text(reader, "roots"))
        return malformed("its header has no roots");
    const cbor::Item list = cbor::read(reader);
    if (list.kind != cbor::Kind::array || list.count > car_roots_max) return malformed("its header has no roots, or too many");
    for (std::uint64_t index = 0; index < list.count; ++index) {
        DVESP_ASSIGN(Cid root, read_link(reader));
        roots_.push_back(std::move(root));
    }
    if (!take_text(reader, "version")) return malformed("its header has no version");
    const cbor::Item version = cbor::read(reader);
    if (version.kind != cbor::Kind::integer || version.negative || version.magnitude != 1 || !reader.at_end()) {
        return malformed("it is not of version 1");
    }
    has_header_ = true;
    return {};
}

Result<void> CarReader::finish() const {
    if (!has_header_) return malformed("it ends before its header");
    if (wanted_ != 0 || !length_.empty()) return malformed("it ends inside a block");
    return {};
}

}  // namespace dvesp::codec
