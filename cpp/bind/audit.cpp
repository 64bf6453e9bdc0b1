/// bind/audit.cpp - directories in, dicts and tuples out; the work is done without the GIL.
#include "bind/audit.hpp"

#include <pybind11/stl.h>

#include "bind/device_network.hpp"
#include "bind/errors.hpp"
#include "node/audit_verify.hpp"
#include "os/files.hpp"
#include "os/random.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

template <class Work>
auto unlocked(Work work) {
    const py::gil_scoped_release release;
    return work();
}

Result<std::unique_ptr<ports::File>> open_log(const std::string& directory) {
    const auto files = os::make_files(directory);
    DVESP_ASSIGN(const bool is_there, files->exists(node::audit_file));
    if (!is_there) return fail(ErrorCode::invalid_argument, directory + ": there is no audit log");
    return files->open(node::audit_file, ports::Access::buffered);
}

py::dict verify(const std::string& directory, const std::vector<std::string>& devices, const TlsPaths& tls) {
    const DeviceNetwork network = network_of(devices, tls);
    const node::AuditReport report = take(unlocked([&]() -> Result<node::AuditReport> {
        DVESP_ASSIGN(const auto log, open_log(directory));
        std::vector<node::DeviceEvidence> evidence;
        const auto random = os::make_random();
        node::DevicePlaces places([](const std::string& path) { return os::make_files(path); }, *random, network.rpc);
        for (const std::string& device : devices) {
            evidence.push_back(node::is_on_node(device) ? node::ask_node(places, device)
                                                        : node::ask_device(*os::make_files(device), device));
        }
        return node::verify_audit(*log, evidence);
    }));
    py::dict out;
    out["log"] = codec::audit_origin(report.header);
    out["public_key"] = to_hex(report.header.public_key);
    out["entries"] = report.entries;
    out["root"] = to_hex(report.root);
    out["checkpoints"] = report.checkpoints;
    out["cosignatures"] = report.cosignatures;
    out["unsigned_entries"] = report.unsigned_entries;
    out["witnessed_entries"] = report.witnessed;
    out["devices"] = devices;
    out["problems"] = report.problems;
    out["restarts"] = report.restarts;
    return out;
}

py::tuple row_of(std::uint64_t index, const codec::AuditEntryBytes& bytes) {
    const codec::AuditEntry entry = take(codec::parse_audit_entry(bytes));
    return py::make_tuple(index, entry.time_ms, codec::audit_kind_name(entry.kind), to_hex(entry.actor),
                          codec::audit_kind_is_of_device(entry.kind), entry.subject, entry.count, to_hex(entry.touched),
                          to_hex(codec::tree_leaf(bytes)));
}

py::tuple read(const std::string& directory, std::uint64_t offset, std::uint64_t index, std::size_t count) {
    if (count < 1 || count > 100'000) refuse("count: must be 1..100000");
    std::vector<codec::AuditEntryBytes> entries;
    const std::uint64_t next = take(unlocked([&]() -> Result<std::uint64_t> {
        DVESP_ASSIGN(const auto log, open_log(directory));
        DVESP_TRY(node::read_audit_header(*log));
        node::AuditReader reader(*log, std::max<std::uint64_t>(offset, codec::audit_header_bytes));
        while (entries.size() < count) {
            DVESP_ASSIGN(const auto record, reader.next());
            if (!record) break;
            if (record->type != codec::AuditRecordType::entry) continue;
            entries.emplace_back();
            std::copy(record->payload.begin(), record->payload.end(), entries.back().begin());
        }
        return reader.offset();
    }));
    py::list rows;
    for (const codec::AuditEntryBytes& bytes : entries) rows.append(row_of(index++, bytes));
    return py::make_tuple(rows, next, index);
}

py::dict prove(const std::string& directory, std::uint64_t index) {
    const node::AuditProof proof = take(unlocked([&]() -> Result<node::AuditProof> {
        DVESP_ASSIGN(const auto log, open_log(directory));
        return node::prove_entry(*log, index);
    }));
    py::list path;
    for (const Hash& hash : proof.path) path.append(to_hex(hash));
    py::dict out;
    out["entry"] = row_of(index, proof.entry);
    out["entry_bytes"] = to_hex(proof.entry);
    out["path"] = path;
    out["size"] = proof.checkpoint.checkpoint.size;
    out["root"] = to_hex(proof.checkpoint.checkpoint.root);
    out["checkpoint"] = codec::encode_note(proof.checkpoint);
    return out;
}

}  // namespace

void define_audit(py::module_& module) {
    module.def("audit_verify", &verify, py::arg("directory"), py::arg("devices"), py::arg("tls"),
               "Checks the audit log in a directory, and what devices remember of it; what was found, problems "
               "first of all.");
    module.def("audit_read", &read, py::arg("directory"), py::arg("offset"), py::arg("index"), py::arg("count"),
               "(entries, next offset, next index) from a place in the log; offset 0 and index 0 are its beginning.");
    module.def("audit_prove", &prove, py::arg("directory"), py::arg("index"),
               "An entry, the hashes that prove it, and the signed checkpoint that they lead to.");
}

}  // namespace dvesp::bind
