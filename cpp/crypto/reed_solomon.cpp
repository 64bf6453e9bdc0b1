/// crypto/reed_solomon.cpp - Cauchy parity, and its inverse in closed form.
#include "crypto/reed_solomon.hpp"

#include <array>
#include <vector>

#include "base/assert.hpp"
#include "crypto/field.hpp"
#include "crypto/sharing_kernels.hpp"

namespace dvesp::crypto {
namespace {

using Weights = std::array<std::uint8_t, piece_count_max>;
using Pointers = std::array<const std::uint8_t*, piece_count_max>;

std::uint8_t difference(std::size_t a, std::size_t b) noexcept { return static_cast<std::uint8_t>(a ^ b); }

std::uint8_t parity_weight(std::size_t row, std::size_t column) noexcept { return field_inverse(difference(row, column)); }

/// Which of the given pieces are parity, and which data pieces they stand for; as many of these as of those.
struct Erasures {
    std::vector<std::uint8_t> parity_rows;
    std::vector<std::size_t> parity_places;  ///< their places among the given pieces
    std::vector<std::uint8_t> missing;       ///< numbers of data pieces, ascending
};

Erasures erasures_of(std::span<const std::uint8_t> rows) {
    Erasures found;
    std::array<bool, piece_count_max + 1> given{};
    for (std::size_t place = 0; place < rows.size(); ++place) {
        DVESP_ASSERT(rows[place] < piece_count_max && !given[rows[place]]);
        given[rows[place]] = true;
        if (rows[place] < rows.size()) continue;
        found.parity_rows.push_back(rows[place]);
        found.parity_places.push_back(place);
    }
    for (std::size_t number = 0; number < rows.size(); ++number) {
        if (!given[number]) found.missing.push_back(static_cast<std::uint8_t>(number));
    }
    DVESP_ASSERT(found.missing.size() == found.parity_rows.size());
    return found;
}

/// product of (value - other) over all others; `value` itself, where it is one of them, is left out.
std::uint8_t product_of_differences(std::uint8_t value, std::span<const std::uint8_t> others) noexcept {
    std::uint8_t product = 1;
    for (const std::uint8_t other : others) {
        if (other != value) product = field_product(product, difference(value, other));
    }
    return product;
}

/// Row `solved` of the inverse of the Cauchy matrix 1 / (parity row - missing column): one weight for each parity piece.
/// Schechter, "On the inversion of certain matrices", 1959: with x the parity rows and y the missing columns,
/// b[i][j] = product_l (x_j - y_l) * product_l (x_l - y_i) / ((x_j - y_i) * product_{l != j} (x_j - x_l) * product_{l != i}
/// (y_i - y_l)).
std::vector<std::uint8_t> inverse_row(const Erasures& erasures, std::size_t solved) {
    const std::uint8_t y = erasures.missing[solved];
    const std::uint8_t to_rows = product_of_differences(y, erasures.parity_rows);
    const std::uint8_t to_columns = product_of_differences(y, erasures.missing);
    std::vector<std::uint8_t> row;
    for (const std::uint8_t x : erasures.parity_rows) {
        const std::uint8_t numerator = field_product(product_of_differences(x, erasures.missing), to_rows);
        const std::uint8_t divisor =
            field_product(field_product(difference(x, y), to_columns), product_of_differences(x, erasures.parity_rows));
        row.push_back(field_product(numerator, field_inverse(divisor)));
    }
    return row;
}

/// Weights of the given pieces in missing piece `solved`: the parity pieces by the inverse, and what the present data pieces
/// had put into them taken out again.
Weights weights_of(const Erasures& erasures, std::span<const std::uint8_t> rows, std::size_t solved) {
    const std::vector<std::uint8_t> inverse = inverse_row(erasures, solved);
    Weights weights{};
    for (std::size_t p = 0; p < inverse.size(); ++p) {
        weights[erasures.parity_places[p]] = inverse[p];
        for (std::size_t place = 0; place < rows.size(); ++place) {
            if (rows[place] >= rows.size()) continue;
            const std::uint8_t share = field_product(inverse[p], parity_weight(erasures.parity_rows[p], rows[place]));
            weights[place] = static_cast<std::uint8_t>(weights[place] ^ share);
        }
    }
    return weights;
}

}  // namespace

void encode_parity(std::span<const ByteView> data, std::size_t row, MutableBytes parity) noexcept {
    DVESP_ASSERT(!data.empty() && data.size() <= row && row < piece_count_max);
    Weights weights;
    Pointers pointers;
    for (std::size_t j = 0; j < data.size(); ++j) {
        DVESP_ASSERT(data[j].size() == parity.size());
        weights[j] = parity_weight(row, j);
        pointers[j] = data[j].data();
    }
    best_sharing().weighted_sum(weights.data(), data.size(), pointers.data(), parity.data(), parity.size());
}

void decode_missing(std::span<const std::uint8_t> rows, std::span<const ByteView> pieces, std::span<const MutableBytes> data) {
    DVESP_ASSERT(!rows.empty() && rows.size() <= piece_count_max && rows.size() == pieces.size() && data.size() == rows.size());
    const Erasures erasures = erasures_of(rows);
    Pointers pointers;
    for (std::size_t j = 0; j < pieces.size(); ++j) {
        DVESP_ASSERT(pieces[j].size() == data[j].size() && pieces[j].size() == pieces[0].size());
        pointers[j] = pieces[j].data();
    }
    for (std::size_t solved = 0; solved < erasures.missing.size(); ++solved) {
        const Weights weights = weights_of(erasures, rows, solved);
        const MutableBytes out = data[erasures.missing[solved]];
        best_sharing().weighted_sum(weights.data(), rows.size(), pointers.data(), out.data(), out.size());
    }
}

}  // namespace dvesp::crypto
