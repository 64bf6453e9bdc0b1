/// bind/errors.cpp - looks the exception class up in the module, where Python registered it.
#include "bind/errors.hpp"

#include <array>

namespace py = pybind11;

namespace dvesp::bind {
namespace {

constexpr const char* classes_attribute = "_error_classes";

constexpr std::array outcome_names = {"not_done", "maybe_done", "bad_input", "damaged"};

py::list error_table() {
    py::list table;
    for (const ErrorInfo& info : error_infos()) {
        table.append(py::make_tuple(info.name, static_cast<int>(info.code),
                                    outcome_names[static_cast<std::size_t>(info.outcome)], info.http_status, info.python_class,
                                    info.sentence));
    }
    return table;
}

}  // namespace

void define_errors(py::module_& module) {
    module.attr(classes_attribute) = py::dict();
    module.def(
        "set_error_classes",
        [](const py::dict& classes) { py::module_::import("dvesp._native").attr(classes_attribute) = classes; },
        py::arg("classes"), "Registers the exception class for each class name of the error table.");
    module.def("error_table", &error_table, "Rows (name, number, outcome, HTTP status, Python class, sentence).");
}

void raise(const Error& error) {
    const ErrorInfo& info = error_info(error.code);
    const py::dict classes = py::module_::import("dvesp._native").attr(classes_attribute);
    // Messages may hold names of any bytes: what is not UTF-8 is shown, not raised.
    const py::str text = py::reinterpret_steal<py::str>(
        PyUnicode_DecodeUTF8(error.message.data(), static_cast<Py_ssize_t>(error.message.size()), "replace"));
    if (classes.contains(info.python_class)) {
        const py::object type = classes[info.python_class];
        PyErr_SetObject(type.ptr(), type(text).ptr());
    } else {
        PyErr_SetObject(PyExc_RuntimeError, text.ptr());
    }
    throw py::error_already_set();
}

}  // namespace dvesp::bind
