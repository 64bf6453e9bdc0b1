/// tests/sim/devices.cpp - a sealed store whose devices leave, return, lose power, fail, lie and die while it is written, read,
/// restarted, killed and restored. A naive model says what must be there; losses stay within what the fleet promises.
///
/// Devices that are away or fail bring errors, never wrong answers. Whenever all devices that live are here, everything that
/// was acknowledged is read and is on every device that lives; then 40 % of the fleet, dead and lying ones counted, may go,
/// and the store opens without them, from the devices alone too.
#include <algorithm>
#include <cstring>

#include "sim/arguments.hpp"
#include "sim/checker.hpp"
#include "sim/device_tally.hpp"
#include "sim/fleet_place.hpp"
#include "sim/model.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t seeds_default = 100;
constexpr std::uint32_t dimension = 4;
constexpr std::uint64_t ids_max = 30, steps_min = 120, steps_more = 60, step_ms_min = 500, step_ms_more = 600;
constexpr std::size_t devices_max = 12;
constexpr int completions_max = 4;
constexpr const char* collection_name = "docs";

class Story {
  public:
    Story(std::uint64_t seed, bool is_traced, Tally& tally)
        : prng_(seed * 7919 + 3), place_(seed, 5 + seed % 5), is_traced_(is_traced), tally_(tally) {}

    /// @return the first violation; empty = none
    std::string run() {
        std::string what = begin();
        const std::uint64_t steps = steps_min + prng_.below(steps_more);
        for (std::uint64_t at = 0; at < steps && what.empty(); ++at) {
            place_.advance_ms(step_ms_min + prng_.below(step_ms_more));
            what = step();
            if (what.empty() && place_.is_running() && place_.is_dead()) crash(prng_.chance(0.4));
        }
        if (what.empty()) what = sync("at the end");
        if (what.empty()) what = end();
        tally_.virtual_ms += place_.elapsed_ms();
        if (what.empty() && faults_ < 5) what = "the story has too few faults";
        tally_.faults += faults_;
        return what;
    }

  private:
    void trace(const std::string& what) const {
        if (is_traced_)
            std::fprintf(stderr, "%8llu ms  %s\n", static_cast<unsigned long long>(place_.elapsed_ms()), what.c_str());
    }
    store::Database& database() { return place_.store().database(); }

    std::string begin() {
        if (const auto opened = place_.open(); !opened.ok()) return "the first opening: " + opened.error().message;
        store::CollectionConfig config{dimension};
        config.metric = store::Metric::l2;
        const auto made = database().create_collection(collection_name, config, false);
        if (!made.ok()) return "the collection: " + made.error().message;
        state_[collection_name].config = config;
        return {};
    }

    std::string step() {
        if (!place_.is_running()) return reopen();
        const std::uint64_t die = prng_.below(100);
        if (die < 38) return write();
        if (die < 45) return remove();
        if (die < 62) return read();
        if (die < 65) return complete();
        if (die < 67) return change_fleet();
        if (die < 70) return sync("in the middle");
        fault();
        return {};
    }

    void fault() {
        ++faults_;
        const std::size_t device = prng_.below(place_.size());
        const std::string path = FleetPlace::device_path(device);
        switch (prng_.below(12)) {
            case 0:
            case 1:
            case 2:
                trace(path + " leaves");
                return place_.leave(device);
            case 3:
            case 4:
            case 5:
                trace(path + " comes back");
                return place_.come_back(device);
            case 6:
                trace(path + " loses power");
                return place_.cut_power(device);
            case 7:
                trace(path + " fails at a call");
                return place_.disk(path).fail_at(1 + prng_.below(30));
            case 8:
                trace("the client's disk fails at a call");
                return place_.disk("s/index").fail_at(1 + prng_.below(20));
            case 9:
                trace("the client dies at a call");
                return place_.kill_at(1 + prng_.below(120));
            case 10:
                return crash(prng_.chance(0.4));
            default:
                trace("the client closes");
                static_cast<void>(place_.close().ok());
        }
    }

    void crash(bool is_power_cut) {
        trace(is_power_cut ? "the power goes everywhere" : "the client is killed");
        place_.crash(is_power_cut);
    }

    /// Errors say that something is wrong with the devices or disks, not with the request.
    std::string judge(const Error& error, const std::string& where) {
        const bool is_clear = error.code == ErrorCode::unavailable || error.code == ErrorCode::timeout ||
                              error.code == ErrorCode::io_failed || (error.code == ErrorCode::integrity && !liars_.empty());
        if (is_clear || place_.is_dead()) return {};
        return where + ": " + error.message;
    }

    std::string reopen() {
        if (prng_.chance(0.12)) {
            trace("the store's directory is lost");
            ++tally_.restores;
            ++faults_;
            place_.lose_directory();
        }
        ++tally_.openings;
        const auto opened = place_.open();
        if (opened.ok()) return reconcile();
        ++tally_.unopened;
        trace("does not open: " + opened.error().message);
        std::string what = judge(opened.error(), "opening");
        if (prng_.chance(0.6)) {
            place_.come_back(prng_.below(place_.size()));
            place_.clear_faults();
        }
        return what;
    }

    /// The index is the model, or the model with one of the writes whose outcome was not known.
    std::string reconcile() {
        State found;
        std::string what = read_all(database(), found);
        if (place_.is_dead()) return {};
        if (!what.empty()) return "after opening: " + what;
        what = difference(state_, found);
        if (what.empty()) return {};
        for (const Step& pending : pending_) {
            State next = state_;
            apply_step(next, pending);
            if (!difference(next, found).empty()) continue;
            trace("a write of unknown outcome was done");
            state_ = std::move(next);
            pending_.clear();
            return {};
        }
        return "after opening: " + what;
    }

    Row draw_row(const std::string& id) {
        Row row;
        for (std::uint32_t at = 0; at < dimension; ++at) row.vector.push_back(static_cast<float>(prng_.unit()));
        row.metadata = {0xa1, 0x61, 'n', 0x18, static_cast<std::uint8_t>(24 + prng_.below(200))};
        const auto& rows = state_[collection_name].rows;
        const auto known = rows.find(id);
        row.version = known == rows.end() ? 1 : known->second.version + 1;
        return row;
    }

    std::string write() {
        Step step{Step::Kind::rows, collection_name, {}, {}};
        std::set<std::string> ids;
        for (std::uint64_t count = 1 + prng_.below(4); ids.size() < count;)
            ids.insert("id" + std::to_string(prng_.below(ids_max)));
        std::vector<std::string_view> names;
        std::vector<float> vectors;
        std::vector<ByteView> metadata;
        for (const std::string& id : ids) step.changes.emplace_back(id, draw_row(id));
        for (const auto& [id, row] : step.changes) {
            names.push_back(id);
            vectors.insert(vectors.end(), row->vector.begin(), row->vector.end());
            metadata.emplace_back(row->metadata);
        }
        store::WriteRequest request;
        request.collection = collection_name;
        request.mode = store::WriteMode::upsert;
        request.vectors = vectors.data();
        request.count = static_cast<std::uint32_t>(names.size());
        request.dimension = dimension;
        request.ids = names;
        request.metadata = metadata;
        const auto written = database().write(request);
        const std::string what = finish(step, written.ok() ? Result<void>() : Result<void>(written.error()), "a write");
        if (!what.empty() || !written.ok() || place_.is_dead()) return what;
        trace("wrote " + std::to_string(names.size()) + " rows, " + std::to_string(written->copies) +
              " fragments of the least");
        return check_copies(names, written->copies);
    }

    /// No fewer fragments than were counted; none in a collection that was made for k of them.
    std::string check_copies(std::span<const std::string_view> ids, std::uint32_t copies) {
        DVESP_ASSERT(place_.is_running());
        const auto collection = database().collection(collection_name);
        if (!collection.ok()) return "the collection is gone";
        const int level = copies >= place_.store().sealed()->copies_of(**collection, 3) ? 3 : 1;
        if (copies < place_.store().sealed()->copies_of(**collection, 1)) return "a write was acknowledged below k fragments";
        place_.clear_faults();  // nothing shall fail while it is looked at
        const auto rows = place_.rows_of(**collection, ids);
        const std::uint32_t held = place_.store().sealed()->held(**collection, rows);
        const std::uint32_t wanted = place_.store().sealed()->copies_of(**collection, level);
        return held >= wanted || place_.is_dead() ? std::string() : "acknowledged with more fragments than there are";
    }

    std::string remove() {
        auto& rows = state_[collection_name].rows;
        if (rows.empty()) return {};
        auto at = rows.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(prng_.below(rows.size())));
        const std::string id = at->first;
        const std::vector<std::string_view> ids = {id};
        store::DeleteRequest request;
        request.collection = collection_name;
        request.ids = ids;
        request.has_ids = true;
        const auto removed = database().remove(request);
        return finish({Step::Kind::rows, collection_name, {}, {{id, std::nullopt}}},
                      removed.ok() ? Result<void>() : Result<void>(removed.error()), "a removal");
    }

    std::string finish(const Step& step, const Result<void>& result, const std::string& name) {
        ++tally_.writes;
        if (result.ok() && !place_.is_dead()) {
            apply_step(state_, step);
            pending_.clear();
            return {};
        }
        if (result.ok() || place_.is_dead() || error_info(result.error().code).outcome == Outcome::maybe_done) {
            pending_.push_back(step);
            ++tally_.unknown;
            trace(name + ": not known");
            return {};
        }
        ++tally_.refused;
        trace(name + " refused: " + result.error().message);
        return judge(result.error(), name);
    }

    /// Reads rows from their fragments. @param must  an error is a violation
    std::string fetch(const std::vector<std::string_view>& ids, bool must, const std::string& when) {
        const auto collection = database().collection(collection_name);
        if (!collection.ok()) return when + ": " + collection.error().message;
        const auto rows = place_.rows_of(**collection, ids);
        if (rows.size() != ids.size()) return place_.is_dead() ? std::string() : when + ": a row is not in the index";
        const auto records = place_.store().sealed()->fetch(**collection, rows);
        ++tally_.reads;
        if (!records.ok()) {
            ++tally_.unread;
            return must ? when + ": " + records.error().message : judge(records.error(), when);
        }
        for (std::size_t at = 0; at < ids.size(); ++at) {
            const Row& wanted = state_[collection_name].rows.at(std::string(ids[at]));
            const auto& record = (*records)[at];
            const bool is_same =
                std::memcmp(record.vector().data(), wanted.vector.data(), record.vector().size()) == 0 &&
                std::equal(record.metadata().begin(), record.metadata().end(), wanted.metadata.begin(), wanted.metadata.end());
            if (!is_same) return when + ": '" + std::string(ids[at]) + "' is another one";
        }
        return {};
    }

    /// No device that is here has two fragments of a record.
    std::string check_one_each(const std::string& when) {
        const auto collection = database().collection(collection_name);
        if (!collection.ok()) return when + ": " + collection.error().message;
        std::vector<std::string_view> ids;
        for (const auto& [id, row] : state_[collection_name].rows) ids.push_back(id);
        const auto most = place_.store().sealed()->most_on_one_device(**collection, place_.rows_of(**collection, ids));
        return most <= 1 ? std::string() : when + ": a device has " + std::to_string(most) + " fragments of a record";
    }

    std::string read() {
        std::vector<std::string_view> ids;
        for (const auto& [id, row] : state_[collection_name].rows) {
            if (prng_.chance(0.3)) ids.push_back(id);
        }
        return fetch(ids, false, "a read");
    }

    std::string complete() {
        const auto done = place_.store().sealed()->complete();
        return done.ok() ? std::string() : judge(done.error(), "completion");
    }

    /// Peace: everything that lives is here. @return a violation
    std::string sync(const std::string& when) {
        ++tally_.syncs;
        trace("all are here, " + when);
        place_.clear_faults();
        for (std::size_t device = 0; device < place_.size(); ++device) place_.come_back(device);
        place_.kill_at(0);
        if (place_.is_running() && place_.is_dead()) crash(false);
        if (place_.is_running()) static_cast<void>(place_.store().sealed()->complete().ok());  // looks who is here again
        std::string what = open_surely(when);
        if (!what.empty()) return what;
        what = check_whole(when);
        const bool is_waiting = what.empty() && place_.store().sealed()->rebalance_report().is_changing;
        if (what.empty() && place_.gone() > 0 && (is_waiting || prng_.chance(0.5))) what = give_up_dead(when);
        if (what.empty()) worsen();
        if (what.empty()) what = check_promise(when);
        return what;
    }

    std::string open_surely(const std::string& when) {
        if (place_.is_running()) return {};
        const auto opened = place_.open();
        if (opened.ok()) return reconcile();
        // Whether a write of unknown outcome is on dead devices too nobody will ever know: they are given up.
        const bool is_stuck = opened.error().code == ErrorCode::unavailable && place_.gone() > 0 && !pending_.empty();
        if (!is_stuck) return when + ", opening: " + opened.error().message;
        ++tally_.stuck;
        trace("does not open, the dead are replaced: " + opened.error().message);
        tally_.changes.replaced += place_.gone();
        const auto replaced = place_.replace_gone();
        if (!replaced.ok()) return when + ", replacing the dead: " + replaced.error().message;
        auto again = place_.open();
        if (!again.ok() && again.error().code == ErrorCode::unavailable) {  // others that are away may know it: decision 021
            for (std::size_t device = 0; device < place_.size(); ++device) place_.come_back(device);
            again = place_.open();
        }
        return again.ok() ? reconcile() : when + ", opening with the dead replaced: " + again.error().message;
    }

    /// Devices join, leave and are replaced, whoever is here.
    std::string change_fleet() {
        ++faults_;
        std::string told;
        const auto done = place_.change_fleet(devices_max, told, tally_.changes);
        trace(told + (done.ok() ? ": yes" : ": " + done.error().message));
        return done.ok() ? std::string() : judge(done.error(), "a change of the fleet");
    }

    /// Peace: the dead are given up, while the rest bears it.
    std::string give_up_dead(const std::string& when) {
        node::SealedStore& sealed = *place_.store().sealed();
        for (const node::DeviceReport& one : sealed.devices()) {
            const bool is_dead = place_.is_gone(FleetPlace::device_of(one.path));
            if (!is_dead || one.state == node::DeviceState::leaving) continue;
            const bool is_removed = prng_.chance(0.3) && sealed.remove_device(one.number).ok();
            (is_removed ? tally_.changes.left : tally_.changes.replaced) += 1;
            trace(one.path + (is_removed ? " is given up" : " is replaced"));
            if (is_removed) continue;
            const auto replaced = sealed.replace_device(one.number, FleetPlace::device_path(place_.grow()));
            if (!replaced.ok()) return when + ", replacing the dead: " + replaced.error().message;
        }
        return check_whole(when + ", the dead given up");
    }

    /// Everything goes where it shall be, and the change of the fleet is over.
    std::string settle(const std::string& when) {
        node::SealedStore& sealed = *place_.store().sealed();
        for (int time = 0; time < completions_max; ++time) {
            const auto done = sealed.complete();
            if (!done.ok()) return when + ", completion: " + done.error().message;
            if (!sealed.rebalance_report().is_changing) break;
        }
        place_.look_at_members();
        // What one that leaves has for one that is dead stays until the dead one is given up.
        const bool is_over = !sealed.rebalance_report().is_changing || place_.gone() > 0;
        return is_over ? std::string() : when + ": the change of the fleet does not end";
    }

    std::string check_all(const std::string& when) {
        State found;
        std::string what = read_all(database(), found);
        if (what.empty()) what = difference(state_, found);
        if (!what.empty()) return when + ": " + what;
        std::vector<std::string_view> ids;
        for (const auto& [id, row] : state_[collection_name].rows) ids.push_back(id);
        return fetch(ids, true, when);
    }

    /// Every record is read, and is on every device that lives.
    std::string check_whole(const std::string& when) {
        std::string what = check_all(when);
        if (!what.empty()) return what;
        what = settle(when);
        if (!what.empty()) return what;
        const auto report = place_.store().sealed()->report(collection_name);
        if (!report.ok()) return when + ", report: " + report.error().message;
        const std::size_t least = report->promise.plan.n - place_.gone();
        if (report->records != state_[collection_name].rows.size()) return when + ": the report counts other records";
        if (report->records > 0 && report->fragments_least < least) {
            return when + ": a record has " + std::to_string(report->fragments_least) + " fragments and not " +
                   std::to_string(least);
        }
        if (report->misplaced > 0 && place_.gone() == 0) return when + ": a record is not where it shall be";
        losses_max_ = std::min<std::size_t>(place_.staying() * 2 / 5, report->promise.guaranteed_losses);
        return check_one_each(when);
    }

    /// A device begins to lie or dies, while the fleet bears it.
    void worsen() {
        const std::size_t device = prng_.below(place_.size());
        if (!place_.is_member(device)) return;
        const bool is_ruined = place_.is_gone(device) || liars_.contains(device);
        if (!is_ruined && place_.gone() + lying() >= losses_max_) return;
        if (place_.is_gone(device)) return;
        ++faults_;
        if (prng_.chance(0.3)) {
            trace(FleetPlace::device_path(device) + " dies");
            place_.die(device);
            liars_.erase(device);
            ++tally_.deaths;
        } else {
            place_.leave(device);
            const std::size_t count = place_.lie(device);
            place_.come_back(device);
            liars_.insert(device);
            trace(FleetPlace::device_path(device) + " lies about " + std::to_string(count));
            tally_.lies += count;
        }
    }

    /// As many go as may: the store opens and everything is read, whatever became of its directory.
    std::string check_promise(const std::string& when) {
        if (place_.is_running() && !place_.close().ok()) return when + ": it does not close";
        std::vector<std::size_t> order;
        for (std::size_t device = 0; device < place_.size(); ++device) order.push_back(device);
        for (std::size_t at = 0; at < order.size(); ++at) std::swap(order[at], order[at + prng_.below(order.size() - at)]);
        const std::size_t ruined = place_.gone() + lying();
        std::size_t left = losses_max_ - std::min(losses_max_, ruined);
        for (const std::size_t device : order) {
            if (left == 0) break;
            if (!place_.is_member(device) || place_.is_away(device) || liars_.contains(device)) continue;
            place_.leave(device);
            --left;
        }
        const bool is_restored = prng_.chance(0.5);
        trace("as many are away as may be" + std::string(is_restored ? ", and the directory is lost" : ""));
        if (is_restored) place_.lose_directory();
        std::string what = open_surely(when + ", with as many away as may be");
        if (what.empty()) what = check_all(when + ", with as many away as may be");
        return what;
    }

    [[nodiscard]] std::size_t lying() const {
        return static_cast<std::size_t>(
            std::count_if(liars_.begin(), liars_.end(), [&](std::size_t device) { return place_.is_member(device); }));
    }

    std::string end() {
        for (std::size_t device = 0; device < place_.size(); ++device) place_.come_back(device);
        std::string what = check_whole("in peace");
        if (!what.empty()) return what;
        const auto closed = place_.close();
        if (!closed.ok()) return "closing: " + closed.error().message;
        return place_.check_audit();
    }

    Prng prng_;
    FleetPlace place_;
    bool is_traced_;
    Tally& tally_;
    std::size_t losses_max_ = 0;
    std::uint64_t faults_ = 0;
    State state_;
    std::vector<Step> pending_;  ///< writes of unknown outcome since the last acknowledged one
    std::set<std::size_t> liars_;
};

}  // namespace
}  // namespace dvesp::test

int main(int argument_count, char** arguments) {
    using namespace dvesp::test;
    const Arguments parsed = parse_arguments(argument_count, arguments, seeds_default);
    Verdict verdict("sim_devices");
    Tally tally;
    for (std::uint64_t seed = parsed.seed_first; seed < parsed.seed_first + parsed.seed_count; ++seed) {
        const std::string what = Story(seed, parsed.is_traced, tally).run();
        what.empty() ? verdict.pass() : verdict.fail(seed, what);
    }
    print(tally, parsed.seed_count);
    return verdict.finish();
}
