/// bind/module.cpp - the native module's table of contents.
#include <pybind11/stl.h>

#include "bind/archive.hpp"
#include "bind/audit.hpp"
#include "bind/certificates.hpp"
#include "bind/chain.hpp"
#include "bind/errors.hpp"
#include "bind/remote.hpp"
#include "bind/store.hpp"
#include "bind/store_keys.hpp"
#include "kernels/kernels.hpp"
#include "store/frame_maker.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

/// The methods that the embedded store and the cluster's client share, with the same arguments.
template <class Class, class Options>
void define_methods(py::class_<Class, Options>& store) {
    store.def("close", &Class::close)
        .def("create_collection", &Class::create_collection, py::arg("name"), py::arg("dimension"), py::arg("metric"),
             py::arg("index"), py::arg("index_params"), py::arg("exist_ok"), py::arg("replication_factor"),
             py::arg("timeout_ms"))
        .def("drop_collection", &Class::drop_collection, py::arg("name"), py::arg("timeout_ms"))
        .def("list_collections", &Class::list_collections, py::arg("timeout_ms"))
        .def("describe", &Class::describe, py::arg("name"), py::arg("timeout_ms"), py::arg("level"))
        .def("write", &Class::write, py::arg("collection"), py::arg("vectors"), py::arg("ids"), py::arg("metadata"),
             py::arg("mode"), py::arg("timeout_ms"), py::arg("level"))
        .def("update", &Class::update, py::arg("collection"), py::arg("id"), py::arg("vector"), py::arg("metadata"),
             py::arg("if_version"), py::arg("timeout_ms"), py::arg("level"))
        .def("delete", &Class::remove, py::arg("collection"), py::arg("ids"), py::arg("filter"), py::arg("timeout_ms"),
             py::arg("level"))
        .def("get", &Class::get, py::arg("collection"), py::arg("ids"), py::arg("timeout_ms"), py::arg("level"))
        .def("search", &Class::search, py::arg("collection"), py::arg("queries"), py::arg("top_k"), py::arg("metric"),
             py::arg("filter"), py::arg("include_vectors"), py::arg("ef"), py::arg("nprobe"), py::arg("exact"),
             py::arg("recall"), py::arg("timeout_ms"), py::arg("level"))
        .def("scroll", &Class::scroll, py::arg("collection"), py::arg("filter"), py::arg("after"), py::arg("batch_size"),
             py::arg("on_damage"), py::arg("timeout_ms"), py::arg("level"))
        .def("count", &Class::count, py::arg("collection"), py::arg("filter"), py::arg("timeout_ms"), py::arg("level"))
        .def("flush", &Class::flush, py::arg("collection"))
        .def("compact", &Class::compact, py::arg("collection"))
        .def("progress", &Class::progress)
        .def("verify", &Class::verify, py::arg("collection"))
        .def("snapshot", &Class::snapshot, py::arg("path"))
        .def("status", &Class::status, py::arg("detail"));
}

}  // namespace

void PyRemoteStore::define(py::module_& module) {
    py::class_<PyRemoteCursor, std::shared_ptr<PyRemoteCursor>>(module, "RemoteCursor", "Walks a snapshot pinned on a node.")
        .def("next", &PyRemoteCursor::next, "(ids, vectors [m, d], metadata, versions), or None at the end.");
    py::class_<PyRemoteStore, std::shared_ptr<PyRemoteStore>> store(module, "RemoteStore",
                                                                    "A cluster; safe to share between threads.");
    store.def(
        py::init<const std::vector<std::string>&, const std::optional<std::tuple<std::string, std::string, std::string>>&>(),
        py::arg("nodes"), py::arg("tls"));
    define_methods(store);
}

void PyStore::define(py::module_& module) {
    py::class_<PyCursor, std::shared_ptr<PyCursor>>(module, "Cursor", "Walks a pinned snapshot.")
        .def("next", &PyCursor::next, "(ids, vectors [m, d], metadata, versions), or None at the end.");
    py::class_<PyStore, std::shared_ptr<PyStore>> store(module, "Store", "One embedded store; safe to share between threads.");
    store.def(py::init<const std::optional<std::string>&>(), py::arg("path"))
        .def(
            py::init<const std::string&, const std::vector<std::string>&, const std::shared_ptr<PyKeyring>&, const TlsPaths&>(),
            py::arg("path"), py::arg("devices"), py::arg("keyring"), py::arg("tls"))
        .def("plan_collection", &PyStore::plan_collection, py::arg("name"), py::arg("k"), py::arg("n"))
        .def("retrievability", &PyStore::retrievability, py::arg("collection"))
        .def(py::init<const std::optional<std::string>&, const py::list&, const MaybeKeyring&>(), py::arg("path"),
             py::arg("archive"), py::arg("keyring"))
        .def_static("restore_archive", &PyStore::restore_archive, py::arg("archive"), py::arg("keyring"), py::arg("path"))
        .def("archive", &PyStore::archive, py::arg("timeout_ms"))
        .def("prune_archive", &PyStore::prune_archive, py::arg("keep"))
        .def("wait_restored", &PyStore::wait_restored, py::arg("timeout_ms"))
        .def("restore_progress", &PyStore::restore_progress)
        .def("devices", &PyStore::devices)
        .def("add_device", &PyStore::add_device, py::arg("place"))
        .def("remove_device", &PyStore::remove_device, py::arg("place"))
        .def("replace_device", &PyStore::replace_device, py::arg("old"), py::arg("place"))
        .def("rebalance", &PyStore::rebalance)
        .def_static("restore", &PyStore::restore, py::arg("source"), py::arg("path"));
    define_methods(store);
}

}  // namespace dvesp::bind

PYBIND11_MODULE(_native, module) {
    module.doc() = "The native core of dvesp; use the dvesp package instead.";
    dvesp::bind::define_errors(module);
    dvesp::bind::SearchReply::define(module);
    dvesp::bind::PyKeyring::define(module);
    dvesp::bind::PyStoreKeys::define(module);
    dvesp::bind::PyArchive::define(module);
    dvesp::bind::PyStore::define(module);
    dvesp::bind::PyRemoteStore::define(module);
    dvesp::bind::PyChain::define(module);
    dvesp::bind::define_certificates(module);
    dvesp::bind::define_audit(module);
    module.def(
        "instruction_set", [] { return dvesp::kernels::best().name; }, "The kernels that this CPU runs.");
    module.def("vector_bytes_copied", &dvesp::store::vector_bytes_copied,
               "Bytes of vectors copied from NumPy into log buffers, in this process.");
    module.def(
        "version", [] { return DVESP_VERSION; }, "The version of the package.");
}
