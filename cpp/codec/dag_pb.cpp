/// codec/dag_pb.cpp - reads and writes canonical DAG-PB.
#include "codec/dag_pb.hpp"

#include "codec/varint.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint8_t kind_varint = 0, kind_bytes = 2;
constexpr std::uint64_t key(std::uint64_t field, std::uint8_t kind) noexcept { return field << 3 | kind; }

void write_bytes(Writer& out, std::uint64_t field, ByteView bytes) {
    write_varint(out, key(field, kind_bytes));
    write_varint(out, bytes.size());
    out.raw(bytes);
}

std::vector<std::uint8_t> encode_link(const PbLink& link) {
    Writer out;
    write_bytes(out, 1, cid_bytes(link.cid));
    if (link.name.has_value()) write_bytes(out, 2, bytes_of(*link.name));
    if (link.total_bytes.has_value()) {
        write_varint(out, key(3, kind_varint));
        write_varint(out, *link.total_bytes);
    }
    return std::move(out.bytes());
}

/// Steps over `wanted` when it is the next key.
bool take_key(Reader& reader, std::uint64_t wanted) noexcept {
    Reader ahead = reader;
    if (ahead.at_end() || read_varint(ahead) != wanted || !ahead.ok()) return false;
    reader = ahead;
    return true;
}

Error malformed(const char* what) { return fail(ErrorCode::corruption, std::string("a DAG-PB block is malformed: ") + what); }

Result<PbLink> parse_link(ByteView bytes) {
    Reader reader(bytes);
    if (!take_key(reader, key(1, kind_bytes))) return malformed("a link has no hash in front");
    Reader hash(reader.view(read_varint(reader)));
    if (!reader.ok()) return malformed("a link ends early");
    PbLink link;
    DVESP_ASSIGN(link.cid, read_cid(hash));
    if (!hash.at_end()) return malformed("a link's hash goes on behind its end");
    if (take_key(reader, key(2, kind_bytes))) link.name = std::string(text_of(reader.view(read_varint(reader))));
    if (take_key(reader, key(3, kind_varint))) link.total_bytes = read_varint(reader);
    if (!reader.ok() || !reader.at_end()) return malformed("a link ends early, or has fields out of order");
    return link;
}

}  // namespace

std::vector<std::uint8_t> encode_dag_pb(const PbNode& node) {
    Writer out;
    for (const PbLink& link : node.links) write_bytes(out, 2, encode_link(link));
    if (node.data.has_value()) write_bytes(out, 1, *node.data);
    return std::move(out.bytes());
}

Result<PbNode> parse_dag_pb(ByteView block) {
    if (block.size() > ipfs_block_bytes_max) return malformed("more than 2 MiB");
    Reader reader(block);
    PbNode node;
    while (take_key(reader, key(2, kind_bytes))) {
        const ByteView bytes = reader.view(read_varint(reader));
        if (!reader.ok()) return malformed("it ends inside a link");
        DVESP_ASSIGN(PbLink link, parse_link(bytes));
        node.links.push_back(std::move(link));
    }
    if (take_key(reader, key(1, kind_bytes))) {
        const ByteView data = reader.view(read_varint(reader));
        node.data.emplace(data.begin(), data.end());
    }
    if (!reader.ok() || !reader.at_end()) return malformed("it ends early, or has fields out of order");
    return node;
}

}  // namespace dvesp::codec
