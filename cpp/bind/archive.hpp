/// bind/archive.hpp - archives as Python asks for them: targets by their settings, what they hold, and the way back.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <vector>

#include "bind/keyring.hpp"
#include "node/archive_restore.hpp"

namespace dvesp::bind {

/// The targets of a list of settings, each a dict with `kind` and `public`. @pre the GIL is held
node::ArchiveSetup archive_setup(const pybind11::list& targets, const MaybeKeyring& keyring);

/// Targets that are looked at without a store. @threads any
class PyArchive {
  public:
    PyArchive(const pybind11::list& targets, const MaybeKeyring& keyring);
    static void define(pybind11::module_& module);
    pybind11::list states();
    std::vector<std::string> verify();

  private:
    std::unique_ptr<ports::Files> files_;  ///< nothing is kept in them
    std::unique_ptr<ports::Random> random_;
    std::unique_ptr<node::ArchiveReader> reader_;
};

/// Members of status(detail=True).
pybind11::list archive_reports(const std::vector<node::ArchiveTargetReport>& reports);
pybind11::object restore_report(const node::RestoreProgress& progress);
/// ISO 8601 in UTC, or None for 0.
pybind11::object instant_of(std::uint64_t wall_ms);

}  // namespace dvesp::bind
