/// node/sealed_reads.cpp - records from the fragments of whichever devices answer; what is missing is made anew.
#include <algorithm>
#include <cstring>

#include "node/audit_log.hpp"
#include "node/sealed_store.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t rows_per_piece = 64;
constexpr std::size_t rows_per_step = 1024;
constexpr const char* read_again = "read; connect more of them and try again";

}  // namespace

Result<SealedStore::Row> SealedStore::row_of(const store::Location& location) {
    DVESP_ASSIGN(const store::RowView view, location.source->row(location.row));
    DVESP_ASSIGN(const Hash leaf, location.source->row_leaf(location.row));
    Row row{view.id, view.version, {}};
    std::memcpy(row.salt.data(), leaf.data(), row.salt.size());
    return row;
}

/// @param what_for  ends the sentence, with what to do
Result<void> SealedStore::check_here(std::size_t needed, const char* what_for) {
    const std::vector<bool> present = fleet_->present();
    const auto here = static_cast<std::size_t>(std::count(present.begin(), present.end(), true));
    if (here >= needed) return {};
    return named(fail(ErrorCode::unavailable, std::to_string(here) + " of " + std::to_string(present.size()) +
                                                  " devices are reachable, " + std::to_string(needed) + " are needed to " +
                                                  what_for));
}

Result<void> SealedStore::check_reachable() {
    const std::shared_lock fleet_lock(fleet_mutex_);
    return check_here(fleet_->record().plan.k, read_again);
}

/// Where the fragments of some rows are, and who of their holders has answered.
struct SealedStore::Gathering {
    enum class Holder : std::uint8_t { unasked, late, answered };  ///< late: it was asked, and the others were faster
    struct Asked {
        std::size_t row;
        std::uint8_t index;
    };
    std::vector<std::vector<std::uint32_t>> holding;  ///< of each row: its devices
    std::vector<std::vector<Holder>> states;
    std::vector<std::vector<FragmentId>> ids;  ///< of this round, by device
    std::vector<std::vector<Asked>> asked;
    std::vector<std::size_t> lacking;  ///< of each row: fragments

    /// Who is asked for a row next: idle holders, and one more of them than needed where they are far; then busy ones; last
    /// those who were late. @return the number of questions
    std::size_t choose(const Fleet& fleet, std::size_t row, std::uint8_t turn_first, std::vector<std::uint32_t>& turns) const {
        turns.clear();
        const std::size_t count = holding[row].size();
        const auto pick = [&](Holder state, bool is_busy, std::size_t wanted) {
            for (std::size_t at = 0; at < count && turns.size() < wanted; ++at) {
                // Rows begin at different holders, so that all devices share the work.
                const auto turn = static_cast<std::uint32_t>((at + turn_first) % count);
                if (states[row][turn] != state || fleet.is_busy(holding[row][turn]) != is_busy) continue;
                turns.push_back(turn);
            }
        };
        if (lacking[row] == 0) return 0;
        pick(Holder::unasked, false, lacking[row] + (fleet.is_far() ? 1 : 0));
        pick(Holder::unasked, true, lacking[row]);
        if (turns.size() >= lacking[row]) return turns.size();
        pick(Holder::late, false, lacking[row]);
        pick(Holder::late, true, lacking[row]);
        return turns.size();
    }
    /// Whether every row has as many answers as it lacks.
    [[nodiscard]] bool is_enough(const Fleet::Round& round) const {
        std::vector<std::size_t> found(lacking.size(), 0);
        for (std::size_t device = 0; device < asked.size(); ++device) {
            for (std::size_t at = 0; at < asked[device].size(); ++at)
                found[asked[device][at].row] += round.answers[device][at] ? 1 : 0;
        }
        for (std::size_t row = 0; row < lacking.size(); ++row) {
            if (found[row] < lacking[row]) return false;
        }
        return true;
    }
};

/// k verified shares of each row, or as many as there are. A row takes the first answers that come; each round either hears
/// from a holder for the first time or gives every row what it lacked, so they end.
std::vector<SealedStore::Shares> SealedStore::gather(const Sealing& sealing, std::span<const Row> rows) {
    using Holder = Gathering::Holder;
    const sealed::RecordSealer namer(sealing.data_key, name_key_);
    const std::vector<bool> present = fleet_->present();
    std::vector<Shares> out(rows.size());
    Gathering plan;
    plan.lacking.assign(rows.size(), sealing.plan.k);
    for (const Row& row : rows) {
        plan.holding.push_back(holders(namer, sealing, name_of(sealing, row)));
        plan.states.emplace_back();
        for (const std::uint32_t device : plan.holding.back()) {
            plan.states.back().push_back(present[device] ? Holder::unasked : Holder::answered);
        }
    }
    std::vector<std::uint32_t> turns;
    while (true) {
        plan.ids.assign(fleet_->size(), {});
        plan.asked.assign(fleet_->size(), {});
        std::size_t questions = 0;
        for (std::size_t at = 0; at < rows.size(); ++at) {
            questions += plan.choose(*fleet_, at, rows[at].salt[0], turns);
            for (const std::uint32_t turn : turns) {
                const std::uint32_t device = plan.holding[at][turn];
                const auto index = static_cast<std::uint8_t>(turn + 1);
                plan.ids[device].push_back(namer.id_of(name_of(sealing, rows[at]), index));
                plan.asked[device].push_back({at, index});
                plan.states[at][turn] = Holder::late;
            }
        }
        if (questions == 0) break;
        Fleet::Round round =
            fleet_->get_first(plan.ids, *options_.runner, [&](const Fleet::Round& now) { return plan.is_enough(now); });
        for (std::size_t device = 0; device < round.silent.size(); ++device)
            if (round.silent[device] != 0) fleet_->blame(device, Fleet::Evidence::silent);
        take_round(sealing, rows, plan, round, out);
    }
    if (has_moved_ever()) ask_everybody(sealing, rows, out);
    return out;
}

/// Whether every device had what it shall have when it was looked at last.
bool SealedStore::are_all_complete() {
    const std::scoped_lock lock(mutex_);
    return is_attached_ && !is_incomplete_ && !fleet_->record().is_changing();
}

/// What a round brought: shares whose tags verify, and fragments that were changed.
void SealedStore::take_round(const Sealing& sealing, std::span<const Row> rows, Gathering& plan, Fleet::Round& round,
                             std::vector<Shares>& out) {
    std::vector<std::vector<std::pair<std::uint8_t, std::vector<std::uint8_t>>>> found(rows.size());
    const bool is_whole = are_all_complete();
    for (std::size_t device = 0; device < plan.asked.size(); ++device) {
        bool is_missing = false;
        for (std::size_t at = 0; at < plan.asked[device].size() && round.has_answered[device]; ++at) {
            const auto [row, index] = plan.asked[device][at];
            plan.states[row][index - 1U] = Gathering::Holder::answered;
            is_missing = is_missing || !round.answers[device][at];
            if (round.answers[device][at]) found[row].emplace_back(index, std::move(*round.answers[device][at]));
        }
        // It had everything at the last completion.
        if (is_missing && is_whole && round.silent[device] == 0) fleet_->blame(device, Fleet::Evidence::missing);
    }
    run_in_ranges(*options_.runner, rows.size(), rows_per_piece, [&](std::size_t first, std::size_t last) {
        sealed::RecordSealer sealer(sealing.data_key, name_key_);
        for (std::size_t at = first; at < last; ++at) {
            for (const auto& [index, bytes] : found[at]) {
                if (plan.lacking[at] == 0) break;  // one more than needed was asked
                auto share = sealer.open_share(name_of(sealing, rows[at]), sealing.plan, sealed::Mode::shamir, index, bytes);
                if (!share.ok()) {
                    out[at].damaged.emplace_back(plan.holding[at][index - 1U], sealer.id_of(name_of(sealing, rows[at]), index));
                    continue;
                }
                out[at].xs.push_back(index);
                out[at].shares.push_back(std::move(*share));
                --plan.lacking[at];
            }
        }
    });
}

Result<std::vector<sealed::OpenedRecord>> SealedStore::fetch(const store::Collection& collection, std::span<const Row> rows) {
    const std::shared_lock fleet_lock(fleet_mutex_);
    DVESP_TRY(check_here(fleet_->record().plan.k, read_again));
    DVESP_ASSIGN(const auto sealing, sealing_of(collection.shard()));
    const std::vector<Shares> gathered = gather(*sealing, rows);
    discard(gathered);
    std::vector<sealed::OpenedRecord> out(rows.size());
    sealed::RecordSealer sealer(sealing->data_key, name_key_);
    for (std::size_t at = 0; at < rows.size(); ++at) {
        const Shares& shares = gathered[at];
        if (shares.xs.size() < sealing->plan.k) {
            const std::string text =
                std::to_string(shares.xs.size()) + " of the " + std::to_string(sealing->plan.k) + " fragments needed";
            if (!shares.damaged.empty()) {
                return fail(ErrorCode::integrity, "a record has only " + text + ": " + std::to_string(shares.damaged.size()) +
                                                      " were changed; connect the devices that are offline");
            }
            return fail(ErrorCode::unavailable,
                        "a record has only " + text + " on the devices that are here; connect the others and try again");
        }
        DVESP_ASSIGN(out[at], sealer.join(name_of(*sealing, rows[at]), sealing->plan, sealed::Mode::shamir, shares.xs,
                                          shares.shares, collection.config().dimension));
    }
    return out;
}

std::uint32_t SealedStore::held(const store::Collection& collection, std::span<const Row> rows) {
    const std::shared_lock fleet_lock(fleet_mutex_);
    const auto sealing = sealing_of(collection.shard());
    if (!sealing.ok()) return 0;
    const sealed::RecordSealer sealer((*sealing)->data_key, name_key_);
    std::uint32_t least = (*sealing)->plan.n;
    for (const Row& row : rows) {
        std::uint32_t count = 0;
        const auto holding = holders(sealer, **sealing, name_of(**sealing, row));
        for (std::size_t at = 0; at < holding.size(); ++at) {
            const FragmentId id = sealer.id_of(name_of(**sealing, row), static_cast<std::uint8_t>(at + 1));
            count += is_anywhere(holding[at], id) ? 1 : 0;
        }
        least = std::min(least, count);
    }
    return least;
}

std::uint32_t SealedStore::most_on_one_device(const store::Collection& collection, std::span<const Row> rows) {
    const std::shared_lock fleet_lock(fleet_mutex_);
    const auto sealing = sealing_of(collection.shard());
    if (!sealing.ok()) return 0;
    const sealed::RecordSealer sealer((*sealing)->data_key, name_key_);
    const Inventory inventory = take_inventory();
    std::uint32_t most = 0;
    for (const Row& row : rows) {
        for (std::size_t device = 0; device < fleet_->size(); ++device) {
            std::uint32_t count = 0;
            for (std::uint8_t index = 1; index <= (*sealing)->plan.n; ++index)
                count += inventory.has(device, sealer.id_of(name_of(**sealing, row), index)) ? 1 : 0;
            most = std::max(most, count);
        }
    }
    return most;
}

/// Fragments that were changed are of no use; whole ones take their place at the next completion.
void SealedStore::discard(const std::vector<Shares>& gathered) {
    std::vector<std::vector<FragmentId>> bad(fleet_->size());
    bool is_any = false;
    for (const Shares& shares : gathered) {
        for (const auto& [device, id] : shares.damaged) bad[device].push_back(id);
        is_any = is_any || !shares.damaged.empty();
    }
    if (!is_any) return;
    for (std::size_t device = 0; device < bad.size(); ++device)
        if (!bad[device].empty()) fleet_->blame(device, Fleet::Evidence::changed);
    fleet_->remove(bad, *options_.runner);
    const std::scoped_lock lock(mutex_);
    is_incomplete_ = true;
}

/// Also where it lies until the fleet's change is over.
bool SealedStore::is_anywhere(std::uint32_t holder, const FragmentId& id) {
    if (fleet_->contains(holder, id)) return true;
    for (std::size_t device = 0; has_moved_ever() && device < fleet_->size(); ++device) {
        if (device != holder && fleet_->contains(device, id)) return true;
    }
    return false;
}

/// What rows lack that their holders do not have yet, or have not any more: whoever has it.
void SealedStore::ask_everybody(const Sealing& sealing, std::span<const Row> rows, std::vector<Shares>& out) {
    struct Asked {
        std::size_t row;
        std::uint8_t index;
    };
    sealed::RecordSealer sealer(sealing.data_key, name_key_);
    std::vector<FragmentId> ids;
    std::vector<Asked> asked;
    for (std::size_t at = 0; at < rows.size(); ++at) {
        if (out[at].xs.size() >= sealing.plan.k) continue;
        for (std::uint8_t index = 1; index <= sealing.plan.n; ++index) {
            if (std::find(out[at].xs.begin(), out[at].xs.end(), index) != out[at].xs.end()) continue;
            ids.push_back(sealer.id_of(name_of(sealing, rows[at]), index));
            asked.push_back({at, index});
        }
    }
    if (ids.empty()) return;
    const Fleet::Answers answers = fleet_->get(std::vector<std::vector<FragmentId>>(fleet_->size(), ids), *options_.runner);
    for (std::size_t device = 0; device < answers.size(); ++device) {
        for (std::size_t at = 0; at < asked.size(); ++at) {
            const auto [row, index] = asked[at];
            Shares& shares = out[row];
            const bool is_known = std::find(shares.xs.begin(), shares.xs.end(), index) != shares.xs.end();
            if (!answers[device][at] || is_known || shares.xs.size() >= sealing.plan.k) continue;
            auto share =
                sealer.open_share(name_of(sealing, rows[row]), sealing.plan, sealed::Mode::shamir, index, *answers[device][at]);
            if (!share.ok()) continue;
            shares.xs.push_back(index);
            shares.shares.push_back(std::move(*share));
        }
    }
}

SealedStore::Inventory SealedStore::take_inventory() {
    Inventory out;
    out.present = fleet_->present();
    out.here.resize(fleet_->size());
    out.needed.resize(fleet_->size());
    out.moved.resize(fleet_->size());
    options_.runner->run(fleet_->size(), [&](std::size_t device) {
        out.here[device] = fleet_->list(device, fragment_kind);
        std::sort(out.here[device].begin(), out.here[device].end());
    });
    return out;
}

/// All living rows in steps; ids live as long as a step.
Result<void> SealedStore::each_row(const store::Collection& collection,
                                   const std::function<Result<void>(std::span<const Row>)>& use) {
    const auto snapshot = collection.snapshot();
    std::vector<Row> rows;
    for (const store::Snapshot::Part& part : snapshot->parts()) {
        for (std::uint32_t row = 0; row < part.rows; ++row) {
            if (!part.source->deaths.alive_at(row, snapshot->seq)) continue;
            DVESP_ASSIGN(const Row found, row_of({part.source, row}));
            rows.push_back(found);
            if (rows.size() < rows_per_step) continue;
            DVESP_TRY(use(rows));
            rows.clear();
        }
    }
    return rows.empty() ? Result<void>() : use(rows);
}

Result<SealedReport> SealedStore::report(const std::string& name) {
    const std::shared_lock fleet_lock(fleet_mutex_);
    DVESP_ASSIGN(const auto collection, database_->collection(name));
    DVESP_ASSIGN(const auto sealing, sealing_of(collection->shard()));
    SealedReport out;
    out.promise = sealed::retrievability(static_cast<std::uint32_t>(fleet_->staying()), sealing->plan);
    // Records are of use to who opens the store: no more devices may be away than its index bears.
    const FleetRecord& fleet = fleet_->record();
    const auto index_losses = std::min<std::size_t>(fleet.needed_to_judge() - 1U, fleet_->staying() - fleet.plan.k);
    out.is_changing = fleet.is_changing();
    out.promise.guaranteed_losses = std::min(out.promise.guaranteed_losses, static_cast<std::uint32_t>(index_losses));
    const std::vector<bool> present = fleet_->present();
    out.reachable = static_cast<std::uint32_t>(std::count(present.begin(), present.end(), true));
    out.fragments_least = sealing->plan.n;
    const Inventory inventory = take_inventory();
    const sealed::RecordSealer sealer(sealing->data_key, name_key_);
    DVESP_TRY(each_row(*collection, [&](std::span<const Row> rows) -> Result<void> {
        for (const Row& row : rows) {
            const sealed::RecordName record = name_of(*sealing, row);
            const auto holding = holders(sealer, *sealing, record);
            std::uint32_t count = 0, misplaced = 0;
            for (std::size_t at = 0; at < holding.size(); ++at) {
                const FragmentId id = sealer.id_of(record, static_cast<std::uint8_t>(at + 1));
                const bool is_there = inventory.has(holding[at], id);
                const bool is_elsewhere = !is_there && has_moved_ever() && inventory.source_of(id).has_value();
                count += is_there || is_elsewhere ? 1 : 0;
                misplaced += is_elsewhere ? 1 : 0;
            }
            ++out.records;
            out.misplaced += misplaced > 0 ? 1 : 0;
            out.complete += count == sealing->plan.n ? 1 : 0;
            out.fragments_least = std::min(out.fragments_least, count);
        }
        return {};
    }));
    return out;
}

Result<void> SealedStore::close() {
    if (!fleet_) return {};
    const auto recorded = audit_ ? audit_->close() : Result<void>();
    const auto closed = fleet_->close();
    return recorded.ok() ? closed : recorded;
}

}  // namespace dvesp::node
