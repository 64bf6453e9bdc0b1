/// tests/fuzz/audit_fuzz.cpp - libFuzzer target: no bytes break the parsers of the audit log, each thing has one form, no
/// made-up proof is believed, and a whole log of any bytes is verified to an end. Input bytes: u8 which | the rest.
#include "fuzz/fuzz_support.hpp"
#include "node/audit_verify.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

void try_entry(ByteView bytes) {
    const auto entry = codec::parse_audit_entry(bytes);
    if (!entry.ok()) return;
    const auto again = codec::encode_audit_entry(*entry);
    require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
}

void try_note(ByteView bytes) {
    const auto note = codec::parse_note(text_of(bytes));
    if (note.ok()) require(codec::encode_note(*note) == text_of(bytes));
    const auto decoded = codec::from_base64(text_of(bytes));
    if (decoded) require(codec::to_base64(*decoded) == text_of(bytes));
}

void try_witness(ByteView bytes) {
    const auto memory = sealed::parse_witness(bytes);
    if (!memory.ok()) return;
    const auto again = sealed::encode_witness(*memory);
    require(std::equal(again.bytes().begin(), again.bytes().end(), bytes.begin(), bytes.end()));
}

/// Proofs of the right shape or any other: only the true one holds.
void try_proofs(fuzz::Input& input) {
    const std::uint64_t size = 1 + input.byte() % 64;
    std::vector<Hash> leaves;
    codec::TreeFrontier tree;
    for (std::uint64_t at = 0; at < size; ++at) {
        leaves.push_back(codec::tree_leaf({reinterpret_cast<const std::uint8_t*>(&at), sizeof at}));
        tree.append(leaves.back());
    }
    const std::uint64_t number = input.byte() % (size + 2);
    codec::Proof proof;
    const codec::Proof included = number < size ? codec::inclusion_proof(leaves, number) : codec::Proof();
    const codec::Proof consistent = number <= size ? codec::consistency_proof({}, leaves, number) : codec::Proof();
    while (!input.empty() && proof.size() < codec::proof_hashes_max) {  // hashes of the true proofs, or others
        const std::uint8_t from = input.byte();
        const codec::Proof& source = from % 3 == 0 ? included : consistent;
        Hash hash{};
        if (from % 3 != 2 && !source.empty()) hash = source[(from / 3U) % source.size()];
        proof.push_back(hash);
    }
    if (number < size && codec::verify_inclusion(leaves[number], number, size, proof, tree.root())) require(proof == included);
    require(number < size || !codec::verify_inclusion(leaves[0], number, size, proof, tree.root()));
    Hash root = tree.root();
    if (number > 0 && number <= size) {
        codec::TreeFrontier first;
        for (std::uint64_t at = 0; at < number; ++at) first.append(leaves[at]);
        root = first.root();
        if (codec::verify_consistency(number, root, size, tree.root(), proof)) require(proof == consistent);
    }
    root[0] ^= 1;
    require(!codec::verify_consistency(number, root, size, tree.root(), proof));
}

/// A log: a header with the right checksum, then records of the input; verified, and each entry proved.
void try_log(fuzz::Input& input) {
    std::vector<std::uint8_t> bytes(codec::audit_header_bytes);
    codec::AuditHeader header;
    header.log_id[0] = input.byte();
    const auto head = codec::encode_audit_header(header);
    std::copy(head.begin(), head.end(), bytes.begin());
    const auto mark = codec::encode_audit_mark({1, input.byte(), input.u16()});
    std::copy(mark.begin(), mark.end(), bytes.begin() + static_cast<std::ptrdiff_t>(codec::audit_mark_offset(1)));
    codec::TreeFrontier tree;
    while (!input.empty()) {
        const auto type = static_cast<codec::AuditRecordType>(1 + input.byte() % 4);
        if (type == codec::AuditRecordType::entry) {
            codec::AuditEntryBytes entry =
                codec::encode_audit_entry({static_cast<codec::AuditKind>(1 + input.byte() % 8), 1, {}, 1, 1, {}});
            entry[30] = input.byte();
            codec::append_audit_record(bytes, type, entry);
            tree.append(codec::tree_leaf(entry));
        } else if (static_cast<int>(type) == 4) {
            const ByteView raw = input.take(input.u16());
            bytes.insert(bytes.end(), raw.begin(), raw.end());
        } else {
            codec::Note note{{codec::audit_origin(header), tree.size(), tree.root()}, {}};
            if (input.byte() % 8 == 0) note.checkpoint.size ^= 1;
            codec::append_audit_record(bytes, type, bytes_of(codec::encode_note(note)));
        }
    }
    const auto files = node::make_memory_files();
    const auto file = files->create("log", 0, ports::Access::buffered);
    require(file.ok() && (*file)->write(0, bytes).ok());
    const node::DeviceEvidence silent{"d", {}, {}};
    const auto report = node::verify_audit(**file, {silent});
    require(report.ok() && !report->problems.empty());
    const auto proof = node::prove_entry(**file, 0);
    if (!proof.ok()) return;
    require(codec::verify_inclusion(codec::tree_leaf(proof->entry), 0, proof->checkpoint.checkpoint.size, proof->path,
                                    proof->checkpoint.checkpoint.root));
}

void try_page(ByteView bytes) {
    const auto header = codec::parse_audit_header(bytes);
    if (header.ok()) {
        const auto again = codec::encode_audit_header(*header);
        require(std::equal(again.begin(), again.end(), bytes.begin()));
    }
    static_cast<void>(codec::parse_audit_marks(bytes));
    const auto record = codec::parse_audit_record(bytes);
    if (!record) return;
    std::vector<std::uint8_t> again;
    codec::append_audit_record(again, record->type, record->payload);
    require(std::equal(again.begin(), again.end(), bytes.begin()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    switch (input.byte() % 6) {
        case 0:
            try_entry(input.rest());
            break;
        case 1:
            try_note(input.rest());
            break;
        case 2:
            try_witness(input.rest());
            break;
        case 3:
            try_proofs(input);
            break;
        case 4:
            try_log(input);
            break;
        default:
            try_page(input.rest());
            break;
    }
    return 0;
}
