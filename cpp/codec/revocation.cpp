/// codec/revocation.cpp - encoding and bounded parsing of revocations.
#include "codec/revocation.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "codec/byte_io.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint32_t magic = 0x56525644;  // "DVRV"
constexpr std::uint8_t version = 1;
constexpr std::size_t signature_length_at = 100;
constexpr std::string_view purpose = "dvesp/revocation/1\n";  // no signature of the CA for anything else fits

constexpr std::array reasons = {
    std::pair{RevocationReason::unspecified, "unspecified"},
    std::pair{RevocationReason::key_compromise, "key_compromise"},
    std::pair{RevocationReason::affiliation_changed, "affiliation_changed"},
    std::pair{RevocationReason::superseded, "superseded"},
    std::pair{RevocationReason::cessation_of_operation, "cessation_of_operation"},
    std::pair{RevocationReason::privilege_withdrawn, "privilege_withdrawn"},
};

bool is_reason(std::uint8_t number) {
    return std::any_of(reasons.begin(), reasons.end(),
                       [&](const auto& one) { return static_cast<std::uint8_t>(one.first) == number; });
}

Error malformed() { return fail(ErrorCode::invalid_argument, "a revocation is malformed"); }

}  // namespace

const char* reason_name(RevocationReason reason) noexcept {
    for (const auto& [one, name] : reasons) {
        if (one == reason) return name;
    }
    return "unspecified";
}

std::optional<RevocationReason> reason_named(std::string_view name) noexcept {
    for (const auto& [one, known] : reasons) {
        if (name == known) return one;
    }
    return std::nullopt;
}

std::vector<std::uint8_t> encode_revocation(const Revocation& entry) {
    const std::size_t serial_bytes = entry.serial.size(), signature_bytes = entry.signature.size();
    DVESP_ASSERT(serial_bytes >= 1 && serial_bytes <= serial_bytes_max && entry.serial.front() != 0);
    DVESP_ASSERT(signature_bytes <= revocation_signature_bytes_max);
    std::vector<std::uint8_t> out(revocation_head_bytes + signature_bytes);
    store(out.data(), magic);
    out[4] = version;
    out[5] = static_cast<std::uint8_t>(entry.reason);
    out[6] = static_cast<std::uint8_t>(serial_bytes);
    store(&out[8], entry.revoked_at_s);
    std::copy(entry.ca.begin(), entry.ca.end(), out.begin() + 16);
    std::copy(entry.key.begin(), entry.key.end(), out.begin() + 48);
    std::copy(entry.serial.begin(), entry.serial.end(), out.begin() + 80);
    store(&out[signature_length_at], static_cast<std::uint16_t>(signature_bytes));
    std::copy(entry.signature.begin(), entry.signature.end(), out.begin() + revocation_head_bytes);
    return out;
}

Result<Revocation> parse_revocation(ByteView bytes) {
    Reader in(bytes);
    Revocation entry;
    if (in.number<std::uint32_t>() != magic || in.number<std::uint8_t>() != version) return malformed();
    const auto reason = in.number<std::uint8_t>();
    const auto serial_bytes = in.number<std::uint8_t>();
    if (in.number<std::uint8_t>() != 0 || !is_reason(reason)) return malformed();
    entry.reason = static_cast<RevocationReason>(reason);
    entry.revoked_at_s = in.number<std::uint64_t>();
    entry.ca = in.array<32>();
    entry.key = in.array<32>();
    const auto serial = in.array<serial_bytes_max>();
    const auto signature_bytes = in.number<std::uint16_t>();
    const auto reserved = in.number<std::uint16_t>();
    if (!in.ok() || reserved != 0 || serial_bytes < 1 || serial_bytes > serial_bytes_max || serial.front() == 0)
        return malformed();
    if (std::any_of(serial.begin() + serial_bytes, serial.end(), [](std::uint8_t byte) { return byte != 0; }))
        return malformed();
    if (signature_bytes > revocation_signature_bytes_max || in.left() != signature_bytes) return malformed();
    entry.serial.assign(serial.begin(), serial.begin() + serial_bytes);
    const ByteView signature = in.view(signature_bytes);
    entry.signature.assign(signature.begin(), signature.end());
    return entry;
}

std::vector<std::uint8_t> revocation_text(ByteView entry) {
    DVESP_ASSERT(entry.size() >= revocation_signed_bytes);
    std::vector<std::uint8_t> out(purpose.size() + revocation_signed_bytes);
    std::copy(purpose.begin(), purpose.end(), out.begin());
    std::copy(entry.begin(), entry.begin() + revocation_signed_bytes, out.begin() + purpose.size());
    return out;
}

Hash revocation_name(ByteView entry) { return sha256(revocation_text(entry)); }

Result<std::vector<ByteView>> split_revocations(ByteView file) {
    std::vector<ByteView> out;
    while (!file.empty()) {
        if (out.size() == revocations_max)
            return fail(ErrorCode::invalid_argument, "more than " + std::to_string(revocations_max) + " revocations");
        if (file.size() < revocation_head_bytes) return malformed();
        const std::size_t bytes = revocation_head_bytes + load<std::uint16_t>(&file[signature_length_at]);
        if (bytes > file.size()) return malformed();
        DVESP_TRY(parse_revocation(file.first(bytes)));
        out.push_back(file.first(bytes));
        file = file.subspan(bytes);
    }
    return out;
}

}  // namespace dvesp::codec
