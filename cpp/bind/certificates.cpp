/// bind/certificates.cpp - paths and names in, paths and a dict out; the work is done without the GIL.
#include "bind/certificates.hpp"

#include <pybind11/stl.h>

#include "bind/errors.hpp"
#include "os/certificates.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

template <class Work>
auto unlocked(Work work) {
    const py::gil_scoped_release release;
    return work();
}

std::tuple<std::string, std::string> paths_of(Result<os::CertificateFiles> files) {
    auto taken = take(std::move(files));
    return {taken.certificate, taken.key};
}

std::tuple<std::string, std::string> make_ca(const std::string& directory, const std::string& organisation) {
    return paths_of(unlocked([&] { return os::make_ca(directory, organisation); }));
}

std::tuple<std::string, std::string> issue_certificate(const std::string& ca_directory, const std::string& name,
                                                       const std::vector<std::string>& hosts, const std::string& role,
                                                       std::int64_t days, const std::string& directory) {
    if (role != "node" && role != "client") refuse("role is '" + role + "' but must be 'node' or 'client'");
    os::CertificateRequest request;
    request.name = name;
    request.hosts = hosts;
    request.role = role == "node" ? os::PeerRole::node : os::PeerRole::client;
    request.days = days;
    return paths_of(unlocked([&] { return os::issue_certificate(ca_directory, request, directory); }));
}

py::dict read_certificate(const std::string& path) {
    const os::CertificateInfo info = take(unlocked([&] { return os::read_certificate(path); }));
    py::dict out;
    out["name"] = info.name;
    out["organisation"] = info.organisation;
    out["role"] = info.is_ca ? "ca" : info.role == os::PeerRole::node ? "node" : "client";
    out["hosts"] = info.hosts;
    out["issuer"] = info.issuer;
    out["serial"] = info.serial;
    out["fingerprint"] = info.fingerprint;
    out["not_before"] = info.not_before;
    out["not_after"] = info.not_after;
    out["seconds_left"] = info.seconds_left;
    return out;
}

}  // namespace

void define_certificates(py::module_& module) {
    module.def("make_ca", &make_ca, py::arg("directory"), py::arg("organisation"),
               "Writes ca.pem and ca.key.pem; returns their paths. Nothing is overwritten.");
    module.def("issue_certificate", &issue_certificate, py::arg("ca_directory"), py::arg("name"), py::arg("hosts"),
               py::arg("role"), py::arg("days"), py::arg("directory"),
               "Writes <name>.crt.pem and <name>.key.pem; returns their paths. days below 1: expired already.");
    module.def("read_certificate", &read_certificate, py::arg("path"), "What the first certificate of a PEM file says.");
}

}  // namespace dvesp::bind
