/// tests/sim/vault.cpp - a vault against a plain map while the disk loses power, fails, fills up and rots.
#include "node/vault.hpp"

#include <chrono>
#include <cstdio>
#include <limits>

#include "sim/arguments.hpp"
#include "sim/disk.hpp"
#include "sim/vault_model.hpp"
#include "sim/world.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t seeds_default = 30;
constexpr int cuts = 30;
constexpr int faults = 60;
constexpr int flips = 40;
using Bytes = std::vector<std::uint8_t>;
using VaultPointer = std::unique_ptr<node::Vault>;

struct Tally {
    std::uint64_t cuts = 0, faults = 0, flips = 0, writes = 0, losses = 0, full = 0;
};

/// One disk and what happens to it.
class Story {
  public:
    Story(std::uint64_t seed, Tally& tally) : prng_(seed), tally_(tally), disk_(seed), random_(seed) {
        options_.file_bytes = std::uint64_t{2048} << prng_.below(6);
        options_.open_files_max = 1 + prng_.below(4);
        options_.compact_bytes = 200 + prng_.below(4000);
        options_.compacts_itself = prng_.chance(0.8);
        options_.reserve_bytes = prng_.chance(0.7) ? 8192 : 0;
    }

    std::string live_through_cuts() {
        std::string what = create_in_the_dark();
        for (int life = 0; life < cuts && what.empty(); ++life) {
            what = live_until_cut();
            if (!what.empty()) what = "life " + std::to_string(life) + ": " + what;
            ++tally_.cuts;
        }
        return what;
    }

    std::string live_with_faults() {
        std::string what = create();
        VaultPointer vault;
        for (int fault = 0; fault < faults && what.empty(); ++fault) {
            disk_.fail_at(1 + prng_.below(std::uint64_t{2} << prng_.below(6)));
            for (int step = 0; step < 6 && what.empty(); ++step) what = one_step_of(vault);
            ++tally_.faults;
            disk_.clear_faults();
            if (what.empty() && vault) what = model_.settle(*vault);
            if (what.empty() && prng_.chance(0.2)) what = lose_power(vault);
            if (!what.empty()) what = "fault " + std::to_string(fault) + ": " + what;
        }
        return what;
    }

    std::string live_with_flips() {
        options_.compacts_itself = prng_.chance(0.3);
        model_ = VaultModel(true);
        std::string what = create();
        for (int flip = 0; flip < flips && what.empty(); ++flip) {
            what = flip_one_bit();
            if (!what.empty()) what = "flip " + std::to_string(flip) + ": " + what;
            ++tally_.flips;
        }
        return what;
    }

    std::string live_on_a_full_disk() {
        options_.reserve_bytes = 8192;
        std::string what = create();
        if (!what.empty()) return what;
        for (int round = 0; round < 8; ++round) {
            auto vault = open();
            if (!vault.ok()) return "open: " + vault.error().message;
            what = fill_up(**vault);
            if (what.empty()) what = make_room(**vault);
            if (!what.empty()) return "round " + std::to_string(round) + ": " + what;
        }
        return {};
    }

  private:
    Result<VaultPointer> open() { return node::Vault::open(disk_.mount(), options_); }

    std::string create() {
        const auto made = node::Vault::create(*disk_.mount(), random_, bytes_of("a device"));
        if (!made.ok()) return "create: " + made.error().message;
        device_ = disk_.contents("device");
        return {};
    }

    /// The power goes while the vault is made: there is a whole one then, or none.
    std::string create_in_the_dark() {
        for (int attempt = 0; attempt < 3; ++attempt) {
            disk_.power_cut_at(1 + prng_.below(16));
            static_cast<void>(create());
            disk_.clear_faults();
            disk_.power_cut();
            const auto found = open();
            if (found.ok()) return {};
            if (found.error().code != ErrorCode::unavailable) return "a vault made by half: " + found.error().message;
        }
        return create();
    }

    std::string check(node::Vault& vault) {
        std::string what = model_.settle(vault);
        if (!what.empty()) return what;
        if (vault.damaged() != 0) return "damage without a cause";
        const auto found = vault.verify();
        if (!found.ok()) return "verify: " + found.error().message;
        if (!found->empty()) return "verify finds what nobody did: " + found->front();
        const auto device = vault.device_record();
        if (!device.ok() || text_of(*device) != "a device") return "the device record is another";
        const auto plan = vault.record("plan");
        if (!plan.ok()) return "record: " + plan.error().message;
        const std::string text(*plan ? text_of(**plan) : "");
        if (!plans_.contains(text)) return "the record is '" + text + "'";
        plans_ = {text};
        return {};
    }

    void write_plan(node::Vault& vault) {
        const std::string text = std::to_string(prng_.next());
        plans_.insert(text);
        if (vault.put_record("plan", bytes_of(text)).ok()) plans_ = {text};
    }

    std::string live_until_cut() {
        const bool in_open = prng_.chance(0.2);
        if (in_open) disk_.power_cut_at(1 + prng_.below(20));
        auto opened = open();
        if (!opened.ok()) {
            disk_.clear_faults();
            disk_.power_cut();
            return in_open ? "" : "the vault does not open: " + opened.error().message;
        }
        if (!in_open) {
            std::string what = check(**opened);
            if (!what.empty()) return what;
            disk_.power_cut_at(1 + prng_.below(std::uint64_t{4} << prng_.below(7)));
        }
        const std::uint64_t end = disk_.io_count() + 400;
        while (disk_.io_count() < end) {
            if (!step_until_dark(**opened)) break;
        }
        if (prng_.chance(0.3)) {
            disk_.end_process();  // killed, not cut: nothing is lost
        } else {
            disk_.power_cut();
        }
        disk_.clear_faults();
        return {};
    }

    /// @return false when the power went
    bool step_until_dark(node::Vault& vault) {
        const std::uint64_t kind = prng_.below(20);
        if (kind == 0) return vault.compact().ok();
        if (kind == 1) write_plan(vault);
        if (kind <= 1) return vault.is_present().ok();
        const VaultWrite write = model_.draw(prng_);
        const auto written = perform(vault, write);
        ++tally_.writes;
        if (written.ok()) {
            model_.acknowledge(write);
        } else {
            model_.leave_open(write);
        }
        return written.ok();
    }

    /// What is said to have failed has not happened; only `timeout` leaves it open.
    std::string one_step_of(VaultPointer& vault) {
        if (!vault || prng_.chance(0.1)) {
            vault.reset();
            auto opened = open();
            if (!opened.ok()) return {};  // the fault met it
            vault = std::move(*opened);
        }
        if (prng_.chance(0.05)) static_cast<void>(vault->compact().ok());
        const VaultWrite write = model_.draw(prng_);
        const auto written = perform(*vault, write);
        ++tally_.writes;
        if (written.ok()) {
            model_.acknowledge(write);
            return {};
        }
        const ErrorCode code = written.error().code;
        if (code == ErrorCode::timeout || code == ErrorCode::unavailable) {
            model_.leave_open(write);
            vault.reset();  // what is kept shows when it is opened again
        } else if (code == ErrorCode::integrity && model_.is_open(write)) {
            return {};
        } else if (code != ErrorCode::io_failed && code != ErrorCode::storage_full) {
            return "a failing disk makes " + written.error().message;
        }
        return {};
    }

    std::string lose_power(VaultPointer& vault) {
        disk_.power_cut();
        vault.reset();
        auto opened = open();
        if (!opened.ok()) return "the vault does not open: " + opened.error().message;
        vault = std::move(*opened);
        std::string what = model_.settle(*vault);
        if (what.empty() && vault->damaged() != 0) {
            auto vv = vault->verify();
            for (auto& l : *vv) std::fprintf(stderr, "  DBG %s\n", l.c_str());
            what = "damage without a cause";
        }
        return what;
    }

    std::string write_some(node::Vault& vault, std::uint64_t count) {
        for (std::uint64_t number = 0; number < count; ++number) {
            const VaultWrite write = model_.draw(prng_);
            const auto written = perform(vault, write);
            ++tally_.writes;
            if (!written.ok()) return "write: " + written.error().message;
            model_.acknowledge(write);
        }
        return {};
    }

    /// One bit of one file: at most one id may be lost or come back, never with wrong bytes, and verify says so.
    std::string flip_one_bit() {
        auto opened = open();
        if (!opened.ok()) return "open: " + opened.error().message;
        std::string what = write_some(**opened, 1 + prng_.below(15));
        write_plan(**opened);
        if (what.empty()) what = check(**opened);
        if (!what.empty()) return what;
        const bool is_open = prng_.chance(0.3);
        if (!is_open && !(*opened)->close().ok()) return "close fails";
        std::vector<std::string> paths = disk_.paths();
        std::erase_if(paths, [this](const std::string& path) { return disk_.contents(path).empty(); });
        const std::string path = paths[prng_.below(paths.size())];
        disk_.flip_bit(path, prng_.below(8 * disk_.contents(path).size()));
        if (!is_open) {
            opened->reset();
            opened = open();
            if (!opened.ok()) return path + " is flipped, and the vault does not open: " + opened.error().message;
        }
        node::Vault& vault = **opened;
        std::vector<node::FragmentId> differing;
        what = model_.compare_damaged(vault, differing);
        if (!what.empty()) return path + " is flipped: " + what;
        if (differing.size() > 1) return path + " is flipped: one bit costs " + std::to_string(differing.size()) + " ids";
        tally_.losses += differing.size();
        const auto found = vault.verify();
        if (!found.ok()) return "verify: " + found.error().message;
        if (!differing.empty() && found->empty()) return path + " is flipped: a loss that verify does not name";
        if (!differing.empty() && vault.damaged() == 0) return path + " is flipped: a loss that damaged() does not count";
        return mend(vault, differing);
    }

    /// What was lost is put again, what came back is removed; then nothing reminds of the damage.
    std::string mend(node::Vault& vault, const std::vector<node::FragmentId>& differing) {
        for (const node::FragmentId& id : differing) {
            const VaultContent* content = model_.find(id);
            VaultWrite write;
            if (content != nullptr) write.items.emplace_back(id, *content);
            if (content == nullptr) write.removed.push_back(id);
            const auto written = perform(vault, write);
            if (!written.ok()) return "mending: " + written.error().message;
        }
        const auto compacted = vault.compact();
        if (!compacted.ok()) return "compact: " + compacted.error().message;
        if (vault.damaged() != 0) {
            auto vv = vault.verify();
            for (auto& l : *vv) std::fprintf(stderr, "  DBG %s\n", l.c_str());
            std::fprintf(stderr, "DBG ids %zu dmg %llu diff %zu\n", vault.damaged_ids().size(),
                         (unsigned long long)vault.damaged(), differing.size());
            return "damage is remembered after it was mended";
        }
        disk_.write_raw("device", 0, device_);  // a vault never writes it again
        write_plan(vault);
        return check(vault);
    }

    std::string fill_up(node::Vault& vault) {
        std::uint64_t used = 0;
        for (const std::string& path : disk_.paths()) used += round_up(disk_.contents(path).size(), 4096);
        disk_.set_capacity(used + prng_.below(60000));
        for (int number = 0; number < 400; ++number) {
            const VaultWrite write = model_.draw(prng_);
            const auto written = perform(vault, write);
            ++tally_.writes;
            if (written.ok()) {
                model_.acknowledge(write);
                continue;
            }
            const ErrorCode code = written.error().code;
            if (code == ErrorCode::timeout) model_.leave_open(write);
            if (code != ErrorCode::storage_full && code != ErrorCode::timeout) return written.error().message;
            ++tally_.full;
            if (tally_.full % 3 == 0) break;
        }
        return model_.settle(vault);
    }

    std::string make_room(node::Vault& vault) {
        disk_.set_capacity(std::numeric_limits<std::uint64_t>::max());
        std::string what = write_some(vault, 5);
        if (what.empty() && !vault.compact().ok()) what = "compact fails";
        if (what.empty()) what = check(vault);
        return what;
    }

    Prng prng_;
    Tally& tally_;
    sim::Disk disk_;
    sim::Random random_;
    node::VaultOptions options_;
    VaultModel model_;
    std::set<std::string> plans_{""};
    Bytes device_;
};

int run(const Arguments& arguments) {
    Verdict verdict("sim_vault");
    Tally tally;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t seed = arguments.seed_first; seed < arguments.seed_first + arguments.seed_count; ++seed) {
        const auto tell = [&](const char* story, const std::string& what) {
            if (what.empty()) {
                verdict.pass();
            } else {
                verdict.fail(seed, std::string(story) + ": " + what);
            }
        };
        tell("power cuts", Story(seed, tally).live_through_cuts());
        tell("failing calls", Story(seed, tally).live_with_faults());
        tell("flipped bits", Story(seed, tally).live_with_flips());
        tell("full disk", Story(seed, tally).live_on_a_full_disk());
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    std::fprintf(stderr, "%llu power cuts, %llu faults, %llu flips (%llu ids lost), %llu times full, %llu writes, %.1f s\n",
                 number(tally.cuts), number(tally.faults), number(tally.flips), number(tally.losses), number(tally.full),
                 number(tally.writes), seconds);
    return verdict.finish();
}

}  // namespace
}  // namespace dvesp::test

int main(int argument_count, char** arguments) {
    return dvesp::test::run(dvesp::test::parse_arguments(argument_count, arguments, dvesp::test::seeds_default));
}
