/// bind/remote.hpp - the RemoteStore class of the native module: a cluster behind the same methods as the embedded store.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bind/search_reply.hpp"
#include "node/remote_copy.hpp"
#include "node/remote_store.hpp"

namespace dvesp::bind {

/// Pages of a scroll that a node keeps open.
class PyRemoteCursor {
  public:
    PyRemoteCursor(std::shared_ptr<node::RemoteStore> store, node::RemoteAnswer first, codec::Request request,
                   std::string collection);
    pybind11::object next();

  private:
    std::shared_ptr<node::RemoteStore> store_;
    std::optional<node::RemoteAnswer> page_;
    codec::Request request_;
    std::string collection_;
};

/// Arguments are converted with the GIL, the waiting is done without it. @threads any
class PyRemoteStore {
  public:
    PyRemoteStore(const std::vector<std::string>& nodes,
                  const std::optional<std::tuple<std::string, std::string, std::string>>& tls);
    static void define(pybind11::module_& module);

    void close();
    void create_collection(const std::string& name, std::int64_t dimension, const std::string& metric, const std::string& index,
                           const std::optional<pybind11::dict>& index_params, bool exist_ok, std::uint32_t replication_factor,
                           std::uint64_t timeout_ms);
    void drop_collection(const std::string& name, std::uint64_t timeout_ms);
    std::vector<std::string> list_collections(std::uint64_t timeout_ms);
    pybind11::dict describe(const std::string& name, std::uint64_t timeout_ms, const std::string& level);
    pybind11::tuple write(const std::string& collection, const pybind11::array& vectors,
                          const std::optional<pybind11::list>& ids, const std::optional<pybind11::list>& metadata,
                          const std::string& mode, std::uint64_t timeout_ms, const std::string& level);
    pybind11::tuple update(const std::string& collection, const pybind11::str& id, const std::optional<pybind11::array>& vector,
                           const std::optional<pybind11::dict>& metadata, const std::optional<std::uint64_t>& if_version,
                           std::uint64_t timeout_ms, const std::string& level);
    pybind11::tuple remove(const std::string& collection, const std::optional<pybind11::list>& ids,
                           const std::optional<pybind11::object>& filter, std::uint64_t timeout_ms, const std::string& level);
    pybind11::tuple get(const std::string& collection, const pybind11::list& ids, std::uint64_t timeout_ms,
                        const std::string& level);
    std::shared_ptr<SearchReply> search(const std::string& collection, const pybind11::array& queries, std::int64_t top_k,
                                        const std::optional<std::string>& metric, const std::optional<pybind11::object>& filter,
                                        bool include_vectors, std::optional<std::int64_t> ef,
                                        std::optional<std::int64_t> nprobe, bool exact, std::optional<double> recall,
                                        std::uint64_t timeout_ms, const std::string& level);
    std::shared_ptr<PyRemoteCursor> scroll(const std::string& collection, const std::optional<pybind11::object>& filter,
                                           const std::optional<pybind11::str>& after, std::int64_t batch_size,
                                           const std::string& on_damage, std::uint64_t timeout_ms, const std::string& level);
    std::uint64_t count(const std::string& collection, const std::optional<pybind11::object>& filter, std::uint64_t timeout_ms,
                        const std::string& level);
    void flush(const std::optional<std::string>& collection);
    void compact(const std::optional<std::string>& collection);
    pybind11::tuple progress();
    std::vector<std::string> verify(const std::string& collection);
    void snapshot(const std::string& path);
    pybind11::dict status(bool detail);

  private:
    [[nodiscard]] codec::Request request(codec::Op op, const std::string& collection, std::uint64_t timeout_ms,
                                         const std::string& level);
    std::vector<node::RemoteAnswer> everywhere(codec::Op op, const std::string& collection);

    std::shared_ptr<node::RemoteStore> store_;
    std::unique_ptr<ports::Clock> clock_;
    std::atomic<bool> is_closed_{false};
    node::CopyProgress copy_;  ///< of snapshots; two at once add up
};

}  // namespace dvesp::bind
