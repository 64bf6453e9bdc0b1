/// bind/device_network.hpp - what asks the devices of a sealed store that lie on nodes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "ports/executor.hpp"
#include "ports/rpc.hpp"

namespace dvesp::bind {

/// The CA, the certificate and its key, as paths of PEM files; nothing = plain HTTP.
using TlsPaths = std::optional<std::tuple<std::string, std::string, std::string>>;

/// Connections, and threads that wait for answers; both empty when all devices are directories.
struct DeviceNetwork {
    std::shared_ptr<ports::Rpc> rpc;
    std::shared_ptr<ports::Executor> asking;
};
/// @param devices paths, and node://HOST:PORT. Raises for an address or files that are wrong. Asks nobody yet
[[nodiscard]] DeviceNetwork network_of(const std::vector<std::string>& devices, const TlsPaths& tls);

}  // namespace dvesp::bind
