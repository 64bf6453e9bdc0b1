/// crypto/ctr_stream.cpp - the keystream is what zeros are encrypted to.
#include "crypto/ctr_stream.hpp"

#include <algorithm>
#include <array>

#include "base/assert.hpp"

namespace dvesp::crypto {
namespace {

constexpr std::size_t call_bytes_max = std::size_t{1} << 30;  // EVP counts in int

}  // namespace

AesCtrStream::AesCtrStream(const Key32& seed)
    : algorithm_(EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr)), context_(EVP_CIPHER_CTX_new()) {
    static constexpr std::array<std::uint8_t, 16> counter_zero{};
    DVESP_ASSERT(algorithm_ && context_);
    DVESP_ASSERT(EVP_EncryptInit_ex2(context_.get(), algorithm_.get(), seed.bytes().data(), counter_zero.data(), nullptr) == 1);
}

void AesCtrStream::fill(MutableBytes out) {
    std::fill(out.begin(), out.end(), std::uint8_t{0});
    while (!out.empty()) {
        const MutableBytes part = out.first(std::min(out.size(), call_bytes_max));
        int written = 0;
        DVESP_ASSERT(EVP_EncryptUpdate(context_.get(), part.data(), &written, part.data(), static_cast<int>(part.size())) == 1);
        DVESP_ASSERT(static_cast<std::size_t>(written) == part.size());
        out = out.subspan(part.size());
    }
}

}  // namespace dvesp::crypto
