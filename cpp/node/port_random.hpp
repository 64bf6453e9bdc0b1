/// node/port_random.hpp - the port's randomness as the sealed room asks for it.
#pragma once

#include "ports/random.hpp"
#include "sealed/key_table.hpp"

namespace dvesp::node {

/// Borrows the port. @threads as the port's
class PortRandom final : public sealed::RandomSource {
  public:
    explicit PortRandom(ports::Random& random) : random_(random) {}
    void fill(MutableBytes out) override { random_.fill(out); }

  private:
    ports::Random& random_;
};

}  // namespace dvesp::node
