/// archive/solana_key.cpp - base58 by crypto, the curve's equation by OpenSSL's large numbers.
#include "archive/solana_key.hpp"

#include <openssl/bn.h>

#include <algorithm>
#include <memory>

#include "crypto/base58.hpp"
#include "crypto/openssl_owners.hpp"

namespace dvesp::archive {
namespace {

using OwnedNumber = std::unique_ptr<BIGNUM, crypto::OpensslFree<&BN_free>>;
using OwnedNumbers = std::unique_ptr<BN_CTX, crypto::OpensslFree<&BN_CTX_free>>;

OwnedNumber number(std::uint64_t value) {
    OwnedNumber out(BN_new());
    DVESP_ASSERT(out && BN_set_word(out.get(), value) == 1);
    return out;
}

/// The curve -x^2 + y^2 = 1 + d x^2 y^2 over the field of 2^255 - 19, where d = -121665 / 121666.
class Curve {
  public:
    Curve() : numbers_(BN_CTX_new()), prime_(number(1)), d_(number(121665)) {
        DVESP_ASSERT(numbers_);
        check(BN_lshift(prime_.get(), prime_.get(), 255));
        check(BN_sub_word(prime_.get(), 19));
        const OwnedNumber inverse = number(121666);
        DVESP_ASSERT(BN_mod_inverse(inverse.get(), inverse.get(), prime_.get(), numbers_.get()) != nullptr);
        check(BN_mod_mul(d_.get(), d_.get(), inverse.get(), prime_.get(), numbers_.get()));
        check(BN_sub(d_.get(), prime_.get(), d_.get()));
    }

    /// Whether x^2 = (y^2 - 1) / (d y^2 + 1) has a solution: u v is a square (or zero) exactly when u / v is.
    [[nodiscard]] bool has_x(const OwnedNumber& y) {
        const OwnedNumber square = number(0);
        const OwnedNumber u = number(0);
        const OwnedNumber v = number(0);
        const OwnedNumber one = number(1);
        check(BN_mod_sqr(square.get(), y.get(), prime_.get(), numbers_.get()));
        check(BN_mod_sub(u.get(), square.get(), one.get(), prime_.get(), numbers_.get()));
        check(BN_mod_mul(v.get(), d_.get(), square.get(), prime_.get(), numbers_.get()));
        check(BN_mod_add(v.get(), v.get(), one.get(), prime_.get(), numbers_.get()));
        check(BN_mod_mul(u.get(), u.get(), v.get(), prime_.get(), numbers_.get()));
        return BN_kronecker(u.get(), prime_.get(), numbers_.get()) >= 0;
    }

  private:
    static void check(int done) { DVESP_ASSERT(done == 1); }
    OwnedNumbers numbers_;
    OwnedNumber prime_;
    OwnedNumber d_;
};

}  // namespace

std::string key_text(const SolanaKey& key) { return crypto::base58_encode(key); }

Result<SolanaKey> parse_key(std::string_view text, std::string_view field) {
    const auto bytes = crypto::base58_decode(text);
    SolanaKey key;
    if (!bytes.ok() || bytes->size() != key.size()) {
        return fail(ErrorCode::invalid_argument,
                    std::string(field) + ": must be a key of 32 bytes in base58, 32 to 44 characters");
    }
    std::copy(bytes->bytes().begin(), bytes->bytes().end(), key.begin());
    return key;
}

bool is_on_curve(const SolanaKey& key) {
    SolanaKey big_endian = key;
    big_endian.back() &= 0x7f;  // the sign of x
    std::reverse(big_endian.begin(), big_endian.end());
    const OwnedNumber y(BN_bin2bn(big_endian.data(), static_cast<int>(big_endian.size()), nullptr));
    DVESP_ASSERT(y);
    return Curve().has_x(y);
}

ProgramAddress find_program_address(std::span<const ByteView> seeds, const SolanaKey& program) {
    DVESP_ASSERT(seeds.size() <= address_seeds_max);
    Sha256 hasher;
    for (int bump = 255; bump >= 0; --bump) {
        hasher.start();
        for (const ByteView seed : seeds) {
            DVESP_ASSERT(seed.size() <= address_seed_bytes_max);
            hasher.update(seed);
        }
        const auto last = static_cast<std::uint8_t>(bump);
        hasher.update({&last, 1});
        hasher.update(program);
        hasher.update(bytes_of("ProgramDerivedAddress"));
        const Hash key = hasher.finish();
        if (!is_on_curve(key)) return {key, last};
    }
    DVESP_ASSERT(false);  // every bump on the curve: one in 2^256
    return {};
}

}  // namespace dvesp::archive
