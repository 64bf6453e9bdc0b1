/// ports/revocations.hpp - the certificates that count no more, as a node's core sees them: signed entries, opaque here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace dvesp::ports {

/// A set that only grows. @threads every method from any thread
class Revocations {
  public:
    virtual ~Revocations() = default;
    /// Whether `entry` is one that the organisation's CA signed. Says the same for ever. @cost a signature, if it is unknown
    [[nodiscard]] virtual bool holds(ByteView entry) const = 0;
    /// All entries (docs/formats/revocations.md).
    [[nodiscard]] virtual std::vector<std::vector<std::uint8_t>> entries() const = 0;
    /// Adds entries that `holds` and makes them durable: waits for the disk, so never in the core.
    virtual void learn(const std::vector<std::vector<std::uint8_t>>& entries) = 0;
    /// The certificate that was shown last at `address` is among them.
    [[nodiscard]] virtual bool is_revoked_at(const std::string& address) const = 0;
};

}  // namespace dvesp::ports
