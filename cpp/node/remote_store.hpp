/// node/remote_store.hpp - a cluster as a client sees it: routing, retries, levels and sessions around one question at a time.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/router.hpp"
#include "codec/rpc.hpp"
#include "ports/random.hpp"
#include "ports/rpc.hpp"

namespace dvesp::node {

/// A reply with the bytes that its views point into.
struct RemoteAnswer {
    ports::RpcAnswer bytes;
    codec::Reply reply;
    std::string address;           ///< of the node that answered
    bool is_level_reached = true;  ///< false: a read that fewer replicas than asked could answer
};

/// @threads every method from any thread
class RemoteStore {
  public:
    RemoteStore(std::unique_ptr<ports::Rpc> rpc, std::unique_ptr<ports::Random> random, std::vector<std::string> nodes);

    /// Fills in batch_id and salt, which all attempts share.
    void draw_key(codec::Request& request);
    void draw_ids(std::uint32_t count, std::vector<std::string>& ids);

    /// A write: finds the leader, creates the collection where it is missing, retries inside timeout_ms.
    /// status `failed` = provably stored nowhere. @errors timeout: nobody knows; unavailable: no node was reached; the node's
    Result<RemoteAnswer> write(codec::Request request);
    /// A batch from a branch: conflicts as u32 in the reply's bytes, the dimension beside them. Creates nothing. @errors as
    /// write
    Result<RemoteAnswer> merge(codec::Request request);
    /// search, get, count, describe at the request's level. @errors as the node; unavailable, timeout
    Result<RemoteAnswer> read(codec::Request request);
    /// A page of a scroll that began at `address`.
    Result<RemoteAnswer> read_at(const std::string& address, const codec::Request& request);
    /// create, drop, and the list of collections (in the router afterwards).
    Result<RemoteAnswer> change(codec::Request request);
    /// flush, compact, verify: every node in turn. @errors the first one
    Result<std::vector<RemoteAnswer>> everywhere(codec::Request request);
    /// The topology as a majority knows it.
    Result<codec::Topology> topology(std::uint32_t timeout_ms);

  private:
    struct Attempts;
    Result<RemoteAnswer> run(codec::Request& request, const std::string& key, bool is_write);
    Result<RemoteAnswer> read_replicas(codec::Request request, bool asks_all);
    Result<RemoteAnswer> ask_patiently(const std::string& address, const codec::Request& request);
    std::string choose(const codec::Request& request, const std::string& key, std::uint32_t attempt);
    Result<RemoteAnswer> ask(const std::string& address, const codec::Request& request, std::uint64_t timeout_ms);

    std::unique_ptr<ports::Rpc> rpc_;
    std::unique_ptr<ports::Random> random_;
    std::mutex mutex_;  ///< guards router_
    client::Router router_;
    std::uint32_t spread_ = 0;  ///< which replica this client prefers at ONE
};

}  // namespace dvesp::node
