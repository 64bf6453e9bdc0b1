/// bind/module.cpp - the native module's table of contents.
#include <pybind11/stl.h>

#include "bind/errors.hpp"
#include "bind/store.hpp"
#include "kernels/kernels.hpp"
#include "store/frame_maker.hpp"

namespace py = pybind11;

namespace dvesp::bind {

void PyStore::define(py::module_& module) {
    py::class_<PyCursor, std::shared_ptr<PyCursor>>(module, "Cursor", "Walks a pinned snapshot.")
        .def("next", &PyCursor::next, "(ids, vectors [m, d], metadata, versions), or None at the end.");
    py::class_<PyStore, std::shared_ptr<PyStore>>(module, "Store", "One embedded store; safe to share between threads.")
        .def(py::init<const std::optional<std::string>&>(), py::arg("path"))
        .def_static("restore", &PyStore::restore, py::arg("source"), py::arg("path"))
        .def("close", &PyStore::close)
        .def("create_collection", &PyStore::create_collection, py::arg("name"), py::arg("dimension"), py::arg("metric"),
             py::arg("index"), py::arg("index_params"), py::arg("exist_ok"))
        .def("drop_collection", &PyStore::drop_collection, py::arg("name"))
        .def("list_collections", &PyStore::list_collections)
        .def("describe", &PyStore::describe, py::arg("name"))
        .def("write", &PyStore::write, py::arg("collection"), py::arg("vectors"), py::arg("ids"), py::arg("metadata"),
             py::arg("mode"), py::arg("timeout_ms"))
        .def("update", &PyStore::update, py::arg("collection"), py::arg("id"), py::arg("vector"), py::arg("metadata"),
             py::arg("if_version"), py::arg("timeout_ms"))
        .def("delete", &PyStore::remove, py::arg("collection"), py::arg("ids"), py::arg("filter"), py::arg("timeout_ms"))
        .def("get", &PyStore::get, py::arg("collection"), py::arg("ids"))
        .def("search", &PyStore::search, py::arg("collection"), py::arg("queries"), py::arg("top_k"), py::arg("metric"),
             py::arg("filter"), py::arg("include_vectors"), py::arg("ef"), py::arg("nprobe"), py::arg("exact"),
             py::arg("recall"), py::arg("timeout_ms"))
        .def("scroll", &PyStore::scroll, py::arg("collection"), py::arg("filter"), py::arg("after"), py::arg("batch_size"),
             py::arg("on_damage"))
        .def("count", &PyStore::count, py::arg("collection"), py::arg("filter"))
        .def("flush", &PyStore::flush, py::arg("collection"))
        .def("compact", &PyStore::compact, py::arg("collection"))
        .def("progress", &PyStore::progress)
        .def("verify", &PyStore::verify, py::arg("collection"))
        .def("snapshot", &PyStore::snapshot, py::arg("path"))
        .def("status", &PyStore::status, py::arg("detail"));
}

}  // namespace dvesp::bind

PYBIND11_MODULE(_native, module) {
    module.doc() = "The native core of dvesp; use the dvesp package instead.";
    dvesp::bind::define_errors(module);
    dvesp::bind::SearchReply::define(module);
    dvesp::bind::PyStore::define(module);
    module.def(
        "instruction_set", [] { return dvesp::kernels::best().name; }, "The kernels that this CPU runs.");
    module.def("vector_bytes_copied", &dvesp::store::vector_bytes_copied,
               "Bytes of vectors copied from NumPy into log buffers, in this process.");
    module.def(
        "version", [] { return DVESP_VERSION; }, "The version of the package.");
}
