/// tests/unit/sealed_test.cpp - plans keep their promises over random losses; fragments are the record's or nothing; keys.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "base/prng.hpp"
#include "base/sha256.hpp"
#include "sealed/delta.hpp"
#include "sealed/fragment.hpp"
#include "sealed/key_table.hpp"
#include "sealed/placement.hpp"

namespace {

using namespace dvesp;
using namespace dvesp::sealed;

class PrngSource final : public RandomSource {
  public:
    explicit PrngSource(std::uint64_t seed) : prng_(seed) {}
    void fill(MutableBytes out) override {
        for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(prng_.next());
    }

  private:
    Prng prng_;
};

crypto::Key32 key_of(std::uint8_t first) {
    crypto::Key32 key;
    std::iota(key.bytes().begin(), key.bytes().end(), first);
    return key;
}

std::vector<std::string> names(std::uint32_t count) {
    std::vector<std::string> out;
    for (std::uint32_t at = 0; at < count; ++at) out.push_back("device " + std::to_string(at));
    return out;
}

/// A sealed record with its fragments.
struct Sealed {
    std::vector<float> vector;
    std::vector<std::uint8_t> metadata;
    RecordName name{"docs", "an id", 3, {1, 2, 3}};
    std::vector<std::vector<std::uint8_t>> fragments;
};
Sealed seal(const Plan& plan, Mode mode, std::size_t dimension = 24, std::size_t metadata_bytes = 33) {
    Sealed out;
    Prng prng(7);
    for (std::size_t at = 0; at < dimension; ++at) out.vector.push_back(static_cast<float>(prng.unit()));
    for (std::size_t at = 0; at < metadata_bytes; ++at) out.metadata.push_back(static_cast<std::uint8_t>(prng.next()));
    RecordSealer sealer(key_of(1), key_of(2));
    crypto::AesCtrStream stream(key_of(3));
    REQUIRE(sealer.seal(out.name, plan, mode, out.vector, out.metadata, stream, out.fragments).ok());
    return out;
}

/// The record of the fragments xs, if they give it.
Result<OpenedRecord> open(const Sealed& sealed, const Plan& plan, Mode mode, const std::vector<std::uint8_t>& xs) {
    RecordSealer sealer(key_of(1), key_of(2));
    std::vector<std::vector<std::uint8_t>> shares;
    for (const std::uint8_t x : xs) {
        DVESP_ASSIGN(auto share, sealer.open_share(sealed.name, plan, mode, x, sealed.fragments[x - 1U]));
        shares.push_back(std::move(share));
    }
    return sealer.join(sealed.name, plan, mode, xs, shares, static_cast<std::uint32_t>(sealed.vector.size()));
}

}  // namespace

TEST_CASE("plan_of_a_fleet_survives_40_percent_absent") {
    const std::map<std::uint32_t, Plan> expected = {{2, {2, 2}}, {3, {2, 3}}, {4, {3, 4}},
                                                    {5, {3, 5}}, {7, {3, 5}}, {12, {3, 7}}};
    for (const auto& [devices, plan] : expected) {
        const auto chosen = choose_plan(devices);
        REQUIRE(chosen.ok());
        CHECK_MESSAGE(*chosen == plan, devices);
    }
    CHECK(!choose_plan(1).ok());
    CHECK(!check_plan({3, 5}, 4).ok());
    CHECK(!check_plan({1, 5}, 5).ok());
}

TEST_CASE("measured_loss_of_random_fleets_is_within_what_is_promised") {
    constexpr std::uint32_t records = 200, subsets = 10'000;
    for (const std::uint32_t devices : {7U, 12U, 30U, 100U}) {
        const Plan plan = *choose_plan(devices);
        const Retrievability promise = retrievability(devices, plan);
        const std::vector<std::string> fleet = names(devices);
        std::vector<std::vector<std::uint32_t>> held;
        for (std::uint32_t record = 0; record < records; ++record) {
            held.push_back(holders("record " + std::to_string(record), fleet, plan));
            std::vector<std::uint32_t> sorted = held.back();
            std::sort(sorted.begin(), sorted.end());
            CHECK(std::adjacent_find(sorted.begin(), sorted.end()) ==
                  sorted.end());  // no device holds two fragments of a record
            CHECK(sorted.size() == plan.n);
        }
        Prng prng(devices);
        std::vector<std::uint32_t> order(devices);
        std::iota(order.begin(), order.end(), 0U);
        std::uint64_t lost = 0;
        for (std::uint32_t subset = 0; subset < subsets; ++subset) {
            std::vector<bool> is_gone(devices, false);
            for (std::uint32_t at = 0; at < devices * 2 / 5; ++at) {
                std::swap(order[at], order[at + prng.below(devices - at)]);
                is_gone[order[at]] = true;
            }
            for (const auto& of_record : held) {
                const auto left =
                    std::count_if(of_record.begin(), of_record.end(), [&](std::uint32_t at) { return !is_gone[at]; });
                lost += left < plan.k ? 1 : 0;
            }
        }
        const double trials = double{records} * subsets;
        const double measured = static_cast<double>(lost) / trials;
        const double slack = 5 * std::sqrt(std::max(promise.loss_at_40_percent, 1e-9) / subsets);  // records share subsets
        MESSAGE(devices, " devices, ", int{plan.k}, " of ", int{plan.n}, ": promised ", promise.loss_at_40_percent,
                ", measured ", measured);
        CHECK(measured <= promise.loss_at_40_percent + slack);
        if (plan.n >= plan.k + devices * 2 / 5) CHECK(lost == 0);
    }
}

TEST_CASE("placement_moves_only_what_a_device_wins_or_had") {
    const Plan plan{3, 5};
    const auto before = names(20);
    auto after = before;
    after.push_back("device 20");
    std::size_t moved = 0;
    for (int record = 0; record < 2000; ++record) {
        const std::string key = "r" + std::to_string(record);
        const auto old_holders = holders(key, before, plan);
        for (const std::uint32_t holder : holders(key, after, plan)) {
            if (std::find(old_holders.begin(), old_holders.end(), holder) != old_holders.end()) continue;
            CHECK(holder == 20);
            ++moved;
        }
    }
    CHECK(moved > 300);
    CHECK(moved < 700);  // 2000 * 5 / 21 = 476
}

TEST_CASE("places_keep_what_they_hold_when_devices_come_go_and_are_replaced") {
    const auto moved = [](const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
        std::size_t count = 0;
        for (std::size_t at = 0; at < a.size(); ++at) count += a[at] != b[at] ? 1 : 0;
        return count;
    };
    for (const std::uint32_t devices : {5U, 9U}) {
        const Plan plan{3, 5};
        Layout before{names(devices), std::vector<std::uint8_t>(devices, 1), devices};
        Layout joined = before;
        joined.keys.push_back("another");
        joined.is_taken.push_back(1);
        Layout left = joined;
        left.is_taken[2] = 0;
        for (int record = 0; record < 2000; ++record) {
            const std::string key = "r" + std::to_string(record);
            const auto first = holding_places(key, before, plan);
            if (devices == 5) CHECK(first == std::vector<std::uint32_t>{0, 1, 2, 3, 4});
            if (devices == 9) CHECK(first == holders(key, before.keys, plan));
            const auto then = holding_places(key, joined, plan);
            CHECK(moved(first, then) <= 1);
            for (std::size_t at = 0; at < then.size(); ++at) CHECK((then[at] == first[at] || then[at] == devices));
            const auto last = holding_places(key, left, plan);
            for (std::size_t at = 0; at < then.size(); ++at) CHECK((then[at] == 2) == (last[at] != then[at]));
            auto sorted = last;
            std::sort(sorted.begin(), sorted.end());
            CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
            CHECK(std::find(last.begin(), last.end(), 2U) == last.end());
        }
    }
    const Layout small{names(5), {1, 1, 0, 1, 1}, 5};
    CHECK(holding_places("r", small, {3, 5}) == std::vector<std::uint32_t>{0, 1, no_place, 3, 4});
}

TEST_CASE("plan_of_a_fleet_that_changed_keeps_k") {
    CHECK(plan_with(5, 3) == Plan{3, 5});
    CHECK(plan_with(12, 3) == *choose_plan(12));
    CHECK(plan_with(6, 2) == Plan{2, 5});
    CHECK(plan_with(4, 3) == Plan{3, 4});
}

TEST_CASE("record_comes_back_from_every_choice_of_k_fragments_and_lost_ones_are_made_again") {
    for (const Mode mode : {Mode::shamir, Mode::ssms}) {
        for (const Plan plan : {Plan{3, 5}, Plan{2, 2}, Plan{4, 7}}) {
            for (const std::size_t dimension : {1U, 24U, 384U}) {
                const Sealed sealed = seal(plan, mode, dimension, dimension == 1 ? 0 : 33);
                std::vector<std::uint8_t> choice(plan.n, 0);
                std::fill_n(choice.begin(), plan.k, 1);
                do {
                    std::vector<std::uint8_t> xs;
                    for (std::uint8_t at = 0; at < plan.n; ++at) {
                        if (choice[at] != 0) xs.push_back(static_cast<std::uint8_t>(at + 1));
                    }
                    const auto record = open(sealed, plan, mode, xs);
                    REQUIRE(record.ok());
                    CHECK(std::equal(record->metadata().begin(), record->metadata().end(), sealed.metadata.begin(),
                                     sealed.metadata.end()));
                    CHECK(std::memcmp(record->vector().data(), sealed.vector.data(), record->vector().size()) == 0);
                    if (mode != Mode::shamir) continue;
                    RecordSealer sealer(key_of(1), key_of(2));
                    std::vector<std::vector<std::uint8_t>> shares;
                    for (const std::uint8_t x : xs)
                        shares.push_back(*sealer.open_share(sealed.name, plan, mode, x, sealed.fragments[x - 1U]));
                    for (std::uint8_t index = 1; index <= plan.n; ++index) {
                        CHECK(*sealer.remake(sealed.name, plan, index, xs, shares) == sealed.fragments[index - 1U]);
                    }
                } while (std::prev_permutation(choice.begin(), choice.end()));
            }
        }
    }
}

TEST_CASE("changed_swapped_and_foreign_fragments_are_refused") {
    const Plan plan{3, 5};
    for (const Mode mode : {Mode::shamir, Mode::ssms}) {
        const Sealed sealed = seal(plan, mode);
        RecordSealer sealer(key_of(1), key_of(2));
        const auto refused = [&](const RecordName& name, std::uint8_t index, ByteView bytes) {
            const auto opened = sealer.open_share(name, plan, mode, index, bytes);
            return !opened.ok() && opened.error().code == ErrorCode::integrity;
        };
        for (std::size_t bit = 0; bit < 8 * sealed.fragments[0].size(); ++bit) {
            std::vector<std::uint8_t> flipped = sealed.fragments[0];
            flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
            CHECK(refused(sealed.name, 1, flipped));
        }
        for (std::size_t size = 0; size < sealed.fragments[0].size(); ++size) {
            CHECK(refused(sealed.name, 1, ByteView(sealed.fragments[0]).first(size)));
        }
        CHECK(refused(sealed.name, 2, sealed.fragments[0]));
        for (const RecordName other :
             {RecordName{"docs", "an ie", 3, sealed.name.salt}, RecordName{"docz", "an id", 3, sealed.name.salt},
              RecordName{"docs", "an id", 2, sealed.name.salt}, RecordName{"docs", "an id", 3, {9}}}) {
            CHECK(refused(other, 1, sealed.fragments[0]));
        }
        RecordSealer stranger(key_of(4), key_of(2));
        CHECK(!stranger.open_share(sealed.name, plan, mode, 1, sealed.fragments[0]).ok());
    }
}

TEST_CASE("shares_of_an_inconsistent_dealer_do_not_become_a_record") {
    const Plan plan{3, 5};
    const Sealed sealed = seal(plan, Mode::shamir);
    RecordSealer sealer(key_of(1), key_of(2));
    std::vector<std::vector<std::uint8_t>> shares;
    for (const std::uint8_t x : std::initializer_list<std::uint8_t>{1, 2, 4})
        shares.push_back(*sealer.open_share(sealed.name, plan, Mode::shamir, x, sealed.fragments[x - 1U]));
    shares[1][5] ^= 1;  // genuine once, wrong now: as if it had been dealt so
    const std::vector<std::uint8_t> xs = {1, 2, 4};
    CHECK(sealer.join(sealed.name, plan, Mode::shamir, xs, shares, 24).error().code == ErrorCode::integrity);
}

TEST_CASE("change_of_the_index_comes_back_from_k_fragments_and_not_from_changed_ones") {
    DeltaSealer sealer(key_of(1), key_of(2));
    crypto::AesCtrStream stream(key_of(3));
    const Plan plan{3, 5};
    std::vector<std::uint8_t> payload(1000);
    std::iota(payload.begin(), payload.end(), std::uint8_t{0});
    const DeltaName name{4, 17, 0, 0};
    std::vector<std::vector<std::uint8_t>> fragments;
    REQUIRE(sealer.seal(name, plan, 1, 77, payload, stream, fragments).ok());
    std::vector<DeltaShare> shares;
    for (const std::uint8_t x : std::initializer_list<std::uint8_t>{5, 1, 3})
        shares.push_back(*sealer.open(name, x, fragments[x - 1U]));
    const auto joined = sealer.join(shares);
    REQUIRE(joined.ok());
    CHECK(std::equal(payload.begin(), payload.end(), joined->bytes().begin(), joined->bytes().end()));
    for (std::size_t at = 0; at < fragments[0].size(); ++at) {
        std::vector<std::uint8_t> changed = fragments[0];
        changed[at] ^= 0x10;
        CHECK(!sealer.open(name, 1, changed).ok());
    }
    CHECK(!sealer.open({4, 18, 0, 0}, 1, fragments[0]).ok());
    CHECK(!sealer.open({5, 17, 0, 0}, 1, fragments[0]).ok());
    CHECK(sealer.id_of(name, 1) != sealer.id_of(name, 2));
    CHECK(sealer.id_of(name, 1) != sealer.id_of({4, 17, 1, 0}, 1));
}

TEST_CASE("lost_share_of_a_change_is_made_again_from_any_k_others_byte_for_byte") {
    DeltaSealer sealer(key_of(1), key_of(2));
    crypto::AesCtrStream stream(key_of(3));
    for (const Plan plan : {Plan{3, 8}, Plan{2, 2}, Plan{3, 255}}) {
        for (const std::size_t size : {1U, 100U, 5000U}) {
            const std::vector<std::uint8_t> payload(size, 7);
            const DeltaName name{4, 17, 1, 2};
            std::vector<std::vector<std::uint8_t>> fragments;
            REQUIRE(sealer.seal(name, plan, 3, 99, payload, stream, fragments).ok());
            Prng prng(size);
            for (int turn = 0; turn < 20; ++turn) {
                std::vector<DeltaShare> shares;
                std::vector<std::uint8_t> xs;
                while (shares.size() < plan.k) {
                    const auto x = static_cast<std::uint8_t>(1 + prng.below(plan.n));
                    if (std::find(xs.begin(), xs.end(), x) != xs.end()) continue;
                    xs.push_back(x);
                    shares.push_back(*sealer.open(name, x, fragments[x - 1U]));
                    CHECK(shares.back().stamp == 99);
                }
                const auto wanted = static_cast<std::uint8_t>(1 + prng.below(plan.n));
                CHECK(*sealer.remake(name, wanted, shares) == fragments[wanted - 1U]);
                shares.front().salt[0] ^= 1;
                CHECK(!sealer.remake(name, wanted, shares).ok());
            }
        }
    }
}

TEST_CASE("changes_of_the_index_need_so_many_devices_that_40_percent_away_hide_none") {
    for (std::uint32_t devices = 2; devices <= 255; ++devices) {
        const Plan plan = *choose_plan(devices);
        const std::uint32_t needed = changes_needed(devices, plan.k), away = devices * absent_percent / 100;
        CHECK(needed >= away + 1);                                               // its absence is seen
        CHECK(devices - away >= plan.k);                                         // one on every device is read
        if (devices > small_fleet_devices_max) CHECK(needed <= devices - away);  // a write with so many away is possible
        if (devices <= small_fleet_devices_max) CHECK(needed == plan.k);
        const bool is_read_with_others_away = needed >= away + plan.k;
        if (devices == 8 || devices == 10) CHECK(!is_read_with_others_away);
        if (devices == 9 || devices > 10) CHECK(is_read_with_others_away);
    }
}

TEST_CASE("keys_open_with_each_secret_survive_rotation_and_are_gone_when_shredded") {
    PrngSource random(1);
    const auto secret = [](std::uint8_t first) {
        return UserSecret{SecretKind::raw_key, crypto::SecretBytes::copy_of(key_of(first).bytes())};
    };
    auto table = KeyTable::create(secret(1), random);
    REQUIRE(table.ok());
    REQUIRE(table->add(secret(2), random).ok());
    const crypto::Key32 data = table->need("data/1", random)->clone();
    REQUIRE(table->need("data/2", random).ok());
    const auto bytes = table->encode();
    for (const std::uint8_t first : std::initializer_list<std::uint8_t>{1, 2}) {
        const auto opened = KeyTable::open(bytes, secret(first));
        REQUIRE(opened.ok());
        CHECK(crypto::equal(opened->key("data/1")->bytes(), data.bytes()));
    }
    CHECK(KeyTable::open(bytes, secret(3)).error().code == ErrorCode::sealed);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        auto changed = bytes;
        changed[at] ^= 1;
        CHECK(!KeyTable::open(changed, secret(1)).ok());
    }
    const UserSecret kept = secret(2);
    REQUIRE(table->rotate({&kept}, random).ok());
    const auto rotated = table->encode();
    CHECK(KeyTable::open(rotated, secret(1)).error().code == ErrorCode::sealed);
    auto opened = KeyTable::open(rotated, secret(2));
    REQUIRE(opened.ok());
    CHECK(opened->epoch() == 2);
    CHECK(crypto::equal(opened->key("data/1")->bytes(), data.bytes()));
    opened->shred("data/1");
    CHECK(KeyTable::open(opened->encode(), secret(2))->key("data/1").error().code == ErrorCode::sealed);
}

namespace {

UserSecret raw_secret(std::uint8_t first) { return {SecretKind::raw_key, crypto::SecretBytes::copy_of(key_of(first).bytes())}; }

/// The code of opening the newest of `copies`; nothing when it opens.
std::optional<ErrorCode> refusal(const KeyCopies& copies, const UserSecret& secret) {
    const auto opened = KeyTable::newest(copies, secret);
    return opened.ok() ? std::nullopt : std::optional(opened.error().code);
}

}  // namespace

TEST_CASE("newest_table_of_keys_counts_whoever_has_it_and_an_older_one_says_why_it_does_not_open") {
    PrngSource random(2);
    auto table = KeyTable::create(raw_secret(1), random);
    REQUIRE(table.ok());
    REQUIRE(table->need("names", random).ok());
    REQUIRE(table->need("data/1", random).ok());
    const auto id = table->store_id();
    const auto first = table->encode();
    REQUIRE(table->add(raw_secret(2), random).ok());
    const auto added = table->encode();
    table->shred("data/1");
    const auto without = table->encode();
    SUBCASE("a shredded key does not come back with an older table") {
        const auto opened = KeyTable::newest({id, first, {added, without, first}}, raw_secret(1));
        REQUIRE(opened.ok());
        CHECK(!opened->has("data/1"));
        CHECK(opened->lacks_data_of(first));
        CHECK(KeyTable::newest({id, without, {first, first, first}}, raw_secret(1))->revision() == opened->revision());
    }
    SUBCASE("an added secret opens where only a device knows of it") {
        CHECK(KeyTable::newest({id, first, {first, added}}, raw_secret(2))->slots().at(1).is_used);
        CHECK(refusal({id, first, {first}}, raw_secret(2)) == ErrorCode::sealed);
    }
    SUBCASE("a removed secret does not open with an older table") {
        REQUIRE(table->remove(0).ok());
        const auto removed = table->encode();
        CHECK(refusal({id, first, {removed}}, raw_secret(1)) == ErrorCode::sealed);
        CHECK(refusal({id, removed, {first}}, raw_secret(1)) == ErrorCode::sealed);
        CHECK(!refusal({id, removed, {first}}, raw_secret(2)));
        CHECK(table->remove(0).error().code == ErrorCode::invalid_argument);
    }
    SUBCASE("a rotated secret does not open with an older table, and its words say so") {
        const crypto::Key32 old_master = table->master().clone();
        const UserSecret fresh = raw_secret(3);
        REQUIRE(table->rotate({&fresh}, random).ok());
        const auto rotated = table->encode();
        const auto told = KeyTable::newest({id, first, {added, rotated}}, raw_secret(1));
        REQUIRE(!told.ok());
        CHECK(told.error().message.find("rotation") != std::string::npos);
        CHECK(KeyTable::newest({id, first, {added, rotated}}, raw_secret(3))->epoch() == 2);
        CHECK(KeyTable::newest({id, first, {}}, raw_secret(1))->epoch() == 1);  // who has old copies alone is not told
        CHECK(KeyTable::newest({id, rotated, {first}}, table->master())->epoch() == 2);
        CHECK(KeyTable::newest({id, rotated, {}}, old_master).error().message.find("epoch 1") != std::string::npos);
        CHECK(KeyTable::newest({id, rotated, {}}, key_of(9)).error().message.find("not of this store") != std::string::npos);
    }
    SUBCASE("changes after a rotation that never ended are not lost to it") {
        const UserSecret fresh = raw_secret(3);
        auto again = KeyTable::open(without, raw_secret(1));
        REQUIRE(table->rotate({&fresh}, random).ok());  // one device got it and went
        REQUIRE(again->need("data/2", random).ok());    // the others went on
        const auto overtaken = table->encode(), later = again->encode();
        CHECK(refusal({id, later, {overtaken}}, raw_secret(3)) == ErrorCode::sealed);
        CHECK(KeyTable::newest({id, later, {overtaken}}, raw_secret(1))->has("data/2"));
    }
}

TEST_CASE("lies_about_tables_of_keys_are_not_believed") {
    PrngSource random(3);
    auto table = KeyTable::create(raw_secret(1), random);
    REQUIRE(table->need("names", random).ok());
    const auto id = table->store_id();
    const auto genuine = table->encode();
    const auto resealed = [](std::vector<std::uint8_t> bytes) {  // with a right checksum, but not the master key's
        const Hash check = sha256(ByteView(bytes).first(bytes.size() - sizeof(Hash)));
        std::copy(check.begin(), check.end(), bytes.end() - static_cast<std::ptrdiff_t>(sizeof(Hash)));
        return bytes;
    };
    constexpr std::size_t epoch_at = 21, revision_at = 25;
    for (std::size_t at = 5 + id.size(); at + sizeof(Hash) < genuine.size(); ++at) {
        auto changed = genuine;
        changed[at] ^= 1;
        const auto lie = resealed(changed);
        CHECK(!KeyTable::open(lie, raw_secret(1)).ok());
        const auto opened = KeyTable::newest({id, {}, {lie, genuine}}, raw_secret(1));
        REQUIRE_MESSAGE(opened.ok(), at);
        CHECK(opened->encode() == genuine);
    }
    for (const std::size_t at : {epoch_at, revision_at}) {
        auto changed = genuine;
        changed[at + 3] = 0x7f;
        CHECK(KeyTable::newest({id, {}, {resealed(changed), genuine}}, raw_secret(1))->encode() == genuine);
        CHECK(KeyTable::newest({id, {}, {resealed(changed), genuine}}, table->master())->encode() == genuine);
    }
    auto other = KeyTable::create(raw_secret(1), random);  // of another store with the same secret
    for (int step = 0; step < 9; ++step) REQUIRE(other->need("data/" + std::to_string(step), random).ok());
    const auto foreign = other->encode();
    CHECK(KeyTable::newest({id, {}, {foreign, genuine}}, raw_secret(1))->store_id() == id);
    CHECK(KeyTable::newest({id, {}, {foreign}}, raw_secret(1)).error().code == ErrorCode::corruption);
}
