/// bind/store.hpp - the Store class of the native module.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <string>

#include "bind/device_network.hpp"
#include "bind/keyring.hpp"
#include "bind/search_reply.hpp"
#include "node/embedded_store.hpp"

namespace dvesp::bind {

/// One job may seal while another builds.
inline constexpr std::size_t background_threads = 2;

/// Works without the GIL.
template <class Work>
auto unlocked(Work work) {
    const pybind11::gil_scoped_release release;
    return work();
}

using FloatArray = pybind11::array_t<float, pybind11::array::c_style>;

/// Walks a pinned snapshot; keeps the store alive.
class PyCursor {
  public:
    PyCursor(std::shared_ptr<node::EmbeddedStore> store, std::unique_ptr<store::Cursor> cursor, std::uint32_t dimension,
             std::size_t batch_size, std::shared_ptr<store::Collection> collection, std::shared_ptr<const void> pin)
        : store_(std::move(store)),
          cursor_(std::move(cursor)),
          dimension_(dimension),
          batch_size_(batch_size),
          collection_(std::move(collection)),
          pin_(std::move(pin)) {}
    ~PyCursor();
    pybind11::object next();

  private:
    std::shared_ptr<node::EmbeddedStore> store_;
    std::unique_ptr<store::Cursor> cursor_;
    std::uint32_t dimension_;
    std::size_t batch_size_;
    std::shared_ptr<store::Collection> collection_;
    std::shared_ptr<const void> pin_;  ///< of a sealed store: its fragments stay
};

/// Arguments are converted with the GIL, the work is done without it. @threads any
class PyStore {
  public:
    explicit PyStore(const std::optional<std::string>& path);
    /// A sealed store. @param devices as SealedOptions says. @param tls what nodes are shown
    PyStore(const std::string& path, const std::vector<std::string>& devices, const std::shared_ptr<PyKeyring>& keyring,
            const TlsPaths& tls);
    /// A plain store with an archive (bind/archive.cpp, as the next five).
    PyStore(const std::optional<std::string>& path, const pybind11::list& targets, const MaybeKeyring& keyring);
    static std::shared_ptr<PyStore> restore_archive(const pybind11::list& targets, const MaybeKeyring& keyring,
                                                    const std::optional<std::string>& path);
    void archive(std::uint64_t timeout_ms);
    std::uint64_t prune_archive(std::size_t keep);
    void wait_restored(std::uint64_t timeout_ms);
    pybind11::tuple restore_progress();
    void plan_collection(const std::string& name, std::uint32_t k, std::uint32_t n);
    pybind11::dict retrievability(const std::string& collection);
    pybind11::list devices();
    void add_device(const std::string& place);
    void remove_device(const std::string& place);
    void replace_device(const std::string& old, const std::string& place);
    bool rebalance();
    static std::shared_ptr<PyStore> restore(const std::string& source, const std::optional<std::string>& path);
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
    std::shared_ptr<PyCursor> scroll(const std::string& collection, const std::optional<pybind11::object>& filter,
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
    [[nodiscard]] node::EmbeddedStore& embedded() noexcept { return *store_; }

  private:
    explicit PyStore(std::shared_ptr<node::EmbeddedStore> store) : store_(std::move(store)) {}
    static std::shared_ptr<node::EmbeddedStore> open(const std::optional<std::string>& path);
    store::Database& database() { return store_->database(); }
    node::SealedStore& sealed();

    std::shared_ptr<node::EmbeddedStore> store_;
};

}  // namespace dvesp::bind
