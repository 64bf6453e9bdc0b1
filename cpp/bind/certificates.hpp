/// bind/certificates.hpp - the native module's functions of the organisation's CA.
#pragma once

#include <pybind11/pybind11.h>

namespace dvesp::bind {

/// Adds make_ca, issue_certificate and read_certificate to the module.
void define_certificates(pybind11::module_& module);

}  // namespace dvesp::bind
