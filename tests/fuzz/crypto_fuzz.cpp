/// tests/fuzz/crypto_fuzz.cpp - libFuzzer target: what reads untrusted bytes in cpp/crypto refuses or answers right, and every
/// path of the sharing kernel answers as the portable one. Input bytes: u8 which | the rest, described at each function.
#include "crypto/base58.hpp"
#include "crypto/ssms.hpp"
#include "fuzz/fuzz_support.hpp"

using namespace dvesp;
using fuzz::Bytes;
using fuzz::require;
using fuzz::touch;

namespace {

/// text. A text that is read has one spelling.
void try_base58(fuzz::Input& input) {
    const ByteView given = input.rest();
    const Bytes text(given.begin(), given.end());  // its own block, so that the sanitizer guards its ends
    const auto decoded = crypto::base58_decode(text_of(text));
    if (!decoded.ok()) return;
    require(decoded->size() <= crypto::base58_bytes_max);
    require(bytes_of(crypto::base58_encode(decoded->bytes())).size() == text.size());
    require(crypto::equal(bytes_of(crypto::base58_encode(decoded->bytes())), text));
}

struct Given {
    std::vector<std::uint8_t> xs;
    std::vector<Bytes> fragments;

    [[nodiscard]] Result<crypto::SecretBytes> recover(crypto::Aes256Gcm& gcm, std::size_t payload_bytes) const {
        return crypto::recover(gcm, {}, xs, std::vector<ByteView>(fragments.begin(), fragments.end()), payload_bytes);
    }
};

/// u16 payload bytes | (x u8 | size u8 | fragment)*. Sizes that fit are likely only when the fuzzer learns them.
void try_any_fragments(fuzz::Input& input) {
    crypto::Aes256Gcm gcm;
    const std::size_t payload_bytes = input.u16();
    Given given;
    while (!input.empty() && given.xs.size() < 300) {
        given.xs.push_back(input.byte());
        const ByteView fragment = input.take(input.byte());
        given.fragments.emplace_back(fragment.begin(), fragment.end());
    }
    const auto payload = given.recover(gcm, payload_bytes);
    if (payload.ok()) touch(payload->bytes());
}

/// k u8 | n - k u8 | u16 payload bytes | (fragment u8 | place u16 | xor u8)*. Recovery from the last k of n, changed or not.
void try_changed_fragments(fuzz::Input& input) {
    crypto::Aes256Gcm gcm;
    const std::size_t k = 1 + input.byte() % 16;
    const std::size_t n = k + input.byte() % 16;
    const Bytes payload(input.u16() % 1000, 0x5a);
    std::vector<Bytes> fragments(n, Bytes(crypto::ssms_fragment_bytes(payload.size(), k)));
    crypto::AesCtrStream coefficients{crypto::Key32()};
    const std::vector<MutableBytes> places(fragments.begin(), fragments.end());
    require(crypto::disperse(gcm, crypto::Key32(), {}, payload, k, coefficients, places).ok());
    Given given;
    given.fragments.assign(fragments.end() - static_cast<std::ptrdiff_t>(k), fragments.end());
    for (std::size_t x = n - k + 1; x <= n; ++x) given.xs.push_back(static_cast<std::uint8_t>(x));
    while (!input.empty()) {
        Bytes& fragment = given.fragments[input.byte() % k];
        std::uint8_t& cell = fragment[input.u16() % fragment.size()];
        cell = static_cast<std::uint8_t>(cell ^ input.byte());
    }
    bool share_changed = false;  // two changed shares may still give the same key: that is no harm, the payload is the payload
    bool piece_changed = false;
    for (std::size_t index = 0; index < k; ++index) {
        const ByteView before = fragments[n - k + index];
        const ByteView after = given.fragments[index];
        share_changed |= !crypto::equal(before.first(crypto::key_bytes), after.first(crypto::key_bytes));
        piece_changed |= !crypto::equal(before.subspan(crypto::key_bytes), after.subspan(crypto::key_bytes));
    }
    const auto back = given.recover(gcm, payload.size());
    require(piece_changed ? !back.ok() : back.ok() || share_changed);
    if (back.ok()) require(crypto::equal(back->bytes(), payload));
}

/// weight count u8 | offset u8 | u8 repeats | weights | cells, in a circle.
void try_kernels(fuzz::Input& input) {
    const std::size_t in_count = input.byte() % 40;
    const std::size_t offset = input.byte() % 64;
    const std::size_t repeats = 1 + input.byte() % 4;
    const ByteView taken = input.take(in_count);
    Bytes weights(taken.begin(), taken.end());
    weights.resize(in_count);
    const ByteView cells = input.rest();
    const std::size_t bytes = cells.size() * repeats;
    std::vector<Bytes> ins(in_count, Bytes(offset + bytes));
    std::vector<const std::uint8_t*> pointers;
    for (std::size_t j = 0; j < in_count; ++j) {
        for (std::size_t b = 0; b < bytes; ++b) {
            ins[j][offset + b] = static_cast<std::uint8_t>(cells[(b + j) % cells.size()] ^ (j * 29 + b / cells.size()));
        }
        pointers.push_back(ins[j].data() + offset);
    }
    Bytes expected(bytes), out(offset + bytes);
    crypto::portable_sharing().weighted_sum(weights.data(), in_count, pointers.data(), expected.data(), bytes);
    for (const crypto::SharingKernel* path : crypto::available_sharing()) {
        path->weighted_sum(weights.data(), in_count, pointers.data(), out.data() + offset, bytes);
        require(std::equal(expected.begin(), expected.end(), out.begin() + static_cast<std::ptrdiff_t>(offset)));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    switch (input.byte() % 4) {
        case 0:
            try_base58(input);
            break;
        case 1:
            try_any_fragments(input);
            break;
        case 2:
            try_changed_fragments(input);
            break;
        default:
            try_kernels(input);
            break;
    }
    return 0;
}
