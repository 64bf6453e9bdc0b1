/// tests/unit/audit_test.cpp - trees and proofs against a slow twin and published roots, notes, witnesses, entries.
#include <doctest/doctest.h>

#include <numeric>

#include "base/prng.hpp"
#include "codec/merkle.hpp"
#include "sealed/audit_note.hpp"

namespace {

using namespace dvesp;
using namespace dvesp::codec;

std::vector<Hash> some_leaves(std::size_t count) {
    std::vector<Hash> out;
    for (std::size_t at = 0; at < count; ++at) out.push_back(tree_leaf(bytes_of("entry " + std::to_string(at))));
    return out;
}

TreeFrontier frontier_of(std::span<const Hash> leaves) {
    TreeFrontier out;
    for (const Hash& leaf : leaves) out.append(leaf);
    return out;
}

crypto::Key32 key_of(std::uint8_t first) {
    crypto::Key32 key;
    std::iota(key.bytes().begin(), key.bytes().end(), first);
    return key;
}

/// A log that signs whatever it is asked to, and a witness of it.
struct Party {
    crypto::Ed25519Key key{key_of(1)};
    AuditHeader header{{7}, key.public_key()};
    sealed::WitnessMemory witness{key_of(9), {}};

    Note sign(std::span<const Hash> leaves) const {
        return sealed::sign_checkpoint(header, key, leaves.size(), merkle_root(leaves));
    }
    Result<NoteSignature> show(std::span<const Hash> leaves, std::uint64_t known) {
        return sealed::cosign(witness, header, sign(leaves), consistency_proof({}, leaves, known), 1700);
    }
};

}  // namespace

TEST_CASE("audit_tree_roots_are_those_of_certificate_transparency") {
    // The inputs and roots of the reference implementation's tests (merkle_tree_test.cc of certificate-transparency).
    const std::vector<std::string> inputs = {
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
    const std::vector<std::string> roots = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    TreeFrontier tree;
    CHECK(to_hex(tree.root()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (std::size_t at = 0; at < inputs.size(); ++at) {
        std::vector<std::uint8_t> bytes(inputs[at].size() / 2);
        REQUIRE(from_hex(inputs[at], bytes));
        tree.append(tree_leaf(bytes));
        CHECK(to_hex(tree.root()) == roots[at]);
    }
}

TEST_CASE("audit_inclusion_proofs_hold_for_their_leaf_alone") {
    for (std::size_t size = 1; size <= 40; ++size) {
        const std::vector<Hash> leaves = some_leaves(size);
        const Hash root = merkle_root(leaves);
        for (std::size_t index = 0; index < size; ++index) {
            Proof proof = inclusion_proof(leaves, index);
            CHECK(verify_inclusion(leaves[index], index, size, proof, root));
            CHECK(!verify_inclusion(leaves[index], index + 1, size, proof, root));
            if (size > 1) CHECK(!verify_inclusion(leaves[(index + 1) % size], index, size, proof, root));
            proof.push_back(root);
            CHECK(!verify_inclusion(leaves[index], index, size, proof, root));
            proof.pop_back();
            if (proof.empty()) continue;
            proof.back()[3] ^= 1;
            CHECK(!verify_inclusion(leaves[index], index, size, proof, root));
            proof.pop_back();
            CHECK(!verify_inclusion(leaves[index], index, size, proof, root));
        }
    }
}

TEST_CASE("audit_consistency_proofs_are_the_same_from_any_base_and_hold_for_their_trees_alone") {
    constexpr std::size_t most = 36;
    const std::vector<Hash> all = some_leaves(most);
    for (std::size_t second = 0; second <= most; ++second) {
        const std::span<const Hash> leaves(all.data(), second);
        for (std::size_t first = 0; first <= second; ++first) {
            const Hash first_root = merkle_root(leaves.first(first));
            const Hash root = merkle_root(leaves);
            Proof proof = consistency_proof({}, leaves, first);
            for (std::size_t base = 0; base <= first; ++base) {
                CHECK(consistency_proof(frontier_of(leaves.first(base)), leaves.subspan(base), first) == proof);
            }
            CHECK(verify_consistency(first, first_root, second, root, proof));
            Hash other = first_root;
            other[0] ^= 1;
            CHECK(!verify_consistency(first, other, second, root, proof));
            if (first > 0 && first < second) {
                CHECK(!verify_consistency(first, first_root, second, other, proof));
                CHECK(!verify_consistency(second, root, first, first_root, proof));
                proof.back()[0] ^= 1;
                CHECK(!verify_consistency(first, first_root, second, root, proof));
                proof.pop_back();
                CHECK(!verify_consistency(first, first_root, second, root, proof));
            }
        }
    }
}

TEST_CASE("audit_notes_have_one_form") {
    const Party party;
    const auto leaves = some_leaves(5);
    const Note note = party.sign(leaves);
    const std::string text = encode_note(note);
    const auto parsed = parse_note(text);
    REQUIRE(parsed.ok());
    CHECK(*parsed == note);
    CHECK(text.starts_with("dvesp/audit/07000000000000000000000000000000\n5\n"));
    for (const std::string& bad :
         {std::string(), text.substr(0, text.size() - 1), text + "x", text + "\n", "\n" + text, "a b\n" + text}) {
        CHECK(!parse_note(bad).ok());
    }
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string flipped = text;
            flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
            const auto changed = parse_note(flipped);
            if (changed.ok()) CHECK(!sealed::is_signed_by_log(party.header, *changed));
        }
    }
    for (std::size_t size = 0; size < 20; ++size) {
        const std::vector<std::uint8_t> bytes(size, 0xfb);
        CHECK(from_base64(to_base64(bytes)) == bytes);
    }
    CHECK(!from_base64("AB=="));  // bits behind the last byte
    CHECK(!from_base64("A=BC"));
    CHECK(!from_base64("AAA"));
}

TEST_CASE("audit_witness_cosigns_what_continues_and_nothing_else") {
    Party party;
    std::vector<Hash> leaves = some_leaves(20);
    const crypto::PublicKey public_key = crypto::Ed25519Key(key_of(9)).public_key();
    REQUIRE(party.show(std::span(leaves).first(7), 0).ok());
    const auto line = party.show(std::span(leaves).first(12), 7);
    REQUIRE(line.ok());
    Note note = party.sign(std::span(leaves).first(12));
    CHECK(!sealed::is_cosigned_by(public_key, note));
    note.signatures.push_back(*line);
    CHECK(sealed::is_cosigned_by(public_key, note) == true);
    note.signatures.back().bytes[70] ^= 1;
    CHECK(sealed::is_cosigned_by(public_key, note) == false);
    CHECK(party.show(std::span(leaves).first(12), 12).ok());  // the same again

    const auto again = sealed::parse_witness(sealed::encode_witness(party.witness).bytes());
    REQUIRE(again.ok());
    REQUIRE(again->find(party.header) != nullptr);
    CHECK(again->find(party.header)->note.checkpoint.size == 12);
    CHECK(!sealed::parse_witness(sealed::encode_witness(party.witness).bytes().first(100)).ok());

    const auto refuse = [&](const std::vector<Hash>& history, std::uint64_t known) {
        const auto shown = party.show(history, known);
        CHECK(!shown.ok());
        if (!shown.ok()) CHECK(shown.error().code == ErrorCode::integrity);
        CHECK(party.witness.find(party.header)->note.checkpoint.size == 12);
    };
    refuse({leaves.begin(), leaves.begin() + 11}, 11);  // rolled back
    std::vector<Hash> forked = leaves;
    forked[3][0] ^= 1;
    refuse(forked, 12);  // changed
    forked.resize(12);
    refuse(forked, 12);  // changed at the same size
    forked = leaves;
    std::swap(forked[1], forked[2]);
    refuse(forked, 12);  // reordered
    forked = leaves;
    forked.erase(forked.begin() + 5);
    refuse(forked, 12);  // dropped
    CHECK(party.show(leaves, 12).ok());
    Party thief;
    thief.header.public_key = crypto::Ed25519Key(key_of(2)).public_key();
    const Note stolen = sealed::sign_checkpoint(thief.header, crypto::Ed25519Key(key_of(2)), 20, merkle_root(leaves));
    CHECK(!sealed::cosign(party.witness, thief.header, stolen, {}, 1).ok());  // another key for the same log
    CHECK(!sealed::cosign(party.witness, party.header, stolen, {}, 1).ok());
}

TEST_CASE("audit_entries_headers_and_marks_notice_every_flip") {
    AuditEntry entry{AuditKind::search, 1'700'000'000'123, {1, 2, 3}, 4, 10, {9, 8, 7}};
    const AuditEntryBytes bytes = encode_audit_entry(entry);
    REQUIRE(parse_audit_entry(bytes).ok());
    CHECK(*parse_audit_entry(bytes) == entry);
    CHECK(!parse_audit_entry(ByteView(bytes).first(61)).ok());
    const auto header = encode_audit_header({{1}, {2}});
    REQUIRE(parse_audit_header(header).ok());
    std::vector<std::uint8_t> page(audit_header_bytes);
    std::copy(header.begin(), header.end(), page.begin());
    CHECK(!parse_audit_marks(page).newest);
    CHECK(!parse_audit_marks(page).is_damaged);
    for (const std::uint64_t generation : {3, 4}) {
        const auto mark = encode_audit_mark({generation, generation * 10, 5000});
        std::copy(mark.begin(), mark.end(), page.begin() + static_cast<std::ptrdiff_t>(audit_mark_offset(generation)));
    }
    CHECK(parse_audit_marks(page).newest->entries == 40);
    std::vector<std::uint8_t> record;
    append_audit_record(record, AuditRecordType::entry, bytes);
    REQUIRE(parse_audit_record(record));
    for (std::size_t at = 0; at < page.size(); ++at) {
        page[at] ^= 0x10;
        CHECK((at < 512 ? !parse_audit_header(page).ok() : parse_audit_marks(page).is_damaged));
        page[at] ^= 0x10;
    }
    for (std::size_t at = 0; at < record.size(); ++at) {
        record[at] ^= 0x10;
        CHECK(!parse_audit_record(record));
        record[at] ^= 0x10;
    }
}
