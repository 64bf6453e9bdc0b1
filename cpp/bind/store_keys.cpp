/// bind/store_keys.cpp - methods of the native StoreKeys: convert, release the GIL, call, convert back.
#include "bind/store_keys.hpp"

#include <pybind11/stl.h>

#include "bind/errors.hpp"
#include "bind/sealed.hpp"
#include "os/clock.hpp"
#include "os/executor.hpp"
#include "os/files.hpp"
#include "os/memory.hpp"
#include "os/random.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

const char* name_of(sealed::SecretKind kind) {
    switch (kind) {
        case sealed::SecretKind::passphrase:
            return "passphrase";
        case sealed::SecretKind::wallet_seed:
            return "wallet";
        case sealed::SecretKind::raw_key:
            break;
    }
    return "key-file";
}

}  // namespace

PyStoreKeys::PyStoreKeys()
    : clock_(os::make_clock()), random_(os::make_random()), executor_(os::make_executor(1, os::default_parallelism())) {}

PyStoreKeys::PyStoreKeys(const std::string& path, const Paths& devices, const std::shared_ptr<PyKeyring>& keyring,
                         const TlsPaths& tls)
    : PyStoreKeys() {
    node::SealedOptions options;
    options.secret = keyring->secret();
    open(std::move(options), path, devices, tls);
}

PyStoreKeys::~PyStoreKeys() {
    const py::gil_scoped_release release;
    store_.reset();
    executor_->stop();
}

std::shared_ptr<PyStoreKeys> PyStoreKeys::recover(const std::string& path, const Paths& devices, const py::bytes& master,
                                                  const TlsPaths& tls) {
    const std::string_view bytes = master;
    if (bytes.size() != crypto::key_bytes) refuse("recovery: a master key has 32 bytes");
    node::SealedOptions options;
    options.master = crypto::Key32(bytes_of(bytes));
    std::shared_ptr<PyStoreKeys> keys(new PyStoreKeys());
    keys->open(std::move(options), path, devices, tls);
    return keys;
}

void PyStoreKeys::open(node::SealedOptions options, const std::string& path, const Paths& devices, const TlsPaths& tls) {
    const DeviceNetwork network = network_of(devices, tls);
    options.rpc = network.rpc;
    options.asking = network.asking;
    options.path = path;
    options.device_paths = devices;
    options.files_at = [](const std::string& directory) { return os::make_files(directory); };
    options.random = random_.get();
    options.runner = executor_.get();
    options.clock = clock_.get();
    options.executor = executor_.get();
    options.must_exist = true;
    auto opened = [&] {
        const py::gil_scoped_release release;
        return node::SealedStore::open(std::move(options));
    }();
    store_ = take(std::move(opened));
}

node::SealedStore& PyStoreKeys::opened() {
    if (!store_) raise(fail(ErrorCode::closed, "the keys of the store are closed"));
    return *store_;
}

template <class Work>
py::tuple PyStoreKeys::change(Work work) {
    auto spread = [&]() -> Result<node::KeySpread> {
        const py::gil_scoped_release release;
        const std::scoped_lock lock(mutex_);
        if (!store_) return fail(ErrorCode::closed, "the keys of the store are closed");
        return work(*store_);
    }();
    const node::KeySpread done = take(std::move(spread));
    return py::make_tuple(done.devices, done.reached);
}

py::dict PyStoreKeys::describe() {
    const sealed::KeyTable& keys = opened().keys();
    py::list slots;
    for (const sealed::SlotInfo& slot : keys.slots()) slots.append(py::make_tuple(name_of(slot.kind), slot.is_used));
    py::dict out;
    out["store_id"] = to_hex(keys.store_id());
    out["epoch"] = keys.epoch();
    out["slots"] = slots;
    return out;
}

py::bytes PyStoreKeys::master() { return py::bytes(std::string(text_of(opened().keys().master().bytes()))); }

py::tuple PyStoreKeys::add(const std::shared_ptr<PyKeyring>& keyring) {
    return change([&](node::SealedStore& store) { return store.add_key(keyring->secret()); });
}

py::tuple PyStoreKeys::remove(std::size_t number) {
    return change([&](node::SealedStore& store) { return store.remove_key(number); });
}

py::tuple PyStoreKeys::rotate(const std::vector<std::shared_ptr<PyKeyring>>& keyrings) {
    return change([&](node::SealedStore& store) {
        std::vector<sealed::UserSecret> secrets;
        for (const auto& keyring : keyrings) secrets.push_back(keyring->secret());
        std::vector<const sealed::UserSecret*> given;
        for (const sealed::UserSecret& secret : secrets) given.push_back(&secret);
        return store.rotate_keys(given);
    });
}

py::tuple PyStoreKeys::shred(const std::string& collection) {
    return change([&](node::SealedStore& store) { return store.shred(collection); });
}

template <class Work>
void PyStoreKeys::change_fleet(Work work) {
    take([&]() -> Result<void> {
        const py::gil_scoped_release release;
        const std::scoped_lock lock(mutex_);
        if (!store_) return fail(ErrorCode::closed, "the keys of the store are closed");
        return work(*store_);
    }());
}

py::list PyStoreKeys::devices() {
    std::vector<node::DeviceReport> found;
    change_fleet([&](node::SealedStore& store) {
        found = store.devices();
        return Result<void>();
    });
    return devices_of(found);
}

void PyStoreKeys::add_device(const std::string& place) {
    change_fleet([&](node::SealedStore& store) { return store.add_device(place); });
}

void PyStoreKeys::remove_device(const std::string& place) {
    change_fleet([&](node::SealedStore& store) -> Result<void> {
        DVESP_ASSIGN(const std::uint8_t number, number_of_device(store, place));
        return store.remove_device(number);
    });
}

void PyStoreKeys::replace_device(const std::string& old, const std::string& place) {
    change_fleet([&](node::SealedStore& store) -> Result<void> {
        DVESP_ASSIGN(const std::uint8_t number, number_of_device(store, old));
        return store.replace_device(number, place);
    });
}

void PyStoreKeys::close() {
    const py::gil_scoped_release release;
    const std::scoped_lock lock(mutex_);
    store_.reset();
}

void PyStoreKeys::define(py::module_& module) {
    using Class = PyStoreKeys;
    py::class_<Class, std::shared_ptr<Class>>(module, "StoreKeys", "Who unlocks a sealed store; holds its lock.")
        .def(py::init<const std::string&, const Paths&, const std::shared_ptr<PyKeyring>&, const TlsPaths&>(), py::arg("path"),
             py::arg("devices"), py::arg("keyring"), py::arg("tls"))
        .def_static("recover", &Class::recover, py::arg("path"), py::arg("devices"), py::arg("master"), py::arg("tls"))
        .def("describe", &Class::describe)
        .def("master", &Class::master, "The master key, for recovery shares alone.")
        .def("add", &Class::add, py::arg("keyring"), "(devices, of which reached)")
        .def("remove", &Class::remove, py::arg("number"))
        .def("rotate", &Class::rotate, py::arg("keyrings"))
        .def("shred", &Class::shred, py::arg("collection"))
        .def("devices", &Class::devices)
        .def("add_device", &Class::add_device, py::arg("place"))
        .def("remove_device", &Class::remove_device, py::arg("place"))
        .def("replace_device", &Class::replace_device, py::arg("old"), py::arg("place"))
        .def("close", &Class::close);
    module.def("forbid_core_dumps", &os::forbid_core_dumps,
               "This process leaves no core dump, and no other one of the same user may read its memory.");
}

}  // namespace dvesp::bind
