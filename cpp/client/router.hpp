/// client/router.hpp - which node a client asks next: leaders it knows of, replicas, the rest; pure state, no clock, no
/// sockets.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "codec/topology.hpp"

namespace dvesp::client {

/// What the first attempt needs and what the answers of earlier ones taught. @threads one (the owner has a lock)
class Router {
  public:
    explicit Router(std::vector<std::string> seeds) : seeds_(std::move(seeds)) {}

    void learn(const codec::TopologyView& view);
    /// `address` says that `hint` leads the collection ("" = it does not know).
    void take_hint(const std::string& collection, const std::string& address, const std::string& hint);
    /// `address` answered for the collection: it is the one to ask again.
    void take_success(const std::string& collection, const std::string& address);
    void take_failure(const std::string& collection, const std::string& address);
    /// Whom to ask for the collection ("" = about the cluster). @param attempt counts from 0; each failed one goes further
    [[nodiscard]] std::string next(const std::string& collection, std::uint32_t attempt) const;
    /// Where the collection's replicas are; every node when it is unknown.
    [[nodiscard]] std::vector<std::string> replicas(const std::string& collection) const;
    [[nodiscard]] const codec::Topology& topology() const noexcept { return topology_; }

    /// Session token: the highest index of the collection's shard that this client has written or read.
    [[nodiscard]] std::uint64_t session_index(const std::string& collection) const;
    void raise_session(const std::string& collection, std::uint64_t index);
    void forget(const std::string& collection);

  private:
    std::vector<std::string> seeds_;
    codec::Topology topology_;
    std::map<std::string, std::string> preferred_;  ///< collection -> address
    std::map<std::string, std::uint64_t> sessions_;
};

}  // namespace dvesp::client
