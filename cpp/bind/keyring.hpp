/// bind/keyring.hpp - what a sealed store is unlocked with, as a Python object that shows nothing.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>

#include "sealed/key_table.hpp"

namespace dvesp::bind {

class PyKeyring {
  public:
    explicit PyKeyring(sealed::UserSecret secret) : secret_(std::move(secret)) {}
    static void define(pybind11::module_& module);
    [[nodiscard]] sealed::UserSecret secret() const { return secret_.clone(); }

  private:
    sealed::UserSecret secret_;
};

/// None where no key is needed.
using MaybeKeyring = std::optional<std::shared_ptr<PyKeyring>>;

}  // namespace dvesp::bind
