/// crypto/sharing_portable.cpp - the sum in 64-bit words, 8 numbers each (SWAR); the twin that every other path must equal.
#include "crypto/sharing_kernels.hpp"
#include "crypto/sharing_lanes.hpp"

namespace dvesp::crypto {
namespace {

void weighted_sum(const std::uint8_t* weights, std::size_t in_count, const std::uint8_t* const* ins, std::uint8_t* out,
                  std::size_t bytes) {
    weighted_sum_by_doubling<WordLanes>({weights, in_count, ins, out}, bytes);
}

constexpr SharingKernel table = {"portable", weighted_sum};

}  // namespace

const SharingKernel& portable_sharing() noexcept { return table; }

}  // namespace dvesp::crypto
