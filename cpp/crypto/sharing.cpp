/// crypto/sharing.cpp - Shamir's polynomial as sums with public weights: powers of x to split, Lagrange's at 0 to combine.
#include "crypto/sharing.hpp"

#include <algorithm>
#include <array>

#include "crypto/field.hpp"

namespace dvesp::crypto {
namespace {

using Weights = std::array<std::uint8_t, share_count_max>;
using Pointers = std::array<const std::uint8_t*, share_count_max>;

/// Coefficients are drawn for so many bytes of secret at a time that they fit here, which any thread's stack can hold.
constexpr std::size_t scratch_bytes = 16384;
constexpr std::size_t tile_step = 64;

std::size_t tile_bytes(std::size_t k) { return k == 1 ? scratch_bytes : scratch_bytes / (k - 1) / tile_step * tile_step; }
static_assert(scratch_bytes / (share_count_max - 1) >= tile_step);

Error wrong(const char* what) { return fail(ErrorCode::invalid_argument, what); }

/// Shares of one tile: share i = secret + c_1 x + ... + c_{k-1} x^{k-1}, `columns` = (secret, c_1, ..., c_{k-1}).
void evaluate(const Pointers& columns, std::size_t k, std::span<const MutableBytes> shares, std::size_t at, std::size_t bytes,
              const SharingKernel& kernel) {
    Weights powers;
    powers[0] = 1;
    for (std::size_t i = 0; i < shares.size(); ++i) {
        const auto x = static_cast<std::uint8_t>(i + 1);
        for (std::size_t j = 1; j < k; ++j) powers[j] = field_product(powers[j - 1], x);
        kernel.weighted_sum(powers.data(), k, columns.data(), shares[i].data() + at, bytes);
    }
}

Result<void> check_xs(std::span<const std::uint8_t> xs) {
    std::array<bool, share_count_max + 1> seen{};
    for (const std::uint8_t x : xs) {
        if (x == 0) return wrong("x = 0 is the place of the secret, not of a share");
        if (seen[x]) return wrong("two shares have the same x");
        seen[x] = true;
    }
    return {};
}

/// Lagrange's weights at 0: w_j = product over i != j of x_i / (x_i - x_j). One inversion for all of them (Montgomery 1987):
/// with d_j = x_j * product of the differences, w_j = (product of all x) / d_j.
Weights weights_at_zero(std::span<const std::uint8_t> xs) {
    Weights divisors;
    Weights before;  // product of the divisors in front of each
    std::uint8_t numerator = 1;
    std::uint8_t all = 1;
    for (std::size_t j = 0; j < xs.size(); ++j) {
        std::uint8_t divisor = xs[j];
        for (std::size_t i = 0; i < xs.size(); ++i) {
            if (i != j) divisor = field_product(divisor, static_cast<std::uint8_t>(xs[i] ^ xs[j]));
        }
        divisors[j] = divisor;
        before[j] = all;
        all = field_product(all, divisor);
        numerator = field_product(numerator, xs[j]);
    }
    Weights weights;
    std::uint8_t rest = field_product(numerator, field_inverse(all));  // numerator / product of the divisors up to j
    for (std::size_t j = xs.size(); j-- > 0;) {
        weights[j] = field_product(rest, before[j]);
        rest = field_product(rest, divisors[j]);
    }
    return weights;
}

}  // namespace

Result<void> split(ByteView secret, std::size_t k, AesCtrStream& coefficients, std::span<const MutableBytes> shares,
                   const SharingKernel& kernel) {
    if (k < 1 || k > shares.size() || shares.size() > share_count_max) return wrong("sharing needs 1 <= k <= n <= 255");
    for (const MutableBytes share : shares) {
        if (share.size() != secret.size()) return wrong("a share is as long as the secret");
    }
    alignas(64) std::array<std::uint8_t, scratch_bytes> scratch;
    std::size_t drawn_bytes = 0;
    for (std::size_t at = 0; at < secret.size(); at += tile_bytes(k)) {
        const std::size_t bytes = std::min(tile_bytes(k), secret.size() - at);
        const MutableBytes drawn = MutableBytes(scratch).first((k - 1) * bytes);
        coefficients.fill(drawn);
        drawn_bytes = std::max(drawn_bytes, drawn.size());
        Pointers columns;
        columns[0] = secret.data() + at;
        for (std::size_t j = 1; j < k; ++j) columns[j] = drawn.data() + (j - 1) * bytes;
        evaluate(columns, k, shares, at, bytes, kernel);
    }
    wipe(MutableBytes(scratch).first(drawn_bytes));
    return {};
}

Result<void> combine(std::span<const std::uint8_t> xs, std::span<const ByteView> shares, MutableBytes secret,
                     const SharingKernel& kernel) {
    if (xs.empty() || xs.size() != shares.size() || xs.size() > share_count_max) {
        return wrong("combining needs 1 to 255 shares and an x for each");
    }
    DVESP_TRY(check_xs(xs));
    Pointers columns;
    for (std::size_t j = 0; j < shares.size(); ++j) {
        if (shares[j].size() != secret.size()) return wrong("a share is as long as the secret");
        columns[j] = shares[j].data();
    }
    const Weights weights = weights_at_zero(xs);
    kernel.weighted_sum(weights.data(), xs.size(), columns.data(), secret.data(), secret.size());
    return {};
}

Result<void> share_again(std::span<const std::uint8_t> xs, std::span<const ByteView> shares, std::uint8_t x, MutableBytes share,
                         const SharingKernel& kernel) {
    if (xs.empty() || xs.size() != shares.size() || xs.size() > share_count_max || x == 0) {
        return wrong("a share is made from 1 to 255 others with an x for each");
    }
    DVESP_TRY(check_xs(xs));
    Pointers columns;
    Weights weights;
    for (std::size_t j = 0; j < xs.size(); ++j) {
        if (shares[j].size() != share.size()) return wrong("a share is as long as the others");
        columns[j] = shares[j].data();
        std::uint8_t above = 1, below = 1;  // Lagrange's polynomial of xs[j] at x
        for (const std::uint8_t other : xs) {
            if (other == xs[j]) continue;
            above = field_product(above, static_cast<std::uint8_t>(x ^ other));
            below = field_product(below, static_cast<std::uint8_t>(xs[j] ^ other));
        }
        weights[j] = field_product(above, field_inverse(below));
    }
    kernel.weighted_sum(weights.data(), xs.size(), columns.data(), share.data(), share.size());
    return {};
}

}  // namespace dvesp::crypto
