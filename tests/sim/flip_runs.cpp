/// tests/sim/flip_runs.cpp - one flipped bit or one truncation in a file of a store is found, named, and harms nothing else.
/// Dead bytes, the only ones whose damage may go unnoticed: the part of a log file behind the last frame of its present life
/// (never written, or left by an earlier life of a recycled file; such a part may go missing from a file that takes no more
/// frames), and the closing marker, which is all that it vouches for. In encrypted files also what lies before the first page:
/// two headers, of which one is enough, and the place of a saved page, which is empty.
#include "sim/flip_runs.hpp"

#include <array>
#include <chrono>
#include <cstdio>

#include "node/encrypted_page.hpp"
#include "sim/aged_store.hpp"
#include "sim/checker.hpp"
#include "store/cursor.hpp"
#include "store/query.hpp"

namespace dvesp::test {
namespace {

constexpr int damages_a_seed = 500;

struct Damage {
    std::string path;
    FileRole role = FileRole::manifest;
    bool is_truncation = false;
    std::uint64_t place = 0;  ///< the bit, or the bytes that are left
    bool is_dead = false;     ///< nothing that means something is hit
    bool is_marker = false;   ///< only the closing marker is hit

    [[nodiscard]] std::string text() const {
        return path + (is_truncation ? " cut to " + std::to_string(place) + " bytes"
                                     : " bit " + std::to_string(place % 8) + " of byte " + std::to_string(place / 8));
    }
};

struct Tally {
    std::array<std::uint64_t, role_count> flips{}, truncations{}, found_at_open{}, found_by_reading{}, found_by_verify{};
    std::uint64_t dead = 0, markers = 0;
};

/// Opens a damaged copy of an aged store and reads it through every door.
class Examination {
  public:
    Examination(const AgedStore& aged, const Damage& damage, std::uint64_t seed)
        : aged_(aged), damage_(damage), described_("<sim>/" + damage.path), machine_(seed, aged.options, aged.content) {
        const auto files = machine_.disk().mount();
        for (const char* directory : {store::segment_directory, store::log_directory}) {
            DVESP_ASSERT(files->make_directory(directory).ok());
        }
        for (const auto& [path, file] : aged.files) machine_.disk().write_raw(path, 0, file.stored);
        if (damage.is_truncation) {
            machine_.disk().truncate(damage.path, damage.place);
        } else {
            machine_.disk().flip_bit(damage.path, damage.place);
        }
    }

    /// @return the first violation; empty = none
    std::string run(Tally& tally) {
        std::string what = examine(tally);
        const bool goes_on = what.empty() && machine_.is_running() && machine_.prng().chance(0.3);
        return goes_on ? live_with_it() : what;
    }

  private:
    std::string examine(Tally& tally) {
        const auto role = static_cast<std::size_t>(damage_.role);
        const auto started = machine_.start();
        if (!started.ok()) {
            ++tally.found_at_open[role];
            return judge_open(started.error());
        }
        std::string what = read_everything();
        if (!what.empty()) return what;
        const auto problems = machine_.database().verify("");
        if (!problems.ok()) return "verify: " + problems.error().message;
        bool is_named = false;
        for (const std::string& problem : *problems) is_named = is_named || problem.find(described_) != std::string::npos;
        if (damage_.is_dead || damage_.is_marker) {
            if (is_read_error_) return "dead bytes made a read fail: " + last_error_;
            return {};
        }
        ++(is_read_error_ ? tally.found_by_reading : tally.found_by_verify)[role];
        if (!is_named) return problems->empty() ? "verify noticed nothing" : "verify names another file: " + problems->front();
        return {};
    }

    std::string judge_open(const Error& error) const {
        if (error.code != ErrorCode::corruption)
            return "opening failed as " + std::string(error_info(error.code).name) + ": " + error.message;
        if (error.message.find(described_) == std::string::npos)
            return "opening failed without naming the file: " + error.message;
        return damage_.role == FileRole::manifest ? std::string() : "the store does not open any more: " + error.message;
    }

    /// Whether an error is what damage may cause.
    std::string judge(const Error& error) {
        is_read_error_ = true;
        last_error_ = error.message;
        if (error.code != ErrorCode::corruption)
            return "damage was reported as " + std::string(error_info(error.code).name) + ": " + error.message;
        const bool is_named =
            error.message.find(described_) != std::string::npos || error.message.find("the log") != std::string::npos;
        return is_named || damage_.role == FileRole::log ? std::string() : "an error names another file: " + error.message;
    }

    std::string read_everything() {
        for (const auto& [name, model] : aged_.state) {
            const auto collection = machine_.database().collection(name);
            if (!collection.ok()) {
                // Its creation may be among the lost frames; verify() must say so.
                is_read_error_ = true;
                if (damage_.role != FileRole::log) return collection.error().message;
                continue;
            }
            std::string what = read_collection(**collection, model);
            if (what.empty()) what = scroll_skipping(**collection, name, model);
            if (!what.empty()) return "collection '" + name + "': " + what;
        }
        return {};
    }

    std::string read_collection(store::Collection& collection, const CollectionModel& model) {
        const auto whole = collection.check_whole();
        if (!whole.ok()) return judge(whole.error());
        const auto snapshot = collection.snapshot();
        const auto count = store::count_rows(*snapshot, nullptr);
        if (!count.ok() || *count != model.rows.size()) return "a wrong count";
        for (const auto& [id, row] : model.rows) {
            const auto found = store::Collection::find(*snapshot, id);
            if (found.ok() && !*found) return "get '" + id + "' finds nothing, without an error";
            const auto view = found.ok() ? (*found)->source->row((*found)->row) : Result<store::RowView>(found.error());
            std::string what = view.ok() ? std::string() : judge(view.error());
            if (view.ok() && !same_row(row_of(*view, model.config.dimension), row))
                what = "get '" + id + "' returns wrong data";
            if (!what.empty()) return what;
        }
        for (const SearchKind kind : {SearchKind::exact, SearchKind::by_default, SearchKind::by_index}) {
            std::string what = model.rows.empty() ? std::string() : search(collection, model, kind);
            if (!what.empty()) return what;
        }
        return scroll_raising(snapshot, model);
    }

    std::string search(store::Collection& collection, const CollectionModel& model, SearchKind kind) {
        auto at = model.rows.begin();
        std::advance(at, machine_.prng().below(model.rows.size()));
        const auto answer = check_search(collection, model, at->second.vector, kind);
        return answer.ok() ? *answer : judge(answer.error());
    }

    std::string scroll_raising(const std::shared_ptr<const store::Snapshot>& snapshot, const CollectionModel& model) {
        auto cursor = store::Cursor::open(snapshot, std::nullopt, std::nullopt, store::OnDamage::raise);
        if (!cursor.ok()) return judge(cursor.error());
        std::size_t count = 0;
        while (true) {
            const auto rows = (*cursor)->next(50);
            if (!rows.ok()) return judge(rows.error());
            if (rows->empty()) break;
            for (const store::RowView& view : *rows) {
                const auto row = model.rows.find(std::string(view.id));
                const bool is_right = row != model.rows.end() && same_row(row_of(view, model.config.dimension), row->second);
                if (!is_right) return "scroll returns a wrong row '" + std::string(view.id) + "'";
                ++count;
            }
        }
        return count == model.rows.size() ? std::string() : "scroll leaves rows out without an error";
    }

    /// Every row of an undamaged file comes out, and nothing that was never acknowledged.
    std::string scroll_skipping(const store::Collection& collection, const std::string& name, const CollectionModel& model) {
        auto cursor = store::Cursor::open(collection.snapshot(), std::nullopt, std::nullopt, store::OnDamage::skip);
        if (!cursor.ok()) return "scroll(skip): " + cursor.error().message;
        std::map<std::string, Row> seen;
        while (true) {
            const auto rows = (*cursor)->next(50);
            if (!rows.ok()) return "scroll(skip): " + rows.error().message;
            if (rows->empty()) break;
            for (const store::RowView& view : *rows)
                seen.insert_or_assign(std::string(view.id), row_of(view, model.config.dimension));
        }
        for (const auto& [id, row] : seen) {
            const auto known = aged_.history.find({name, id});
            bool was_written = false;
            if (known != aged_.history.end()) {
                for (const Row& old : known->second) was_written = was_written || same_row(old, row);
            }
            if (!was_written) return "scroll(skip) invents the row '" + id + "'";
        }
        for (const auto& [id, row] : model.rows) {
            const std::string& home = aged_.homes.at({name, id});
            const bool may_be_lost = home == described_ || (damage_.role == FileRole::log && home.starts_with("the log"));
            const auto other = seen.find(id);
            if (may_be_lost || (other != seen.end() && same_row(other->second, row))) continue;
            return "scroll(skip) leaves out '" + id + "', whose file " + home + " is whole";
        }
        return {};
    }

    /// Upkeep on a damaged store makes nothing worse: what cannot be read stays an error, now and after a restart.
    std::string live_with_it() {
        if (machine_.prng().chance(0.5)) static_cast<void>(machine_.database().flush("").ok());
        static_cast<void>(machine_.database().compact("").ok());
        machine_.settle_down();
        std::string what = read_everything();
        if (!what.empty()) return "after compact: " + what;
        if (machine_.prng().chance(0.5)) {
            static_cast<void>(machine_.close().ok());
        } else {
            machine_.power_cut();
        }
        const auto started = machine_.start();
        if (!started.ok()) return "after compact and restart, start: " + started.error().message;
        what = read_everything();
        return what.empty() ? what : "after compact and restart: " + what;
    }

    const AgedStore& aged_;
    const Damage& damage_;
    std::string described_;
    Machine machine_;
    bool is_read_error_ = false;
    std::string last_error_;
};

/// Where the bytes of a file lie on the disk.
class Place {
  public:
    explicit Place(const AgedStore& aged) : is_encrypted_(aged.content == Content::encrypted) {}

    [[nodiscard]] std::uint64_t stored(std::uint64_t plain) const { return is_encrypted_ ? node::stored_size(plain) : plain; }
    /// Bytes of plaintext left in a file that was cut.
    [[nodiscard]] std::uint64_t plain_left(std::uint64_t stored) const {
        return is_encrypted_ ? node::plain_size(stored) : stored;
    }
    [[nodiscard]] bool is_before_pages(std::uint64_t stored_byte) const {
        return is_encrypted_ && stored_byte < node::pages_start;
    }

  private:
    bool is_encrypted_;
};

Damage draw_damage(const AgedStore& aged, Prng& prng) {
    // First the kind of file, so that the rare ones are hit as often.
    std::vector<const std::pair<const std::string, AgedFile>*> candidates;
    while (candidates.empty()) {
        const auto role = static_cast<FileRole>(prng.below(role_count));
        for (const auto& entry : aged.files) {
            if (entry.second.role == role && !entry.second.bytes.empty()) candidates.push_back(&entry);
        }
    }
    const auto& [path, file] = *candidates[prng.below(candidates.size())];
    Damage damage;
    damage.path = path;
    damage.role = file.role;
    damage.is_truncation = prng.chance(0.15);
    const Place place(aged);
    const std::uint64_t size = file.stored.size();
    if (damage.is_truncation) {
        damage.place = prng.chance(0.2) ? size - 1 - prng.below(std::min<std::uint64_t>(size, 8)) : prng.below(size);
        damage.is_dead = file.is_closed_log && place.plain_left(damage.place) >= file.live_end;
        return damage;
    }
    // The tail of a file is small and holds what the rest is checked against; dead bytes are not worth more than a few flips.
    const std::uint64_t end = prng.chance(0.95) && file.live_end > 0 ? place.stored(file.live_end) : size;
    std::uint64_t byte = prng.chance(0.2) ? end - 1 - prng.below(std::min<std::uint64_t>(end, 300)) : prng.below(end);
    const std::uint64_t marker = place.stored(file.closing_marker);
    if (byte >= marker && file.closing_marker > 0 && prng.chance(0.9)) byte = prng.below(marker);
    damage.place = byte * 8 + prng.below(8);
    damage.is_dead = place.is_before_pages(byte) || byte >= place.stored(file.live_end);
    damage.is_marker = !damage.is_dead && byte >= marker;
    return damage;
}

void run_seed(std::uint64_t seed, Content content, bool is_traced, Verdict& verdict, Tally& tally) {
    AgedStore aged;
    const std::string sound = age_store(seed, content, aged);
    if (!sound.empty()) return verdict.fail(seed, "making the store: " + sound);
    Prng prng(seed ^ 0x666c697073);
    for (int turn = 0; turn < damages_a_seed; ++turn) {
        const Damage damage = draw_damage(aged, prng);
        const auto role = static_cast<std::size_t>(damage.role);
        ++(damage.is_truncation ? tally.truncations : tally.flips)[role];
        tally.dead += damage.is_dead ? 1 : 0;
        tally.markers += damage.is_marker ? 1 : 0;
        if (is_traced) std::fprintf(stderr, "%s\n", damage.text().c_str());
        const std::string what = Examination(aged, damage, seed).run(tally);
        if (what.empty()) {
            verdict.pass();
        } else {
            verdict.fail(seed, std::string(role_name(damage.role)) + " " + damage.text() + ": " + what);
        }
    }
}

}  // namespace

int run_flips(const char* program, const Arguments& arguments, Content content) {
    Verdict verdict(program);
    Tally tally;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t seed = arguments.seed_first; seed < arguments.seed_first + arguments.seed_count; ++seed) {
        run_seed(seed, content, arguments.is_traced, verdict, tally);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (std::size_t role = 0; role < role_count; ++role) {
        std::fprintf(stderr,
                     "%-9s %5llu flips, %5llu truncations; found at open %5llu, by reading %5llu, by verify alone %5llu\n",
                     role_name(static_cast<FileRole>(role)), static_cast<unsigned long long>(tally.flips[role]),
                     static_cast<unsigned long long>(tally.truncations[role]),
                     static_cast<unsigned long long>(tally.found_at_open[role]),
                     static_cast<unsigned long long>(tally.found_by_reading[role]),
                     static_cast<unsigned long long>(tally.found_by_verify[role]));
    }
    std::fprintf(stderr, "harmless: %llu damages of dead bytes, %llu of closing markers; %.0f damages a second\n",
                 static_cast<unsigned long long>(tally.dead), static_cast<unsigned long long>(tally.markers),
                 static_cast<double>(verdict.passed() + verdict.failed()) / seconds);
    return verdict.finish();
}

}  // namespace dvesp::test
