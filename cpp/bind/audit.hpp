/// bind/audit.hpp - an auditor's functions in the native module: none needs a key, none changes anything.
#pragma once

#include <pybind11/pybind11.h>

namespace dvesp::bind {

void define_audit(pybind11::module_& module);

}  // namespace dvesp::bind
