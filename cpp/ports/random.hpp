/// ports/random.hpp - randomness as an argument.
#pragma once

#include "base/bytes.hpp"

namespace dvesp::ports {

class Random {
  public:
    virtual ~Random() = default;
    /// Fills `into` with random bytes (os: from the kernel's CSPRNG, fit for ids and salts). @threads any
    virtual void fill(MutableBytes into) = 0;
};

}  // namespace dvesp::ports
