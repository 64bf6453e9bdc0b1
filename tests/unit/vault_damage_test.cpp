/// tests/unit/vault_damage_test.cpp - damaged files of a vault: never wrong bytes, named by verify, the rest stays readable.
#include <doctest/doctest.h>

#include "base/sha256.hpp"
#include "node/vault.hpp"
#include "unit/vault_support.hpp"

namespace node = dvesp::node;
using dvesp::bytes_of;
using dvesp::ErrorCode;
using dvesp::test::Blob;
using dvesp::test::fragment_bytes;
using dvesp::test::fragment_id;
using dvesp::test::get_one;
using dvesp::test::put_one;
using dvesp::test::remove_one;
using dvesp::test::VaultMachine;

namespace {

constexpr std::uint64_t id_count = 12;

/// Two data files, a removal, a record; closed.
void fill(VaultMachine& machine) {
    machine.options.file_bytes = 2000;
    machine.options.compacts_itself = false;
    auto vault = machine.open();
    for (std::uint64_t number = 0; number < id_count; ++number) REQUIRE(put_one(*vault, number).ok());
    REQUIRE(remove_one(*vault, 5).ok());
    REQUIRE(vault->put_record("key", bytes_of("a key")).ok());
    REQUIRE(vault->close().ok());
}

bool mentions(const std::vector<std::string>& found, const std::string& word) {
    return std::any_of(found.begin(), found.end(),
                       [&](const std::string& line) { return line.find(word) != std::string::npos; });
}

}  // namespace

TEST_CASE("vault_with_any_byte_flipped_loses_at_most_one_fragment_and_says_so") {
    VaultMachine machine;
    fill(machine);
    std::uint64_t losses = 0;
    for (const std::string& path : machine.disk.paths()) {
        const std::uint64_t size = machine.disk.contents(path).size();
        for (std::uint64_t byte = 0; byte < size; byte += path.starts_with("data/") ? 1 : 7) {
            const Blob before = machine.disk.contents(path);
            machine.disk.flip_bit(path, 8 * byte + byte % 8);
            auto vault = machine.open();
            std::uint64_t differing = 0;
            for (std::uint64_t number = 0; number < id_count; ++number) {
                const auto got = get_one(*vault, number);
                if (got) REQUIRE(*got == fragment_bytes(number));
                if (got.has_value() == (number == 5)) ++differing;
            }
            REQUIRE(differing <= 1);
            losses += differing;
            if (differing > 0) {
                REQUIRE(mentions(vault->verify().value(), path));
                REQUIRE(vault->damaged() > 0);
            }
            const auto key = vault->record("key");
            REQUIRE(key.ok());
            REQUIRE(*key == Blob{'a', ' ', 'k', 'e', 'y'});
            REQUIRE(vault->device_record().ok());
            vault.reset();
            machine.disk.write_raw(path, 0, before);
            machine.disk.truncate(path, before.size());
        }
    }
    CHECK(losses > 3000);  // bytes that matter: the records of 11 ids and one removal
}

TEST_CASE("vault_names_damaged_fragments_and_a_new_put_mends_them") {
    VaultMachine machine;
    auto vault = machine.open();
    for (std::uint64_t number = 0; number < 5; ++number) REQUIRE(put_one(*vault, number).ok());
    machine.disk.flip_bit("data/00000001", 8 * (2 * 280 + 100));
    CHECK(vault->damaged() == 0);
    CHECK(mentions(vault->verify().value(), dvesp::to_hex(fragment_id(2))));
    CHECK(vault->damaged_ids() == std::vector{fragment_id(2)});
    CHECK_FALSE(vault->contains(fragment_id(2)));
    CHECK(vault->count(1) == 4);
    CHECK(vault->list(1).size() == 4);
    REQUIRE(vault->compact().ok());
    CHECK(vault->damaged() == 1);  // it is not forgotten by itself
    REQUIRE(put_one(*vault, 2).ok());
    CHECK(vault->damaged() == 0);
    CHECK(get_one(*vault, 2) == fragment_bytes(2));
    vault.reset();
    vault = machine.open();
    CHECK(get_one(*vault, 2) == fragment_bytes(2));
    CHECK(vault->verify().value().empty());
}

TEST_CASE("vault_reads_the_rest_of_a_file_that_lost_a_header_until_compaction_forgets_it") {
    VaultMachine machine;
    fill(machine);
    machine.disk.flip_bit("data/00000001", 8 * (280 + 20));
    auto vault = machine.open();
    CHECK(vault->damaged() == 1);
    CHECK_FALSE(vault->contains(fragment_id(1)));
    CHECK(mentions(vault->verify().value(), "damaged from byte 280 to 560"));
    for (std::uint64_t number = 2; number < 5; ++number) CHECK(get_one(*vault, number) == fragment_bytes(number));
    REQUIRE(vault->compact().ok());
    CHECK(vault->damaged() == 0);
    CHECK(vault->verify().value().empty());
    CHECK(vault->count(1) == id_count - 2);
}

TEST_CASE("vault_whose_stored_bytes_look_like_headers_does_not_believe_them") {
    VaultMachine machine;
    machine.options.file_bytes = 1 << 20;
    auto vault = machine.open();
    REQUIRE(put_one(*vault, 1).ok());
    // Somebody who can store bytes, and knows everything but the vault's own number, stores a header and damages the one in
    // front.
    dvesp::codec::VaultHeader fake;
    fake.kind = 1;
    fake.length = 4;
    fake.sequence = 1000;
    fake.id = fragment_id(1);
    fake.number = 1;
    Blob bytes(300);
    dvesp::codec::store_vault_header(dvesp::MutableBytes(bytes).first(80), fake, 280 + 80);
    REQUIRE(put_one(*vault, 2, bytes).ok());
    REQUIRE(put_one(*vault, 3).ok());
    vault.reset();
    machine.disk.flip_bit("data/00000001", 8 * 300);
    vault = machine.open();
    CHECK(get_one(*vault, 1) == fragment_bytes(1));
    CHECK(get_one(*vault, 3) == fragment_bytes(3));
    CHECK(vault->damaged() == 1);
}

TEST_CASE("vault_without_its_data_directory_is_damaged_and_with_both_device_copies_damaged_still_opens") {
    VaultMachine machine;
    fill(machine);
    const Blob device = machine.disk.contents("device");
    machine.disk.flip_bit("device", 8 * 33);
    auto vault = machine.open();
    CHECK(mentions(vault->verify().value(), "device"));
    CHECK(vault->device_record().ok());
    vault.reset();
    machine.disk.flip_bit("device", 8 * (4096 + 33));
    vault = machine.open();
    CHECK(vault->device_record().error().code == ErrorCode::corruption);
    CHECK(mentions(vault->verify().value(), "device"));
    CHECK(get_one(*vault, 1) == fragment_bytes(1));
    CHECK(vault->record("key").value() == Blob{'a', ' ', 'k', 'e', 'y'});
    vault.reset();
    for (const std::string& path : machine.data_paths()) machine.disk.remove_raw(path);
    CHECK(machine.try_open().error().code == ErrorCode::corruption);
}

TEST_CASE("vault_file_cut_short_in_the_middle_keeps_what_is_in_front") {
    VaultMachine machine;
    fill(machine);
    machine.disk.truncate("data/00000001", 3 * 280 + 90);
    const auto vault = machine.open();
    for (std::uint64_t number = 0; number < 3; ++number) CHECK(get_one(*vault, number) == fragment_bytes(number));
    CHECK_FALSE(get_one(*vault, 3));
    CHECK(vault->damaged() > 0);
    CHECK(mentions(vault->verify().value(), "data/00000001"));
    for (std::uint64_t number = 7; number < id_count; ++number) CHECK(get_one(*vault, number) == fragment_bytes(number));
}
