/// bind/errors.hpp - Result errors as Python exceptions.
#pragma once

#include <pybind11/pybind11.h>

#include "base/result.hpp"

namespace dvesp::bind {

/// Adds set_error_classes and error_table to the module.
void define_errors(pybind11::module_& module);

/// Raises the Python class that errors.def names for `error`. @pre the GIL is held
[[noreturn]] void raise(const Error& error);

/// The value, or the exception.
template <class T>
T take(Result<T> result) {
    if (!result.ok()) raise(result.error());
    return std::move(result).value();
}
inline void take(const Result<void>& result) {
    if (!result.ok()) raise(result.error());
}

[[noreturn]] inline void refuse(std::string message) { raise(fail(ErrorCode::invalid_argument, std::move(message))); }

}  // namespace dvesp::bind
