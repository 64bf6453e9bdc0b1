/// node/file_key_share.cpp - shares of the file key, wrapped and bound to their place.
#include "node/file_key_share.hpp"

#include "codec/byte_io.hpp"

namespace dvesp::node {
namespace {

constexpr std::string_view share_label = "dvesp/file-key-share/1";

}  // namespace

std::vector<std::uint8_t> encode_share(const WrappedShare& share) {
    codec::Writer out;
    out.bytes().reserve(sizeof(WrappedShare));
    out.raw(share.key_id);
    out.raw(share.nonce);
    out.raw(share.cipher);
    out.raw(share.tag);
    return std::move(out.bytes());
}

std::optional<WrappedShare> parse_share(ByteView bytes) {
    codec::Reader in(bytes);
    WrappedShare out;
    out.key_id = in.array<8>();
    out.nonce = in.array<crypto::nonce_bytes>();
    out.cipher = in.array<crypto::key_bytes>();
    out.tag = in.array<crypto::tag_bytes>();
    return in.ok() && in.at_end() ? std::optional(out) : std::nullopt;
}

std::vector<std::uint8_t> share_bound_to(const FleetRecord& record, std::size_t device) {
    codec::Writer out;
    out.bytes().reserve(share_label.size() + record.store_id.size() + record.file_key_id.size() + 1);
    out.raw(bytes_of(share_label));
    out.raw(record.store_id);
    out.raw(record.file_key_id);
    out.number(record.number(device));
    return std::move(out.bytes());
}

WrappedShare wrap_share(const FleetRecord& record, std::size_t device, const crypto::Key32& by, ByteView share,
                        PortRandom& random) {
    WrappedShare wrapped;
    wrapped.key_id = record.file_key_id;
    random.fill(wrapped.nonce);
    crypto::Aes256Gcm gcm;
    gcm.seal(by, wrapped.nonce, share_bound_to(record, device), share, wrapped.cipher, wrapped.tag);
    return wrapped;
}

}  // namespace dvesp::node
