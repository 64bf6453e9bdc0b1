/// tests/sim/key_changes.cpp - keys of a sealed store change while processes die and power fails at every single I/O call, with
/// devices away: afterwards the store opens with the old secret or the new one, and what was shredded stays so.
#include <algorithm>
#include <cstring>
#include <map>

#include "sim/arguments.hpp"
#include "sim/machine.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t seeds_default = 1;
constexpr int devices = 5;
constexpr std::uint64_t calls_max = 4000;  ///< no change of keys needs as many
enum class Change : std::uint8_t { add, remove, rotate, shred };
constexpr const char* change_names[] = {"add", "remove", "rotate", "shred"};

sealed::UserSecret secret_of(char first) {
    return {sealed::SecretKind::raw_key, crypto::SecretBytes::copy_of(bytes_of(std::string(crypto::key_bytes, first)))};
}
constexpr char old_secret = 'o', new_secret = 'n';

/// A store and its devices, each on a disk of its own.
class Place {
  public:
    explicit Place(std::uint64_t seed) : prng_(seed), clock_(1'700'000'000'000) {}

    /// A new process; the one before is over.
    void start(std::uint64_t kill_at) {
        process_ = std::make_shared<ProcessState>();
        process_->kill_after_calls = kill_at;
    }
    /// The process is dead, and with it goes the power of every machine, or none.
    void end(bool is_power_cut) {
        process_->is_dead = true;
        for (auto& [path, disk] : disks_) is_power_cut ? disk->power_cut() : disk->end_process();
    }
    void set_away(std::vector<std::string> paths) { away_ = std::move(paths); }
    [[nodiscard]] bool is_dead() const { return process_->is_dead; }
    Prng& prng() { return prng_; }

    node::SealedOptions options(char secret, bool must_exist) {
        node::SealedOptions out;
        out.path = "s";
        for (int number = 1; number <= devices; ++number) out.device_paths.push_back("d" + std::to_string(number));
        out.secret = secret_of(secret);
        out.must_exist = must_exist;
        out.files_at = [this](const std::string& path) {
            auto state = process_;
            if (std::find(away_.begin(), away_.end(), path) != away_.end()) {
                state = std::make_shared<ProcessState>();
                state->is_dead = true;
            }
            auto& disk = disks_[path];
            if (!disk) disk = std::make_unique<sim::Disk>(prng_.next());
            return make_mortal_files(disk->mount(), state);
        };
        return out;
    }

    Result<std::unique_ptr<node::EmbeddedStore>> open(char secret) {
        auto clock = std::make_unique<TickingClock>(1'700'000'000'000);
        auto executor = std::make_unique<sim::Executor>(prng_.next(), *clock);
        node::OwnedPorts ports{nullptr, std::move(clock), std::make_unique<sim::Random>(prng_.next()), std::move(executor)};
        return node::EmbeddedStore::open_sealed(std::move(ports), options(secret, false), store::DatabaseOptions());
    }

    /// @return whether the change was acknowledged
    bool change(Change change) {
        sim::Random random(prng_.next());
        sim::Executor executor(prng_.next(), clock_);
        node::SealedOptions wanted = options(change == Change::remove ? new_secret : old_secret, true);
        wanted.random = &random;
        wanted.runner = &executor;
        wanted.clock = &clock_;
        wanted.executor = &executor;
        auto store = node::SealedStore::open(std::move(wanted));
        if (!store.ok()) return false;
        const sealed::UserSecret fresh = secret_of(new_secret);
        switch (change) {
            case Change::add:
                return (*store)->add_key(fresh).ok();
            case Change::remove:
                return (*store)->remove_key(1).ok();
            case Change::rotate:
                return (*store)->rotate_keys({&fresh}).ok();
            case Change::shred:
                break;
        }
        return (*store)->shred("docs").ok();
    }

  private:
    Prng prng_;
    TickingClock clock_;
    std::shared_ptr<ProcessState> process_ = std::make_shared<ProcessState>();
    std::map<std::string, std::unique_ptr<sim::Disk>> disks_;
    std::vector<std::string> away_;
};

Result<void> write(store::Database& database, const std::string& collection, std::uint8_t salt) {
    const std::vector<float> vectors = {1, 2, 3, 4};
    const std::vector<std::string_view> ids = {"a", "b"};
    const std::vector<std::uint8_t> empty_map = {0xa0};
    const std::vector<ByteView> metadata = {empty_map, empty_map};
    store::BatchKey key{};
    key.id[0] = salt;
    key.salt[0] = salt;
    store::WriteRequest request;
    request.collection = collection;
    request.mode = store::WriteMode::upsert;
    request.vectors = vectors.data();
    request.count = 2;
    request.dimension = 2;
    request.ids = ids;
    request.metadata = metadata;
    request.key = &key;
    DVESP_TRY(database.write(request));
    return {};
}

/// The code of reading a row of a collection from its fragments; nothing when it is as it was written.
std::optional<ErrorCode> read(node::EmbeddedStore& store, const std::string& name) {
    const auto collection = store.database().collection(name);
    if (!collection.ok()) return collection.error().code;
    if (const auto whole = (*collection)->check_whole(); !whole.ok()) return whole.error().code;
    const auto snapshot = (*collection)->snapshot();
    const auto found = store::Collection::find(*snapshot, "b");
    if (!found.ok() || !*found) return ErrorCode::id_not_found;
    const auto row = node::SealedStore::row_of(**found);
    if (!row.ok()) return row.error().code;
    const auto records = store.sealed()->fetch(**collection, std::span(&*row, 1));
    if (!records.ok()) return records.error().code;
    const float wanted[] = {3, 4};
    const bool is_same = std::memcmp(records->front().vector().data(), wanted, sizeof wanted) == 0;
    return is_same ? std::nullopt : std::optional(ErrorCode::corruption);
}

/// One change of keys in which the process dies at its n-th I/O call. @return what is wrong; `is_over`: it did not die
class Story {
  public:
    Story(std::uint64_t seed, Change change, std::uint64_t kill_at)
        : place_(seed * 1'000'003 + kill_at), change_(change), kill_at_(kill_at) {}

    std::string live(bool& is_over) {
        if (!prepare()) return "the store was not made";
        Prng& prng = place_.prng();
        if (prng.chance(0.5)) {
            place_.set_away({"d" + std::to_string(1 + prng.below(2)), "d" + std::to_string(3 + prng.below(3))});
        }
        place_.start(kill_at_);
        is_acknowledged_ = place_.change(change_);
        is_over = !place_.is_dead();
        if (is_over && !is_acknowledged_) return "the change was refused, and nobody died";
        place_.end(prng.chance(0.7));
        place_.set_away({});
        return change_ == Change::shred ? check_shredded() : check_secrets();
    }

  private:
    bool prepare() {
        place_.start(0);
        {
            auto store = place_.open(old_secret);
            if (!store.ok()) return false;
            const store::CollectionConfig config{2};
            for (const char* name : {"docs", "notes"}) {
                const bool is_made = (*store)->database().create_collection(name, config, false).ok();
                if (!is_made || !write((*store)->database(), name, static_cast<std::uint8_t>(name[0])).ok()) return false;
            }
            if (!(*store)->close().ok()) return false;
        }
        return change_ != Change::remove || place_.change(Change::add);
    }

    /// Nothing: the secret opens the store, and every record is there. Else why not; a wrong answer throws the test.
    std::optional<ErrorCode> opens(char secret) {
        place_.start(0);
        std::optional<ErrorCode> out;
        {
            auto store = place_.open(secret);
            if (!store.ok()) {
                out = store.error().code;
            } else {
                for (const char* name : {"docs", "notes"}) {
                    if (const auto code = read(**store, name)) out = code;
                }
            }
        }
        place_.end(false);
        return out;
    }

    std::string check_secrets() {
        const bool is_new_first = place_.prng().chance(0.5);
        std::map<char, std::optional<ErrorCode>> code;
        for (const char secret : {is_new_first ? new_secret : old_secret, is_new_first ? old_secret : new_secret}) {
            code[secret] = opens(secret);
            if (code[secret] && *code[secret] != ErrorCode::sealed) {
                return std::string("secret ") + secret + ": error " + std::to_string(static_cast<int>(*code[secret]));
            }
        }
        const bool old_opens = !code[old_secret], new_opens = !code[new_secret];
        if (!old_opens && !new_opens) return "neither secret opens the store";
        if (change_ == Change::add && !old_opens) return "the old secret was lost";
        if (change_ == Change::remove && !new_opens) return "the other secret was lost";
        if (change_ == Change::rotate && old_opens && new_opens) return "both secrets open";
        if (is_acknowledged_ && !new_opens) return "the change was acknowledged, and the new secret does not open";
        if (is_acknowledged_ && change_ != Change::add && old_opens) return "acknowledged, and the old secret still opens";
        return "";
    }

    std::string check_shredded() {
        bool was_shredded = is_acknowledged_;
        for (int opening = 0; opening < 2; ++opening) {
            place_.start(0);
            std::optional<ErrorCode> docs, notes;
            {
                auto store = place_.open(old_secret);
                if (!store.ok()) return "it does not open: " + store.error().message;
                docs = read(**store, "docs");
                notes = read(**store, "notes");
            }
            place_.end(false);
            if (notes) return "the other collection is lost";
            if (docs && *docs != ErrorCode::sealed) return "error " + std::to_string(static_cast<int>(*docs));
            if (was_shredded && !docs) return "what was shredded is back";
            was_shredded = docs.has_value();
        }
        return "";
    }

    Place place_;
    Change change_;
    std::uint64_t kill_at_;
    bool is_acknowledged_ = false;
};

}  // namespace
}  // namespace dvesp::test

int main(int argument_count, char** arguments) {
    using namespace dvesp::test;
    const Arguments parsed = parse_arguments(argument_count, arguments, seeds_default);
    Verdict verdict("sim_key_changes");
    for (std::uint64_t seed = parsed.seed_first; seed < parsed.seed_first + parsed.seed_count; ++seed) {
        for (const Change change : {Change::add, Change::remove, Change::rotate, Change::shred}) {
            bool is_over = false;
            for (std::uint64_t kill_at = 1; kill_at < calls_max && !is_over; ++kill_at) {
                const std::string what = Story(seed, change, kill_at).live(is_over);
                if (what.empty()) {
                    verdict.pass();
                    continue;
                }
                const char* name = change_names[static_cast<int>(change)];
                verdict.fail(seed, std::string(name) + ", dead at call " + std::to_string(kill_at) + ": " + what);
            }
        }
    }
    return verdict.finish();
}
