/// sealed/fragment.cpp - payload, shares, keys, headers.
#include "sealed/fragment.hpp"

#include <algorithm>
#include <cstring>

#include "codec/byte_io.hpp"
#include "crypto/sharing.hpp"
#include "crypto/ssms.hpp"

namespace dvesp::sealed {
namespace {

constexpr std::array<std::uint8_t, 4> magic = {'D', 'V', 'F', 'R'};
constexpr std::uint8_t format = 1;
constexpr std::array<std::uint8_t, crypto::nonce_bytes> fixed_nonce{};  // every key seals one message
constexpr std::string_view key_label = "dvesp/frag/1", commitment_label = "dvesp/commit/1", id_label = "dvesp/fragid/1",
                           payload_label = "dvesp/payload/1";

/// Lengths in front, so that no two names run into the same bytes.
std::array<std::uint8_t, 12> lengths_of(const RecordName& name) {
    std::array<std::uint8_t, 12> out;
    codec::store(out.data(), static_cast<std::uint16_t>(name.collection.size()));
    codec::store(out.data() + 2, static_cast<std::uint16_t>(name.id.size()));
    codec::store(out.data() + 4, name.version);
    return out;
}

Error not_it(std::string_view what) {
    return fail(ErrorCode::integrity, "a fragment is not what it should be (" + std::string(what) + ")");
}

/// format | name | index | k | n | mode | bytes of the payload
std::vector<std::uint8_t> bound_to(const RecordName& name, const Plan& plan, Mode mode, std::uint8_t index,
                                   std::uint32_t payload_bytes) {
    codec::Writer out;
    out.number(format);
    out.raw(lengths_of(name));
    out.raw(bytes_of(name.collection));
    out.raw(bytes_of(name.id));
    out.number(index);
    out.number(plan.k);
    out.number(plan.n);
    out.number(static_cast<std::uint8_t>(mode));
    out.number(payload_bytes);
    return std::move(out.bytes());
}

}  // namespace

RecordSealer::RecordSealer(const crypto::Key32& data_key, const crypto::Key32& name_key)
    : data_key_(data_key.bytes()), name_key_(name_key.bytes()) {}

FragmentId RecordSealer::id_of(const RecordName& name, std::uint8_t index) const {
    return name_key_.mac(
        {bytes_of(id_label), lengths_of(name), bytes_of(name.collection), bytes_of(name.id), name.salt, ByteView(&index, 1)});
}

crypto::Key32 RecordSealer::fragment_key(const RecordName& name, std::uint8_t index) const {
    return data_key_.expand32(
        {bytes_of(key_label), lengths_of(name), bytes_of(name.collection), bytes_of(name.id), name.salt, ByteView(&index, 1)});
}

crypto::Key32 RecordSealer::commitment(const RecordName& name) const {
    return data_key_.expand32(
        {bytes_of(commitment_label), lengths_of(name), bytes_of(name.collection), bytes_of(name.id), name.salt});
}

std::array<std::uint8_t, payload_tag_bytes> RecordSealer::payload_tag(const RecordName& name, ByteView payload) const {
    const Hash mac = data_key_.mac(
        {bytes_of(payload_label), lengths_of(name), bytes_of(name.collection), bytes_of(name.id), name.salt, payload});
    std::array<std::uint8_t, payload_tag_bytes> tag;
    std::copy_n(mac.begin(), tag.size(), tag.begin());
    return tag;
}

std::size_t RecordSealer::fragment_bytes(std::size_t payload_bytes, const Plan& plan, Mode mode) noexcept {
    const std::size_t share = mode == Mode::shamir ? payload_bytes : crypto::ssms_fragment_bytes(payload_bytes, plan.k);
    return fragment_head_bytes + share + crypto::tag_bytes;
}

void RecordSealer::write_fragment(const RecordName& name, const Plan& plan, Mode mode, std::uint8_t index, ByteView share,
                                  const crypto::Key32& commitment, std::vector<std::uint8_t>& out) {
    out.resize(fragment_head_bytes + share.size() + crypto::tag_bytes);
    std::uint8_t* head = out.data();
    std::memset(head, 0, fragment_head_bytes);
    std::copy(magic.begin(), magic.end(), head);
    head[4] = format;
    head[5] = static_cast<std::uint8_t>(mode);
    head[6] = plan.k;
    head[7] = plan.n;
    head[8] = index;
    codec::store(head + 12, payload_bytes_);
    std::copy(name.salt.begin(), name.salt.end(), head + 16);
    std::copy_n(commitment.bytes().begin(), crypto::key_bytes, head + 32);
    const MutableBytes cipher(out.data() + fragment_head_bytes, share.size());
    const crypto::MutableTag tag(out.data() + fragment_head_bytes + share.size(), crypto::tag_bytes);
    gcm_.seal(fragment_key(name, index), fixed_nonce, bound_to(name, plan, mode, index, payload_bytes_), share, cipher, tag);
}

Result<void> RecordSealer::seal(const RecordName& name, const Plan& plan, Mode mode, std::span<const float> vector,
                                ByteView metadata, crypto::AesCtrStream& coefficients,
                                std::vector<std::vector<std::uint8_t>>& fragments) {
    const std::size_t body = vector.size_bytes() + metadata.size();
    if (body > fragment_payload_bytes_max) return fail(ErrorCode::invalid_argument, "the record is too long to be sealed");
    payload_ = crypto::SecretBytes(body + payload_tag_bytes);
    payload_bytes_ = static_cast<std::uint32_t>(payload_.size());
    std::memcpy(payload_.bytes().data(), vector.data(), vector.size_bytes());
    if (!metadata.empty()) std::memcpy(payload_.bytes().data() + vector.size_bytes(), metadata.data(), metadata.size());
    const auto tag = payload_tag(name, payload_.bytes().first(body));
    std::copy(tag.begin(), tag.end(), payload_.bytes().begin() + static_cast<std::ptrdiff_t>(body));
    const std::size_t share_bytes =
        mode == Mode::shamir ? payload_.size() : crypto::ssms_fragment_bytes(payload_.size(), plan.k);
    shares_.resize(plan.n);
    std::vector<MutableBytes> views;
    for (auto& share : shares_) {
        share.resize(share_bytes);
        views.emplace_back(share);
    }
    if (mode == Mode::shamir) {
        DVESP_TRY(crypto::split(payload_.bytes(), plan.k, coefficients, views));
    } else {
        crypto::Key32 key;
        coefficients.fill(key.bytes());
        DVESP_TRY(crypto::disperse(gcm_, key, name.salt, payload_.bytes(), plan.k, coefficients, views));
    }
    const crypto::Key32 committed = commitment(name);
    fragments.resize(plan.n);
    for (std::uint8_t at = 0; at < plan.n; ++at) {
        write_fragment(name, plan, mode, static_cast<std::uint8_t>(at + 1), shares_[at], committed, fragments[at]);
        crypto::wipe(shares_[at]);
    }
    return {};
}

Result<std::vector<std::uint8_t>> RecordSealer::open_share(const RecordName& name, const Plan& plan, Mode mode,
                                                           std::uint8_t index, ByteView bytes) {
    if (bytes.size() < fragment_head_bytes + crypto::tag_bytes) return not_it("it is too short");
    const std::uint8_t* head = bytes.data();
    if (!std::equal(magic.begin(), magic.end(), head) || head[4] != format || head[9] != 0 || head[10] != 0 || head[11] != 0)
        return not_it("it is of another kind");
    const bool is_ours =
        head[5] == static_cast<std::uint8_t>(mode) && head[6] == plan.k && head[7] == plan.n && head[8] == index;
    if (!is_ours) return not_it("it is another one of the record's, or of another plan");
    if (!crypto::equal(ByteView(head + 16, name.salt.size()), name.salt)) return not_it("it is of another write");
    if (!crypto::equal(ByteView(head + 32, crypto::key_bytes), commitment(name).bytes())) return not_it("its key is another");
    payload_bytes_ = codec::load<std::uint32_t>(head + 12);
    const std::size_t share_bytes = bytes.size() - fragment_head_bytes - crypto::tag_bytes;
    if (payload_bytes_ < payload_tag_bytes || payload_bytes_ > fragment_payload_bytes_max + payload_tag_bytes ||
        bytes.size() != fragment_bytes(payload_bytes_, plan, mode)) {
        return not_it("its length is wrong");
    }
    std::vector<std::uint8_t> share(share_bytes);
    const crypto::TagView tag(bytes.data() + fragment_head_bytes + share_bytes, crypto::tag_bytes);
    const auto opened = gcm_.open(fragment_key(name, index), fixed_nonce, bound_to(name, plan, mode, index, payload_bytes_),
                                  bytes.subspan(fragment_head_bytes, share_bytes), tag, share);
    if (!opened.ok()) return not_it("it was changed");
    return share;
}

Result<OpenedRecord> RecordSealer::join(const RecordName& name, const Plan& plan, Mode mode, std::span<const std::uint8_t> xs,
                                        const std::vector<std::vector<std::uint8_t>>& shares, std::uint32_t dimension) {
    if (xs.size() != plan.k || shares.size() != plan.k) return fail(ErrorCode::invalid_argument, "exactly k shares are needed");
    const std::vector<ByteView> views(shares.begin(), shares.end());
    crypto::SecretBytes whole;
    if (mode == Mode::shamir) {
        whole = crypto::SecretBytes(shares.front().size());
        if (!crypto::combine(xs, views, whole.bytes()).ok()) return not_it("the shares have different lengths");
    } else {
        auto recovered = crypto::recover(gcm_, name.salt, xs, views, payload_bytes_);
        if (!recovered.ok()) return not_it("the shares do not belong together");
        whole = std::move(*recovered);
    }
    const std::size_t vector_bytes = std::size_t{dimension} * sizeof(float);
    if (whole.size() < payload_tag_bytes + vector_bytes) return not_it("the record is too short");
    const ByteView body = static_cast<const crypto::SecretBytes&>(whole).bytes().first(whole.size() - payload_tag_bytes);
    if (!crypto::equal(payload_tag(name, body), whole.bytes().subspan(body.size()))) return not_it("the shares do not agree");
    return OpenedRecord{crypto::SecretBytes::copy_of(body), static_cast<std::uint32_t>(vector_bytes)};
}

Result<std::vector<std::uint8_t>> RecordSealer::remake(const RecordName& name, const Plan& plan, std::uint8_t index,
                                                       std::span<const std::uint8_t> xs,
                                                       const std::vector<std::vector<std::uint8_t>>& shares) {
    if (xs.size() != plan.k || shares.size() != plan.k) return fail(ErrorCode::invalid_argument, "exactly k shares are needed");
    const std::vector<ByteView> views(shares.begin(), shares.end());
    std::vector<std::uint8_t> share(shares.front().size());
    if (!crypto::share_again(xs, views, index, share).ok()) return not_it("the shares have different lengths");
    payload_bytes_ = static_cast<std::uint32_t>(share.size());
    std::vector<std::uint8_t> out;
    write_fragment(name, plan, Mode::shamir, index, share, commitment(name), out);
    crypto::wipe(share);
    return out;
}

}  // namespace dvesp::sealed
