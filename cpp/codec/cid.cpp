/// codec/cid.cpp - reads and writes content identifiers, as bytes and as text.
#include "codec/cid.hpp"

#include <algorithm>

#include "codec/varint.hpp"

namespace dvesp::codec {
namespace {

constexpr std::size_t digest_bytes = 32;

/// Version 0 is a bare multihash; its first two bytes cannot begin a CID of version 1.
bool begins_version_0(ByteView bytes) noexcept {
    return bytes.size() >= 2 && bytes[0] == hash_sha2_256 && bytes[1] == digest_bytes;
}

/// A whole CID in `bytes`, nothing behind it.
Result<Cid> whole_cid(ByteView bytes) {
    Reader reader(bytes);
    auto cid = read_cid(reader);
    if (!cid.ok()) return fail(ErrorCode::invalid_argument, cid.error().message);
    if (!reader.at_end()) return fail(ErrorCode::invalid_argument, "the CID goes on behind its end");
    return cid;
}

}  // namespace

bool Cid::names(ByteView block) const {
    if (hash_code == hash_identity) return std::equal(digest.begin(), digest.end(), block.begin(), block.end());
    const Hash hash = sha256(block);
    return std::equal(digest.begin(), digest.end(), hash.begin(), hash.end());
}

Cid cid_of(std::uint64_t codec, ByteView block) { return cid_of_digest(codec, sha256(block)); }

Cid cid_of_digest(std::uint64_t codec, const Hash& digest) {
    return {1, codec, hash_sha2_256, std::vector<std::uint8_t>(digest.begin(), digest.end())};
}

void write_cid(Writer& out, const Cid& cid) {
    if (cid.version != 0) {
        write_varint(out, cid.version);
        write_varint(out, cid.codec);
    }
    write_varint(out, cid.hash_code);
    write_varint(out, cid.digest.size());
    out.raw(cid.digest);
}

std::vector<std::uint8_t> cid_bytes(const Cid& cid) {
    Writer out;
    write_cid(out, cid);
    return std::move(out.bytes());
}

Result<Cid> read_multihash(Reader& reader, std::uint64_t codec) {
    Cid cid{1, codec, read_varint(reader), {}};
    const std::uint64_t length = read_varint(reader);
    if (!reader.ok()) return fail(ErrorCode::corruption, "the CID ends inside its hash");
    if (cid.hash_code != hash_sha2_256 && cid.hash_code != hash_identity) {
        return fail(ErrorCode::corruption, "the CID is by hash " + std::to_string(cid.hash_code) +
                                               "; only sha2-256 (18) and identity (0) are checked here");
    }
    if (cid.hash_code == hash_sha2_256 ? length != digest_bytes : length > identity_bytes_max) {
        return fail(ErrorCode::corruption, "the CID's hash has " + std::to_string(length) + " bytes");
    }
    const ByteView digest = reader.view(length);
    if (!reader.ok()) return fail(ErrorCode::corruption, "the CID ends inside its hash");
    cid.digest.assign(digest.begin(), digest.end());
    return cid;
}

Result<Cid> read_cid(Reader& reader) {
    Reader ahead = reader;
    if (begins_version_0(ahead.view(std::min<std::size_t>(2, ahead.left())))) {
        DVESP_ASSIGN(Cid cid, read_multihash(reader, codec_dag_pb));
        cid.version = 0;
        return cid;
    }
    const std::uint64_t version = read_varint(reader);
    const std::uint64_t codec = read_varint(reader);
    if (!reader.ok()) return fail(ErrorCode::corruption, "the CID ends before its hash");
    if (version != 1) return fail(ErrorCode::corruption, "the CID is of version " + std::to_string(version) + ", not 0 or 1");
    return read_multihash(reader, codec);
}

std::string to_text(const Cid& cid, Base base) {
    if (cid.version == 0) return encode_base(Base::base58, cid_bytes(cid));
    return static_cast<char>(base) + encode_base(base, cid_bytes(cid));
}

Result<Cid> parse_cid(std::string_view text) {
    if (text.size() == 46 && text.starts_with("Qm")) {
        DVESP_ASSIGN(const auto bytes, decode_base(Base::base58, text));
        return whole_cid(bytes);
    }
    DVESP_ASSIGN(const auto bytes, decode_multibase(text));
    if (begins_version_0(bytes))
        return fail(ErrorCode::invalid_argument, "a CID of version 0 has no letter for its base in front");
    return whole_cid(bytes);
}

}  // namespace dvesp::codec
