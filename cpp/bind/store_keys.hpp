/// bind/store_keys.hpp - the keys of a sealed store as a Python object: who unlocks it, without its records.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bind/device_network.hpp"
#include "bind/keyring.hpp"
#include "node/sealed_store.hpp"
#include "ports/clock.hpp"
#include "ports/executor.hpp"

namespace dvesp::bind {

/// Holds the store's lock until it is closed. Work is done without the GIL. @threads any, one call at a time
class PyStoreKeys {
  public:
    using Paths = std::vector<std::string>;
    PyStoreKeys(const std::string& path, const Paths& devices, const std::shared_ptr<PyKeyring>& keyring, const TlsPaths& tls);
    ~PyStoreKeys();
    PyStoreKeys(const PyStoreKeys&) = delete;
    PyStoreKeys& operator=(const PyStoreKeys&) = delete;
    static std::shared_ptr<PyStoreKeys> recover(const std::string& path, const Paths& devices, const pybind11::bytes& master,
                                                const TlsPaths& tls);
    static void define(pybind11::module_& module);

    pybind11::dict describe();
    pybind11::bytes master();
    pybind11::tuple add(const std::shared_ptr<PyKeyring>& keyring);
    pybind11::tuple remove(std::size_t number);
    pybind11::tuple rotate(const std::vector<std::shared_ptr<PyKeyring>>& keyrings);
    pybind11::tuple shred(const std::string& collection);
    pybind11::list devices();
    void add_device(const std::string& place);
    void remove_device(const std::string& place);
    void replace_device(const std::string& old, const std::string& place);
    void close();

  private:
    PyStoreKeys();
    void open(node::SealedOptions options, const std::string& path, const Paths& devices, const TlsPaths& tls);
    node::SealedStore& opened();
    template <class Work>
    pybind11::tuple change(Work work);
    template <class Work>
    void change_fleet(Work work);

    std::mutex mutex_;  ///< guards what follows
    std::unique_ptr<ports::Clock> clock_;
    std::unique_ptr<ports::Random> random_;
    std::unique_ptr<ports::Executor> executor_;
    std::unique_ptr<node::SealedStore> store_;
};

}  // namespace dvesp::bind
