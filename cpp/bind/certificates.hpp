/// bind/certificates.hpp - the native module's functions of the organisation's CA.
#pragma once

#include <pybind11/pybind11.h>

namespace dvesp::bind {

/// Adds what `dvesp ca` does to the module: make, issue, renew, revoke, read.
void define_certificates(pybind11::module_& module);

}  // namespace dvesp::bind
