/// crypto/reed_solomon.hpp - an erasure code of public shape: any k of the pieces give the k data pieces.
/// Source: Reed and Solomon 1960 in the systematic Cauchy form of Bloemer et al., ICSI 1995: piece r < k is data, piece r >= k
/// is the sum of data[j] / (r - j). Every square part of a Cauchy matrix has an inverse, so any k pieces do.
#pragma once

#include <span>

#include "base/bytes.hpp"

namespace dvesp::crypto {

/// Pieces are numbered by a byte.
inline constexpr std::size_t piece_count_max = 255;

/// Writes parity piece number `row`.
/// @param data  k pieces of parity's size, 1 <= k <= row < piece_count_max    @threads any    @cost O(k * bytes)
void encode_parity(std::span<const ByteView> data, std::size_t row, MutableBytes parity) noexcept;

/// Computes the data pieces that are not among the given ones.
/// @param rows    k distinct numbers below piece_count_max
/// @param pieces  pieces[j] is number rows[j]; k of one size
/// @param data    k places for all data pieces; only those missing from `rows` are written; disjoint from `pieces`
/// @threads any    @cost O(k * bytes) for each missing one, and up to O(k^3) for the weights
void decode_missing(std::span<const std::uint8_t> rows, std::span<const ByteView> pieces, std::span<const MutableBytes> data);

}  // namespace dvesp::crypto
