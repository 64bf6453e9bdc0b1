/// node/sealed_store.hpp - the sealed half of a store: records as fragments on devices, the index as an ordinary database over
/// encrypted files whose key exists only as shares on those devices. Design: docs/decisions/016.
///
/// A write goes fragments first: they and the change of the index are durable on the devices before the database's log takes
/// the frame; the log makes the batch exist. A read finds the row in the index and takes the record from the fragments.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

#include "codec/audit.hpp"
#include "node/fleet.hpp"
#include "ports/clock.hpp"
#include "ports/executor.hpp"
#include "ports/random.hpp"
#include "sealed/delta.hpp"
#include "sealed/fragment.hpp"
#include "sealed/key_table.hpp"
#include "store/commit_guard.hpp"
#include "store/database.hpp"

namespace dvesp::node {

class AuditLog;
class AuditWitnesses;

struct SealedOptions {
    std::string path;                       ///< of the store itself
    std::vector<std::string> device_paths;  ///< 2..255 directories, or nodes as node://HOST:PORT (node/device_places.hpp)
    sealed::UserSecret secret;
    FilesAt files_at;
    ports::Random* random = nullptr;
    TaskRunner* runner = nullptr;
    ports::Clock* clock = nullptr;            ///< of the audit log, as the next
    ports::Executor* executor = nullptr;      ///< not stopped before the store is closed
    std::optional<sealed::Plan> plan;         ///< of a new store; nothing = what the planner says
    std::optional<crypto::Key32> master;      ///< from recovery words: unlocks instead of `secret`
    std::shared_ptr<ports::Rpc> rpc;          ///< asks nodes for their devices; nullptr: all devices are directories
    std::shared_ptr<ports::Executor> asking;  ///< waits for them, a thread for each at least; with `rpc`
    bool must_exist = false;  ///< its keys are wanted, not its records: nothing is made anew, and the index is locked here
};

inline constexpr const char *keys_record = "keys", *fleet_record = "fleet", *share_record = "share";  ///< of a device

inline constexpr const char* sealed_index_folder = "/index";  ///< of the database, in the store's directory

/// How far a changed table of keys came. The others get it when they are back.
struct KeySpread {
    std::uint32_t devices = 0;
    std::uint32_t reached = 0;
};

/// What a collection promises now.
struct SealedReport {
    sealed::Retrievability promise;
    std::uint32_t reachable = 0;  ///< devices
    std::uint64_t records = 0;
    std::uint64_t complete = 0;         ///< records with all n fragments on devices that are here
    std::uint32_t fragments_least = 0;  ///< of any record, on devices that are here
    std::uint64_t misplaced = 0;        ///< records with a fragment that is not where it shall be
    bool is_changing = false;           ///< devices join or leave
};

/// A device of the fleet, as its owner sees it.
struct DeviceReport {
    std::uint8_t number = 0;  ///< stays with it; the next that joins gets another
    std::string path;
    DeviceState state = DeviceState::active;
    bool is_here = false;
    double trust = 1.0;
    std::optional<DeviceUsage> usage;  ///< nothing: it is away, or does not say it
};

/// Below it a device gets no fragments, and what it has moves away, while others are enough.
inline constexpr double trust_least = 0.5;

/// What a change of the fleet still has to do, as the last look found it.
struct RebalanceReport {
    bool is_changing = false;        ///< devices join or leave
    std::uint64_t records_left = 0;  ///< with a fragment that is not where it shall be
    std::uint64_t moved = 0;         ///< fragments, since the store was opened: copied, or made again
};

/// @threads every method from any thread, unless it says otherwise
class SealedStore final : public store::CommitGuard {
  public:
    /// A new store where there is neither one nor devices; else the one that is there; where only devices are, `attach` brings
    /// the index back from them. @errors sealed: the key is wrong; unavailable: fewer than k devices; integrity, corruption
    static Result<std::unique_ptr<SealedStore>> open(SealedOptions options);
    ~SealedStore() override;
    /// Whether a sealed store is in the directory.
    static Result<bool> is_at(ports::Files& files);

    /// Where the database lives: ciphertext in the store's directory.
    [[nodiscard]] std::unique_ptr<ports::Files> index_files();
    /// Takes up changes that the devices have and the database lacks: all of them after a restore. To be called once.
    /// @param database made with this as its guard; must outlive this object's use
    Result<void> attach(store::Database& database);
    /// Completes what is incomplete, then lets go of the devices. The database is closed first.
    Result<void> close();

    /// The next collections of these names are made with this plan.
    Result<void> plan_collection(const std::string& name, const sealed::Plan& plan);

    /// While it lives, no fragment goes of a row that was alive when it was made. Readers take one before their snapshot.
    [[nodiscard]] std::shared_ptr<const void> pin();

    /// A row of the index, as fragments need it.
    struct Row {
        std::string_view id;
        std::uint64_t version = 0;
        sealed::RecordSalt salt{};
    };
    static Result<Row> row_of(const store::Location& location);
    /// The records of rows. @errors unavailable: fewer than k devices; integrity: enough devices, not enough whole fragments
    Result<std::vector<sealed::OpenedRecord>> fetch(const store::Collection& collection, std::span<const Row> rows);
    /// @errors unavailable: fewer than k devices are here
    Result<void> check_reachable();
    /// How many fragments of a row are on devices that are here, the least of all rows.
    std::uint32_t held(const store::Collection& collection, std::span<const Row> rows);
    /// How many fragments of one row a device has at most; never more than one.
    std::uint32_t most_on_one_device(const store::Collection& collection, std::span<const Row> rows);
    /// What writers at a level ask for: k, k + 1, n. @param level 1 ONE, 2 QUORUM, 3 ALL
    [[nodiscard]] std::uint32_t copies_of(const store::Collection& collection, int level);

    // ---- sealed_fleet.cpp: also of a store opened with must_exist
    [[nodiscard]] std::vector<DeviceReport> devices();
    [[nodiscard]] RebalanceReport rebalance_report();
    /// One more device: what it shall have comes to it with the next `complete`.
    /// @param path as of SealedOptions; the directory or the node's folder is made
    /// @errors invalid_argument: the place has a device, 255 are there; unavailable: too few devices to agree, nothing changed;
    ///         timeout: too few took the change to say whether the next opening finds it
    Result<void> add_device(const std::string& path);
    /// A device leaves. One that is here is emptied by the next `complete`, and gone when others have what it had; one that is
    /// away is given up: what it had is made again from k others. @param number as `devices` says
    /// @errors invalid_argument: there is none, or a collection needs as many devices as there are; else as add_device
    Result<void> remove_device(std::uint8_t number);
    /// Another device in the place of one: alone its fragments move. @errors as add_device and remove_device
    Result<void> replace_device(std::uint8_t number, const std::string& path);

    /// Makes missing fragments anew on devices that are here, and removes those that no row needs. In a fleet that changes,
    /// moves what is not where it shall be, while others read and write; then the change is over. @errors the first one met
    Result<void> complete();
    /// No completion runs any more when it returns, and none begins. To be called before the database is closed.
    void stop_completing();
    Result<SealedReport> report(const std::string& collection);
    /// Damages of the devices, and what they remember that the audit log does not.
    Result<std::vector<std::string>> verify();

    /// An entry of the audit log for rows that are about to be handed out. @param salts of the rows, empty for a scroll
    /// @errors those of a disk that takes no entries    @cost about 1 us
    Result<void> audit_read(codec::AuditKind kind, const store::Collection& collection, std::uint64_t count,
                            std::span<const sealed::RecordSalt> salts);
    /// Everything in the audit log is durable, signed, and cosigned by the devices that are here.
    /// @errors integrity: a device remembers another history
    Result<void> flush_audit();

    // ---- sealed_keys.cpp: of a store opened with must_exist, before or without `attach`; one thread at a time
    [[nodiscard]] const sealed::KeyTable& keys() const noexcept { return *keys_; }
    /// One more secret unlocks. @errors invalid_argument: 16 do; unavailable: fewer than k devices, nothing written
    Result<KeySpread> add_key(const sealed::UserSecret& secret);
    /// @param number as listed, from 1. @errors invalid_argument: there is none, or it is the last; unavailable
    Result<KeySpread> remove_key(std::size_t number);
    /// A new master key that these secrets alone unlock. A power cut leaves a store of the old secrets or of the new ones.
    /// @errors invalid_argument; unavailable: fewer than k devices, nothing written
    Result<KeySpread> rotate_keys(const std::vector<const sealed::UserSecret*>& secrets);
    /// The key of a collection's records goes, with the index that has their vectors: it comes back without them when the
    /// store is opened next. @cost that opening reads all changes of the other collections from the devices
    /// @errors collection_not_found; sealed: it was shredded before; invalid_argument: it was made by an older version;
    ///         unavailable: fewer than k devices, nothing written
    Result<KeySpread> shred(const std::string& collection);

    Result<void> before_append(std::span<store::GuardedFrame> frames) override;
    void after_append(std::span<const store::GuardedFrame> frames, bool is_written) override;
    void after_apply() override;

  private:
    /// Everything a collection's records are sealed with.
    struct Sealing {
        std::string name;
        std::uint32_t shard = 0;
        sealed::Plan plan;
        crypto::Key32 data_key;
        bool has_own_changes = false;  ///< changes of the index are sealed under a key from data_key, and are shredded with it
        [[nodiscard]] crypto::Key32 change_key() const;
    };
    using Batch = std::vector<std::vector<VaultItem>>;  ///< for each device
    struct Bytes {                                      ///< owns what the items of a batch point to
        std::deque<std::vector<std::uint8_t>> blobs;
    };

    explicit SealedStore(SealedOptions options) : options_(std::move(options)) {}

    // ---- sealed_open.cpp
    Result<void> create(ports::Files& files);
    [[nodiscard]] std::shared_ptr<Fleet> make_fleet(FleetRecord record, const Fleet* before = nullptr);
    struct Claims {  ///< what devices say whose they are
        std::vector<FleetRecord> fleets;
        std::vector<std::vector<std::uint8_t>> tables;  ///< of keys, in the same order
        bool is_damaged = false;                        ///< one of them cannot say it
        std::size_t away = 0;                           ///< places where no device is
    };
    Claims ask_claims();
    Result<FleetRecord> choose_store(const Claims& claims);
    Result<bool> has_devices();
    Result<void> open_existing(ports::Files& files);
    Result<void> adopt(ports::Files& files);
    Result<crypto::Key32> collect_file_key();
    Result<void> share_file_key();
    Result<void> save_keys();
    Result<void> place_devices(FleetRecord& record) const;
    [[nodiscard]] bool is_of_changed_fleet(const VaultDevice::Found& found, const std::string& place) const;
    void refresh_records();
    void refresh_share(std::size_t device);
    Result<void> write_fleet(const FleetRecord& record);
    Result<void> write_trust(ByteView bytes);
    Result<std::vector<std::uint8_t>> read_trust();
    [[nodiscard]] Error named(const Error& error);
    struct KeyShares;
    Result<KeyShares> collect_shares();
    [[nodiscard]] Result<sealed::KeyTable> unlock(const sealed::KeyCopies& copies) const;
    Result<void> bring_back_without_shredded(ports::Files& files);
    Result<void> remove_index();
    Result<KeySpread> spread_keys();
    Result<KeySpread> spread_and_record();
    KeySpread put_keys(ByteView key_bytes);

    // ---- sealed_fleet.cpp
    Result<FleetRecord> newest_of(FleetRecord known, const std::vector<FleetRecord>& others);
    Result<void> follow_newest_fleet();
    Result<void> stamp(FleetRecord& record);
    [[nodiscard]] std::size_t staying_here();
    void refresh_fleet(std::size_t device);
    FleetRecord changed_record();
    Result<DeviceEntry> prepare_device(const std::string& path, FleetRecord& record);
    Result<std::size_t> find_staying(const FleetRecord& record, std::uint8_t number);
    Result<void> check_leaves_enough(std::size_t staying);
    Result<void> check_can_leave(std::size_t device);
    Result<void> commit_fleet(FleetRecord record);
    void switch_fleet(std::shared_ptr<Fleet> next);
    Result<void> end_change();
    Result<void> distrust();
    void load_trust();
    void save_trust();
    [[nodiscard]] std::unique_ptr<AuditWitnesses> make_witnesses() const;
    [[nodiscard]] bool has_moved_ever() const { return fleet_->record().epoch != 0; }

    // ---- sealed_keys.cpp
    Result<void> lock_index();
    Result<void> check_can_spread();
    Result<void> check_here(std::size_t needed, const char* what_for);
    static Error shredded(const std::string& collection);
    [[nodiscard]] bool is_shredded(std::uint32_t shard) const { return !keys_->has(data_key_name(shard)); }
    static std::string data_key_name(std::uint32_t shard) { return "data/" + std::to_string(shard); }

    // ---- sealed_audit.cpp
    Result<void> start_audit(bool has_new_keys);
    void audit_writes(std::span<const store::GuardedFrame> frames);

    // ---- sealed_deltas.cpp
    Result<void> seal_delta(const store::GuardedFrame& frame, const Sealing& sealing, Batch& batch, Bytes& bytes);
    Result<std::optional<crypto::SecretBytes>> read_delta(std::uint32_t shard, std::uint64_t seq);
    struct ChangesDone {
        bool may_collect = false;  ///< no write that came to nothing, or is not known to have, can show up any more
        bool are_whole = false;    ///< every device that is here and stays has every change
    };
    ChangesDone complete_changes(const std::vector<bool>& is_here);
    Result<bool> replay_frame(std::uint32_t shard, ByteView body, std::uint32_t columns_crc);
    Result<void> check_replayed(std::span<const store::GuardedFrame> frames);
    Result<void> settle_replayed();
    [[nodiscard]] std::uint64_t last_seq_of(std::uint32_t shard) const;
    Result<bool> take_delta(std::uint32_t shard, std::uint64_t seq);
    Result<bool> take_drop(std::uint32_t shard);
    Result<void> take_changes(std::uint32_t shard);
    Result<crypto::Key32> delta_key(const sealed::DeltaName& name);
    /// The collection that the devices know by a number, shredded or not, as far as they say how it is sealed.
    struct Creation {
        std::string name, config;
        sealed::Plan plan;
        bool has_own_changes = false;
    };
    Result<std::optional<Creation>> read_creation(std::uint32_t shard);

    // ---- sealed_writes.cpp
    Result<void> put_group(std::span<store::GuardedFrame> frames);
    Result<void> seal_rows(const store::GuardedFrame& frame, const Sealing& sealing, Batch& batch, Bytes& bytes,
                           std::vector<std::vector<std::uint32_t>>& held_by);
    void forget_replaced(const store::GuardedFrame& frame);
    void remove_forgotten(bool is_all);

    // ---- sealed_reads.cpp
    struct Shares {
        std::vector<std::uint8_t> xs;
        std::vector<std::vector<std::uint8_t>> shares;
        std::vector<std::pair<std::uint32_t, FragmentId>> damaged;  ///< device and fragment
    };
    struct Gathering;
    std::vector<Shares> gather(const Sealing& sealing, std::span<const Row> rows);
    [[nodiscard]] bool are_all_complete();
    void take_round(const Sealing& sealing, std::span<const Row> rows, Gathering& plan, Fleet::Round& round,
                    std::vector<Shares>& out);
    /// What devices have and what they shall have, each device's ids sorted: looked up without asking it again.
    struct Inventory {
        std::vector<bool> present;
        std::vector<std::vector<FragmentId>> here, needed;
        std::vector<std::vector<FragmentId>> moved;  ///< here, and also where they shall be
        bool is_short = false;                       ///< a device that is here did not take what it lacks
        bool is_pending = false;                     ///< something is not where it shall be, and could be
        std::uint64_t records_left = 0;
        [[nodiscard]] bool has(std::size_t device, const FragmentId& id) const {
            return std::binary_search(here[device].begin(), here[device].end(), id);
        }
        /// A device that has it.
        [[nodiscard]] std::optional<std::uint32_t> source_of(const FragmentId& id) const {
            for (std::uint32_t device = 0; device < here.size(); ++device) {
                if (has(device, id)) return device;
            }
            return std::nullopt;
        }
    };
    Inventory take_inventory();
    /// A fragment that its holder lacks.
    struct Lacking {
        std::uint32_t device = 0;
        std::uint8_t index = 0;
        std::optional<std::uint32_t> source;  ///< a device that is here and has it
    };
    std::vector<Lacking> lacking_of(const sealed::RecordSealer& sealer, const Sealing& sealing, const Row& row,
                                    Inventory& inventory) const;
    Result<void> put_lacking(const Sealing& sealing, std::span<const Row> rows, const std::vector<std::vector<Lacking>>& places,
                             Inventory& inventory);
    [[nodiscard]] bool is_anywhere(std::uint32_t holder, const FragmentId& id);
    void ask_everybody(const Sealing& sealing, std::span<const Row> rows, std::vector<Shares>& out);
    void check_moved(const Batch& batch, const std::vector<bool>& has_it);
    Result<void> complete_pass(Inventory& inventory);
    void collect(Inventory& inventory, bool may_collect);
    void complete_soon();
    void move_rows();
    Result<void> complete_rows(const Sealing& sealing, std::span<const Row> rows, Inventory& inventory);
    Result<void> each_row(const store::Collection& collection, const std::function<Result<void>(std::span<const Row>)>& use);
    void discard(const std::vector<Shares>& gathered);
    [[nodiscard]] std::vector<std::uint32_t> holders(const sealed::RecordSealer& sealer, const Sealing& sealing,
                                                     const sealed::RecordName& name) const;
    static sealed::RecordName name_of(const Sealing& sealing, const Row& row) {
        return {sealing.name, row.id, row.version, row.salt};
    }
    Result<std::shared_ptr<const Sealing>> sealing_of(std::uint32_t shard);
    Result<std::shared_ptr<const Sealing>> make_sealing(const store::Frame& frame);
    Result<std::shared_ptr<const Sealing>> sealing_for_drop(std::uint32_t shard);
    Result<crypto::AesCtrStream> fresh_stream();

    SealedOptions options_;
    std::unique_ptr<ports::Lock> lock_;
    std::unique_ptr<DevicePlaces> places_;   ///< lives longer than the fleet
    mutable std::shared_mutex fleet_mutex_;  ///< guards fleet_; taken after completing_, whose holder may read without it
    std::shared_ptr<Fleet> fleet_;
    std::optional<sealed::KeyTable> keys_;
    std::shared_ptr<AuditLog> audit_;  ///< closed before the fleet goes
    crypto::Key32 file_key_, name_key_, index_key_;
    store::Database* database_ = nullptr;
    bool is_replaying_ = false;
    struct Replayed {
        std::uint32_t shard = 0;
        std::uint64_t seq = 0;
        std::size_t devices = 0;  ///< that had it
        bool has_later = false;
    };
    Replayed replayed_;             ///< the change that is replayed
    std::size_t read_devices_ = 0;  ///< that had the change read last
    bool is_unreadable_ = false;    ///< why a replayed change was refused
    bool is_attached_ = false;      ///< the database has all changes that count: what no row needs may go
    std::mutex mutex_;              ///< guards what follows
    std::map<std::uint32_t, std::shared_ptr<const Sealing>> sealings_;
    std::map<std::string, sealed::Plan> wanted_plans_;
    bool is_incomplete_ = false;
    RebalanceReport rebalance_;
    std::vector<std::uint8_t> saved_trust_;  ///< as the directory has it
    bool has_unknown_ = false;               ///< a write of unknown outcome may be on the devices: its fragments stay
    std::multiset<std::uint64_t> pins_;      ///< the epochs in which they were made
    std::uint64_t epoch_ = 0;                ///< counts groups of frames
    bool is_writing_ = false;                ///< the committing thread holds the next
    std::atomic<bool> is_stopped_{false};
    std::mutex moving_;      ///< one completion at a time, also while it lets others write; taken before the next
    std::mutex completing_;  ///< one completion at a time, none beside a write; guards what follows
    std::vector<std::vector<FragmentId>> undo_;
    /// Fragments of rows that a group replaced.
    struct Forgotten {
        std::uint64_t epoch = 0;
        std::vector<std::vector<FragmentId>> ids;
        std::size_t count = 0;
    };
    std::deque<Forgotten> forgotten_;
};

}  // namespace dvesp::node
