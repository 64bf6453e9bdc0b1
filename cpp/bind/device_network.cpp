/// bind/device_network.cpp - connections and threads for devices on nodes.
#include "bind/device_network.hpp"

#include <algorithm>

#include "bind/errors.hpp"
#include "node/device_places.hpp"
#include "os/executor.hpp"
#include "os/rpc_pool.hpp"

namespace dvesp::bind {
namespace {

/// Questions to one device that wait at the same time, on average; further ones queue.
constexpr std::size_t questions_a_device = 4;
constexpr std::size_t threads_max = 64;

}  // namespace

DeviceNetwork network_of(const std::vector<std::string>& devices, const TlsPaths& tls) {
    std::size_t far = 0;
    for (const std::string& device : devices) {
        if (!node::is_on_node(device)) continue;
        take(os::parse_address(node::node_place(device).address));
        ++far;
    }
    if (far == 0) return {};
    std::shared_ptr<os::TlsContext> context;
    if (tls) {
        const auto& [ca, certificate, key] = *tls;
        context = take(os::TlsContext::make({ca, certificate, key}, os::TlsContext::Side::client, true));
    }
    const std::size_t waiting = std::min(questions_a_device * far, threads_max);
    return {std::make_shared<os::RpcPool>(context), os::make_executor(waiting, std::min(devices.size(), threads_max))};
}

}  // namespace dvesp::bind
