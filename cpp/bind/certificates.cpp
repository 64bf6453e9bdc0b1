/// bind/certificates.cpp - paths and names in, paths and a dict out; the work is done without the GIL.
#include "bind/certificates.hpp"

#include <pybind11/stl.h>

#include "bind/errors.hpp"
#include "os/certificates.hpp"
#include "os/issued.hpp"
#include "os/revocations.hpp"
#include "os/snapshot_file.hpp"

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

std::tuple<std::string, std::string> renew_certificate(const std::string& ca_directory, const std::string& name,
                                                       const std::string& directory, std::int64_t days) {
    return paths_of(unlocked([&] { return os::renew_certificate(ca_directory, name, directory, days); }));
}

py::dict dict_of(const os::CertificateInfo& info) {
    py::dict out;
    out["name"] = info.name;
    out["organisation"] = info.organisation;
    out["role"] = info.is_ca ? "ca" : info.role == os::PeerRole::node ? "node" : "client";
    out["hosts"] = info.hosts;
    out["uri"] = info.uri;
    out["issuer"] = info.issuer;
    out["serial"] = info.serial;
    out["fingerprint"] = info.fingerprint;
    out["not_before"] = info.not_before;
    out["not_after"] = info.not_after;
    out["seconds_left"] = info.seconds_left;
    out["seconds_valid"] = info.seconds_valid;
    return out;
}

py::dict read_certificate(const std::string& path) {
    return dict_of(take(unlocked([&] { return os::read_certificate(path); })));
}

std::vector<py::dict> issued_certificates(const std::string& ca_directory) {
    std::vector<py::dict> out;
    for (const auto& info : take(unlocked([&] { return os::issued_certificates(ca_directory); }))) out.push_back(dict_of(info));
    return out;
}

py::dict dict_of(const codec::Revocation& entry) {
    py::dict out;
    out["serial"] = to_hex(entry.serial);
    out["revoked_at_s"] = entry.revoked_at_s;
    out["reason"] = codec::reason_name(entry.reason);
    out["entry"] = to_hex(codec::encode_revocation(entry));
    return out;
}

std::vector<py::dict> revoke_certificates(const std::string& ca_directory, const std::vector<std::string>& serials,
                                          const std::string& reason) {
    const auto known = codec::reason_named(reason);
    if (!known) refuse("reason is '" + reason + "', which is none");
    std::vector<py::dict> out;
    for (const auto& entry : take(unlocked([&] { return os::revoke_certificates(ca_directory, serials, *known); })))
        out.push_back(dict_of(entry));
    return out;
}

std::vector<py::dict> read_revocations(const std::string& path) {
    std::vector<py::dict> out;
    for (const auto& bytes : take(unlocked([&] { return os::read_revocation_file(path); })))
        out.push_back(dict_of(take(codec::parse_revocation(bytes))));
    return out;
}

std::size_t write_revocation_snapshot(const std::string& ca_directory, const std::string& path) {
    return take(unlocked([&] { return os::write_snapshot(ca_directory, path); }));
}

bool is_in_revocation_snapshot(const std::string& path, const std::string& ca_file, const std::string& certificate) {
    return take(unlocked([&] { return os::is_in_snapshot(path, ca_file, certificate); }));
}

}  // namespace

void define_certificates(py::module_& module) {
    module.def("make_ca", &make_ca, py::arg("directory"), py::arg("organisation"),
               "Writes ca.pem and ca.key.pem; returns their paths. Nothing is overwritten.");
    module.def("issue_certificate", &issue_certificate, py::arg("ca_directory"), py::arg("name"), py::arg("hosts"),
               py::arg("role"), py::arg("days"), py::arg("directory"),
               "Writes <name>.crt.pem and <name>.key.pem; returns their paths. days below 1: expired already.");
    module.def("renew_certificate", &renew_certificate, py::arg("ca_directory"), py::arg("name"), py::arg("directory"),
               py::arg("days"),
               "A new key and certificate in the place of the old ones; returns their paths. days 0: as before.");
    module.def("issued_certificates", &issued_certificates, py::arg("ca_directory"),
               "What read_certificate says, of all that the CA issued, oldest first.");
    module.def("revoke_certificates", &revoke_certificates, py::arg("ca_directory"), py::arg("serials"), py::arg("reason"),
               "Signs that they count no more; returns the new entries.");
    module.def("read_revocations", &read_revocations, py::arg("path"), "The entries of a file; none when it is absent.");
    module.def("write_revocation_snapshot", &write_revocation_snapshot, py::arg("ca_directory"), py::arg("path"),
               "All revoked serials as one small signed file; returns how many there are.");
    module.def("is_in_revocation_snapshot", &is_in_revocation_snapshot, py::arg("path"), py::arg("ca_file"),
               py::arg("certificate"), "Whether the certificate of a PEM file is in such a file.");
    module.def("read_certificate", &read_certificate, py::arg("path"), "What the first certificate of a PEM file says.");
}

}  // namespace dvesp::bind
