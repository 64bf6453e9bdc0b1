/// bind/archive.cpp - makes targets of Python's settings; the archive methods of a store.
#include "bind/archive.hpp"

#include <pybind11/stl.h>

#include <ctime>

#include "archive/bounded_client.hpp"
#include "archive/directory.hpp"
#include "archive/ipfs.hpp"
#include "archive/s3.hpp"
#include "archive/shadow_drive.hpp"
#include "bind/arguments.hpp"
#include "bind/errors.hpp"
#include "bind/store.hpp"
#include "node/memory_files.hpp"
#include "os/clock.hpp"
#include "os/executor.hpp"
#include "os/files.hpp"
#include "os/http_client.hpp"
#include "os/memory.hpp"
#include "os/random.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

constexpr std::size_t download_threads = 3;

std::string text_at(const py::dict& settings, const char* name) { return settings[name].cast<std::string>(); }
std::vector<std::string> texts_at(const py::dict& settings, const char* name) {
    return settings[name].cast<std::vector<std::string>>();
}

/// The client of a target: with `bytes_per_second`, one of its own that keeps to it.
ports::HttpClient& client_of(const py::dict& settings, node::ArchiveSetup& setup) {
    const auto rate = settings.contains("bytes_per_second") ? settings["bytes_per_second"].cast<std::uint64_t>() : 0;
    if (rate == 0) return *setup.http;
    setup.bounded.push_back(std::make_unique<archive::BoundedClient>(*setup.http, rate));
    return *setup.bounded.back();
}

Result<std::unique_ptr<archive::Target>> target_of(const py::dict& settings, node::ArchiveSetup& setup) {
    const std::string kind = text_at(settings, "kind");
    if (kind == "directory")
        return archive::make_directory_target(os::make_files(text_at(settings, "path")), os::make_random());
    if (kind == "ipfs") {
        archive::IpfsOptions options{texts_at(settings, "apis"),    texts_at(settings, "gateways"),
                                     text_at(settings, "name"),     text_at(settings, "root"),
                                     text_at(settings, "ipns_key"), texts_at(settings, "pin_services"),
                                     text_at(settings, "token")};
        if (!options.root.empty()) options.name.clear();
        return archive::make_ipfs_target(options, client_of(settings, setup), setup.executor.get());
    }
    if (kind == "shadow_drive") {
        archive::ShadowDriveOptions options;
        options.endpoint = text_at(settings, "endpoint");
        options.account = text_at(settings, "account");
        options.files_base = text_at(settings, "files");
        options.api = text_at(settings, "api");
        const sealed::UserSecret wallet = settings["wallet"].cast<std::shared_ptr<PyKeyring>>()->secret();
        if (wallet.kind != sealed::SecretKind::wallet_seed)
            refuse("wallet: this keyring is no wallet; use Keyring.from_wallet");
        options.seed = crypto::Key32(wallet.bytes.bytes());
        return archive::make_shadow_drive_target(std::move(options), client_of(settings, setup));
    }
    if (kind != "s3") refuse("archive: there is no target of kind '" + kind + "'");
    archive::S3Options options{text_at(settings, "endpoint"),
                               text_at(settings, "bucket"),
                               text_at(settings, "prefix"),
                               {text_at(settings, "access_key"), text_at(settings, "secret_key"),
                                text_at(settings, "session_token"), text_at(settings, "region")}};
    return archive::make_s3_target(std::move(options), client_of(settings, setup));
}

}  // namespace

node::ArchiveSetup archive_setup(const py::list& targets, const MaybeKeyring& keyring) {
    node::ArchiveSetup setup;
    setup.http = os::make_http_client();
    setup.executor = os::make_executor(targets.size() + 1, download_threads);
    for (const py::handle& target : targets) {
        const auto settings = target.cast<py::dict>();
        setup.targets.push_back({take(target_of(settings, setup)), settings["public"].cast<bool>(), text_at(settings, "kind")});
    }
    if (keyring) setup.secret = (*keyring)->secret();
    return setup;
}

py::object instant_of(std::uint64_t wall_ms) {
    if (wall_ms == 0) return py::none();
    const auto seconds = static_cast<std::time_t>(wall_ms / 1000);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    std::array<char, 32> text{};
    const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
    return py::str(text.data(), length);
}

py::list archive_reports(const std::vector<node::ArchiveTargetReport>& reports) {
    py::list out;
    for (const node::ArchiveTargetReport& report : reports) {
        py::dict one;
        one["target"] = report.target;
        one["kind"] = report.kind;
        one["is_current"] = report.is_current;
        one["manifest"] = report.manifest;
        one["segments"] = report.segments;
        one["objects"] = report.objects;
        one["bytes"] = report.bytes;
        one["waiting_objects"] = report.waiting_objects;
        one["waiting_bytes"] = report.waiting_bytes;
        one["last_archive"] = instant_of(report.last_archive_ms);
        one["failures"] = report.failures;
        one["last_error"] = report.last_error.empty() ? py::object(py::none()) : py::object(py::str(report.last_error));
        one["root"] = report.root.empty() ? py::object(py::none()) : py::object(py::str(report.root));
        out.append(one);
    }
    return out;
}

py::object restore_report(const node::RestoreProgress& progress) {
    if (progress.is_done) return py::bool_(false);
    py::dict out;
    out["bytes"] = progress.bytes;
    out["bytes_total"] = progress.bytes_total;
    out["segments"] = progress.segments;
    out["segments_total"] = progress.segments_total;
    out["error"] = progress.error.empty() ? py::object(py::none()) : py::object(py::str(progress.error));
    return out;
}

PyArchive::PyArchive(const py::list& targets, const MaybeKeyring& keyring)
    : files_(node::make_memory_files()), random_(os::make_random()) {
    auto setup = archive_setup(targets, keyring);
    reader_ = take(unlocked([&] { return node::ArchiveReader::open(std::move(setup), *files_, *random_); }));
}

py::list PyArchive::states() {
    const auto states = take(unlocked([&] { return reader_->list(); }));
    py::list out;
    for (const node::ArchivedState& state : states) {
        py::dict one;
        one["target"] = state.target;
        one["manifest"] = state.number;
        one["created"] = instant_of(state.created_ms);
        one["collections"] = state.collections;
        one["segments"] = state.segments;
        one["batches"] = state.batches;
        one["objects"] = state.objects;
        one["bytes"] = state.bytes;
        one["problem"] = state.problem.empty() ? py::object(py::none()) : py::object(py::str(state.problem));
        out.append(one);
    }
    return out;
}

std::vector<std::string> PyArchive::verify() {
    const py::gil_scoped_release release;
    return reader_->verify();
}

void PyArchive::define(py::module_& module) {
    py::class_<PyArchive>(module, "Archive", "Targets with an archive, looked at without a store.")
        .def(py::init<const py::list&, const MaybeKeyring&>(), py::arg("targets"), py::arg("keyring"))
        .def("states", &PyArchive::states, "Manifests, newest first.")
        .def("verify", &PyArchive::verify, "Reads every object of the newest manifests; problems, each naming its object.");
}

PyStore::PyStore(const std::optional<std::string>& path, const py::list& targets, const MaybeKeyring& keyring) {
    auto setup = archive_setup(targets, keyring);
    auto opened = unlocked([&] {
        node::OwnedPorts ports{path ? os::make_files(*path) : node::make_memory_files(), os::make_clock(), os::make_random(),
                               os::make_executor(background_threads, os::default_parallelism())};
        return node::EmbeddedStore::open_archived(std::move(ports), std::move(setup));
    });
    store_ = take(std::move(opened));
}

std::shared_ptr<PyStore> PyStore::restore_archive(const py::list& targets, const MaybeKeyring& keyring,
                                                  const std::optional<std::string>& path) {
    auto setup = archive_setup(targets, keyring);
    auto opened = unlocked([&] {
        node::OwnedPorts ports{path ? os::make_files(*path) : node::make_memory_files(), os::make_clock(), os::make_random(),
                               os::make_executor(background_threads, os::default_parallelism())};
        return node::EmbeddedStore::open_restoring(std::move(ports), std::move(setup));
    });
    return std::shared_ptr<PyStore>(new PyStore(std::shared_ptr<node::EmbeddedStore>(take(std::move(opened)))));
}

void PyStore::archive(std::uint64_t timeout_ms) {
    take(database().check_open());
    if (store_->archive() == nullptr) refuse("archive: the store has no archive; open it with archive=[...]");
    take(unlocked([&] { return store_->archive()->archive(timeout_ms); }));
}

std::uint64_t PyStore::prune_archive(std::size_t keep) {
    take(database().check_open());
    if (store_->archive() == nullptr) refuse("archive: the store has no archive; open it with archive=[...]");
    return take(unlocked([&] { return store_->archive()->prune(keep); }));
}

void PyStore::wait_restored(std::uint64_t timeout_ms) {
    if (store_->restore() == nullptr) return;
    take(unlocked([&] { return store_->restore()->wait(timeout_ms); }));
}

py::tuple PyStore::restore_progress() {
    if (store_->restore() == nullptr) return py::make_tuple("", 0, 0);
    const node::RestoreProgress progress = store_->restore()->progress();
    return py::make_tuple("restore", progress.bytes, progress.bytes_total);
}

}  // namespace dvesp::bind
