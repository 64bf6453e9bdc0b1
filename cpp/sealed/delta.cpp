/// sealed/delta.cpp - names, keys and headers of dispersed changes.
#include "sealed/delta.hpp"

#include <algorithm>
#include <cstring>

#include "codec/byte_io.hpp"
#include "crypto/ssms.hpp"

namespace dvesp::sealed {
namespace {

constexpr std::array<std::uint8_t, 4> magic = {'D', 'V', 'D', 'E'};
constexpr std::uint8_t format = 1;
constexpr std::array<std::uint8_t, crypto::nonce_bytes> fixed_nonce{};  // every key seals one message
constexpr std::string_view id_label = "dvesp/delta-id/1", key_label = "dvesp/delta/1";

std::array<std::uint8_t, 16> bytes_of_name(const DeltaName& name) {
    std::array<std::uint8_t, 16> out{};
    codec::store(out.data(), name.seq);
    codec::store(out.data() + 8, name.shard);
    codec::store(out.data() + 12, name.part);
    out[14] = name.attempt;
    return out;
}

Error not_it(std::string_view what) {
    return fail(ErrorCode::integrity, "a part of the index is not what it should be (" + std::string(what) + ")");
}

}  // namespace

bool same_write(const DeltaShare& a, const DeltaShare& b) noexcept {
    return a.salt == b.salt && a.plan == b.plan && a.payload_bytes == b.payload_bytes && a.parts == b.parts &&
           a.stamp == b.stamp;
}

FragmentId DeltaSealer::id_of(const DeltaName& name, std::uint8_t index) const {
    return name_key_.mac({bytes_of(id_label), bytes_of_name(name), ByteView(&index, 1)});
}

crypto::Key32 DeltaSealer::key_of(const DeltaName& name, const RecordSalt& salt, std::uint8_t index) const {
    return index_key_.expand32({bytes_of(key_label), bytes_of_name(name), salt, ByteView(&index, 1)});
}

Result<void> DeltaSealer::seal(const DeltaName& name, const Plan& plan, std::uint16_t parts, std::uint64_t stamp,
                               ByteView payload, crypto::AesCtrStream& coefficients,
                               std::vector<std::vector<std::uint8_t>>& fragments) {
    if (payload.size() > delta_part_bytes) return fail(ErrorCode::invalid_argument, "a part of the index is too long");
    DeltaShare one{0, plan, parts, payload.size(), stamp, {}, {}};
    crypto::Key32 key;
    coefficients.fill(one.salt);
    coefficients.fill(key.bytes());
    const std::size_t share_bytes = crypto::ssms_fragment_bytes(payload.size(), plan.k);
    std::vector<std::vector<std::uint8_t>> shares(plan.n, std::vector<std::uint8_t>(share_bytes));
    const std::vector<MutableBytes> views(shares.begin(), shares.end());
    DVESP_TRY(crypto::disperse(gcm_, key, one.salt, payload, plan.k, coefficients, views));
    fragments.resize(plan.n);
    for (std::uint8_t at = 0; at < plan.n; ++at) {
        one.index = static_cast<std::uint8_t>(at + 1);
        one.share = std::move(shares[at]);
        fragments[at] = write_fragment(name, one);
        crypto::wipe(one.share);
    }
    return {};
}

std::vector<std::uint8_t> DeltaSealer::write_fragment(const DeltaName& name, const DeltaShare& share) {
    std::vector<std::uint8_t> out(delta_head_bytes + share.share.size() + crypto::tag_bytes, 0);
    std::copy(magic.begin(), magic.end(), out.begin());
    out[4] = format;
    out[5] = share.plan.k;
    out[6] = share.plan.n;
    out[7] = share.index;
    codec::store(out.data() + 8, share.payload_bytes);
    codec::store(out.data() + 16, share.parts);
    codec::store(out.data() + 24, share.stamp);
    std::copy(share.salt.begin(), share.salt.end(), out.begin() + 32);
    const MutableBytes cipher(out.data() + delta_head_bytes, share.share.size());
    const crypto::MutableTag tag(out.data() + delta_head_bytes + share.share.size(), crypto::tag_bytes);
    const ByteView head = ByteView(out).first(delta_head_bytes);
    gcm_.seal(key_of(name, share.salt, share.index), fixed_nonce, head, share.share, cipher, tag);
    return out;
}

Result<std::vector<std::uint8_t>> DeltaSealer::remake(const DeltaName& name, std::uint8_t index,
                                                      const std::vector<DeltaShare>& shares) {
    if (shares.empty() || shares.size() != shares.front().plan.k) return not_it("there are not as many fragments as needed");
    std::vector<std::uint8_t> xs;
    std::vector<ByteView> views;
    for (const DeltaShare& share : shares) {
        if (!same_write(share, shares.front())) return not_it("its fragments are of different writes");
        xs.push_back(share.index);
        views.emplace_back(share.share);
    }
    DeltaShare one = shares.front();
    one.index = index;
    if (!crypto::fragment_again(xs, views, index, one.share).ok()) return not_it("its fragments do not agree");
    auto out = write_fragment(name, one);
    crypto::wipe(one.share);
    return out;
}

Result<DeltaShare> DeltaSealer::open(const DeltaName& name, std::uint8_t index, ByteView bytes) {
    if (bytes.size() < delta_head_bytes + crypto::key_bytes + crypto::tag_bytes) return not_it("it is too short");
    if (!std::equal(magic.begin(), magic.end(), bytes.begin()) || bytes[4] != format) return not_it("it is of another kind");
    DeltaShare out;
    out.plan = {bytes[5], bytes[6]};
    out.index = bytes[7];
    out.payload_bytes = codec::load<std::uint64_t>(bytes.data() + 8);
    out.parts = codec::load<std::uint16_t>(bytes.data() + 16);
    out.stamp = codec::load<std::uint64_t>(bytes.data() + 24);
    std::copy_n(bytes.begin() + 32, out.salt.size(), out.salt.begin());
    const std::size_t share_bytes = bytes.size() - delta_head_bytes - crypto::tag_bytes;
    const bool is_shaped = out.plan.k >= 1 && out.plan.k <= out.plan.n && out.index == index && out.parts >= 1 &&
                           out.payload_bytes <= delta_part_bytes &&
                           share_bytes == crypto::ssms_fragment_bytes(out.payload_bytes, out.plan.k);
    if (!is_shaped) return not_it("its header is wrong");
    out.share.resize(share_bytes);
    const crypto::TagView tag(bytes.data() + delta_head_bytes + share_bytes, crypto::tag_bytes);
    const auto opened = gcm_.open(key_of(name, out.salt, index), fixed_nonce, bytes.first(delta_head_bytes),
                                  bytes.subspan(delta_head_bytes, share_bytes), tag, out.share);
    if (!opened.ok()) return not_it("it was changed, or is another one");
    return out;
}

Result<crypto::SecretBytes> DeltaSealer::join(const std::vector<DeltaShare>& shares) {
    std::vector<std::uint8_t> xs;
    std::vector<ByteView> views;
    for (const DeltaShare& share : shares) {
        const DeltaShare& first = shares.front();
        if (!same_write(share, first)) return not_it("its fragments are of different writes");
        xs.push_back(share.index);
        views.emplace_back(share.share);
    }
    if (shares.empty() || shares.size() != shares.front().plan.k) return not_it("there are not as many fragments as needed");
    auto payload = crypto::recover(gcm_, shares.front().salt, xs, views, shares.front().payload_bytes);
    if (!payload.ok()) return not_it("its fragments do not agree");
    return payload;
}

}  // namespace dvesp::sealed
