/// crypto/kdf.cpp - scrypt by OpenSSL.
#include "crypto/kdf.hpp"

#include <bit>

#include "crypto/openssl_owners.hpp"

namespace dvesp::crypto {
namespace {

Result<void> check_cost(const ScryptCost& cost) {
    if (!std::has_single_bit(cost.n) || cost.n < 2) return fail(ErrorCode::invalid_argument, "scrypt's N is a power of two");
    if (cost.r < 1 || cost.r > scrypt_r_max || cost.p < 1 || cost.p > scrypt_p_max) {
        return fail(ErrorCode::invalid_argument, "scrypt's r and p are 1 to 64");
    }
    if (cost.n > scrypt_memory_bytes_max / (std::uint64_t{128} * cost.r)) {
        return fail(ErrorCode::invalid_argument, "scrypt with these N and r takes more than 1 GiB of memory");
    }
    return {};
}

}  // namespace

Result<Key32> scrypt(ByteView passphrase, ByteView salt, const ScryptCost& cost) {
    DVESP_TRY(check_cost(cost));
    if (passphrase.size() > passphrase_bytes_max || salt.size() > passphrase_bytes_max) {
        return fail(ErrorCode::invalid_argument, "a passphrase or its salt has more than 4096 bytes");
    }
    const QuietErrors quiet;
    const std::uint64_t memory_max = 2 * scrypt_memory_bytes_max;  // OpenSSL counts its small buffers too
    Key32 key;
    if (EVP_PBE_scrypt(reinterpret_cast<const char*>(passphrase.data()), passphrase.size(), salt.data(), salt.size(), cost.n,
                       cost.r, cost.p, memory_max, key.bytes().data(), key_bytes) != 1) {
        return fail(ErrorCode::unavailable, "scrypt has no memory to work in");
    }
    return key;
}

}  // namespace dvesp::crypto
