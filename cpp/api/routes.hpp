/// api/routes.hpp - the REST interface: an HTTP request in, a response out. What it answers: api/openapi.cpp.
/// No sockets and no threads of its own; waits inside node::RemoteStore, as long as timeout_ms of the request.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "api/access.hpp"
#include "api/requests.hpp"
#include "api/trace.hpp"
#include "node/remote_store.hpp"
#include "ports/clock.hpp"
#include "ports/http.hpp"
#include "ports/random.hpp"

namespace dvesp::api {

/// What the node says of itself; each may wait for its core.
struct NodeReports {
    std::function<std::string()> status;   ///< JSON: GET /v1/cluster/status
    std::function<std::string()> details;  ///< JSON object with queues, lag and restoring: more of GET /v1/status
    std::function<std::string()> metrics;  ///< Prometheus text
    std::function<bool()> is_ready;
    /// Entries of docs/formats/revocations.md, as bytes.
    std::function<std::vector<std::vector<std::uint8_t>>()> revocations;
    /// Takes entries into the set and spreads them. @return how many were new
    /// @errors permission_denied: not signed by the CA; invalid_argument; unavailable: without certificates there is no set
    std::function<Result<std::size_t>(const std::vector<std::vector<std::uint8_t>>&)> revoke;
    /// Names of the snapshots that this node keeps, sorted. @errors unavailable: it keeps none
    std::function<Result<std::vector<std::string>>()> snapshots;
    /// Writes a snapshot of the cluster under `name`; waits until it is whole. @return its records
    /// @errors invalid_argument: there is one of that name; as node::copy_cluster
    std::function<Result<std::uint64_t>(const std::string& name)> snapshot;
};

/// One way of asking, as the OpenAPI document lists it.
struct RouteName {
    std::string_view method;
    std::string_view path;  ///< `{name}` stands for a collection
};

/// @threads answer and admits from any thread; everything handed in must outlive it
class Routes {
  public:
    Routes(node::RemoteStore& store, ports::Random& random, ports::Clock& clock, NodeReports reports,
           std::optional<TokenList> tokens);

    /// Whether a request may be made, by its head alone: before its body is read.
    /// @param is_trusted a client certificate was shown, or the node is for loopback without any
    [[nodiscard]] bool admits(const ports::HttpRequest& request, bool is_trusted) const;
    [[nodiscard]] ports::HttpResponse answer(const ports::HttpRequest& request, bool is_trusted) const;

    [[nodiscard]] static std::vector<RouteName> names();

  private:
    struct Call {
        const ports::HttpRequest& http;
        std::string collection;
        Trace trace;
        bool takes_binary = false;
        bool gives_binary = false;
    };
    using Answer = Result<ports::HttpResponse>;
    using Maker = Result<Asked> (*)(Document);
    struct Route {
        RouteName name;
        Answer (Routes::*handler)(const Call&) const;
    };
    static std::span<const Route> table();

    [[nodiscard]] ports::HttpResponse dispatch(const ports::HttpRequest& request, const Trace& trace) const;
    void prepare(const Call& call, Asked& asked) const;
    [[nodiscard]] Result<Asked> asked_of(const Call& call, Maker maker, std::optional<codec::Op> binary = std::nullopt) const;
    [[nodiscard]] Answer put(const Call& call, Asked asked) const;
    [[nodiscard]] Answer search_with(const Call& call, Maker maker, bool is_batch) const;
    [[nodiscard]] Answer upkeep(const Call& call, codec::Op op) const;

    // ---- routes.cpp: reports
    Answer cluster_status(const Call& call) const;
    Answer status(const Call& call) const;
    Answer health(const Call& call) const;
    Answer metrics(const Call& call) const;
    Answer openapi(const Call& call) const;

    // ---- revocation_routes.cpp
    Answer revocations(const Call& call) const;
    Answer revoke(const Call& call) const;

    // ---- snapshot_routes.cpp
    Answer list_snapshots(const Call& call) const;
    Answer make_snapshot(const Call& call) const;

    // ---- collection_routes.cpp
    Answer list_collections(const Call& call) const;
    Answer create_collection(const Call& call) const;
    Answer describe(const Call& call) const;
    Answer drop_collection(const Call& call) const;
    Answer flush(const Call& call) const;
    Answer compact(const Call& call) const;
    Answer verify(const Call& call) const;

    // ---- record_routes.cpp
    Answer insert(const Call& call) const;
    Answer upsert(const Call& call) const;
    Answer update(const Call& call) const;
    Answer remove(const Call& call) const;
    Answer get(const Call& call) const;
    Answer scroll(const Call& call) const;
    Answer count(const Call& call) const;
    Answer search(const Call& call) const;
    Answer search_batch(const Call& call) const;

    node::RemoteStore& store_;
    ports::Random& random_;
    ports::Clock& clock_;
    NodeReports reports_;
    std::optional<TokenList> tokens_;
};

}  // namespace dvesp::api
