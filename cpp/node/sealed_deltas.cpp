/// node/sealed_deltas.cpp - changes of the index on their way to the devices, and back after a restore or a crash.
#include <algorithm>
#include <cstring>

#include "codec/byte_io.hpp"
#include "node/change_shelf.hpp"
#include "node/sealed_store.hpp"
#include "store/frame_maker.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint64_t drop_seq = ~std::uint64_t{0};  ///< of a drop: found without reading, and readable after a shredding
constexpr std::string_view change_key_label = "dvesp/change-key/1";
enum class Change : std::uint8_t { create = 1, drop = 2, frame = 3 };

std::vector<std::uint8_t> encode_change(const store::GuardedFrame& guarded, const sealed::Plan& plan) {
    const codec::FrameView& view = guarded.frame->view;
    codec::Writer out;
    if (view.head.kind == codec::FrameKind::create_collection) {
        out.number(static_cast<std::uint8_t>(Change::create));
        out.text(view.id(0));
        out.text(text_of(view.metadata(0)));
        out.number(plan.k);
        out.number(plan.n);
        out.number(std::uint8_t{1});  // its changes have a key of their own
    } else if (view.head.kind == codec::FrameKind::drop_collection) {
        out.number(static_cast<std::uint8_t>(Change::drop));
        out.text(view.id(0));
    } else {
        out.number(static_cast<std::uint8_t>(Change::frame));
        out.number(guarded.frame->columns_crc);
        const auto body =
            guarded.frame->buffer.bytes().subspan(codec::envelope_bytes, view.layout.padded - codec::envelope_bytes);
        out.raw(body);
    }
    return std::move(out.bytes());
}

}  // namespace

crypto::Key32 SealedStore::Sealing::change_key() const {
    return crypto::HmacKey(data_key.bytes()).expand32({bytes_of(change_key_label)});
}

/// Creations and drops are readable as long as the store is; everything between them goes with the collection's key.
Result<crypto::Key32> SealedStore::delta_key(const sealed::DeltaName& name) {
    if (name.seq == 0 || name.seq == drop_seq) return index_key_.clone();
    DVESP_ASSIGN(const auto sealing, sealing_of(name.shard));
    return sealing->has_own_changes ? sealing->change_key() : index_key_.clone();
}

Result<void> SealedStore::seal_delta(const store::GuardedFrame& guarded, const Sealing& sealing, Batch& batch, Bytes& bytes) {
    const std::vector<std::uint8_t> change = encode_change(guarded, sealing.plan);
    const auto parts = static_cast<std::uint16_t>(change.size() / sealed::delta_part_bytes + 1);
    if (parts > change_parts_max) return fail(ErrorCode::invalid_argument, "the batch is too large to be sealed; split it");
    sealed::DeltaName name{sealing.shard, guarded.shard_seq, 0, 0};
    // A frame of a catalog has no number of its own: a creation is the first of its collection, a drop the last.
    const bool is_drop = guarded.frame->view.head.kind == codec::FrameKind::drop_collection;
    if (is_drop) name.seq = sealing.has_own_changes ? drop_seq : last_seq_of(sealing.shard) + 1;
    const bool is_open = name.seq == 0 || name.seq == drop_seq || !sealing.has_own_changes;
    const crypto::Key32 key = is_open ? index_key_.clone() : sealing.change_key();
    sealed::DeltaSealer sealer(key, name_key_);
    const FleetRecord& fleet = fleet_->record();
    const sealed::Plan plan{fleet.plan.k, fleet.number_highest()};
    const auto is_used = [&] {
        std::vector<FragmentId> ids;
        for (std::size_t device = 0; device < fleet_->size(); ++device) ids.push_back(sealer.id_of(name, fleet.number(device)));
        return fleet_->any_contains(ids, *options_.runner);
    };
    while (is_used()) {
        if (++name.attempt == change_attempts_max)
            return fail(ErrorCode::unavailable, "too many writes in a row came to nothing; reopen");
    }
    const std::uint64_t stamp = options_.clock->wall_ms();
    DVESP_ASSIGN(crypto::AesCtrStream stream, fresh_stream());
    for (name.part = 0; name.part < parts; ++name.part) {
        const std::size_t first = std::size_t{name.part} * sealed::delta_part_bytes;
        const ByteView part = ByteView(change).subspan(first, std::min(sealed::delta_part_bytes, change.size() - first));
        std::vector<std::vector<std::uint8_t>> fragments;
        DVESP_TRY(sealer.seal(name, plan, parts, stamp, part, stream, fragments));
        for (std::size_t device = 0; device < fleet_->size(); ++device) {
            if (fleet_->is_leaving(device)) continue;
            const std::uint8_t number = fleet.number(device);
            bytes.blobs.push_back(std::move(fragments[number - 1U]));
            batch[device].push_back({sealer.id_of(name, number), change_kind, ByteView(bytes.blobs.back())});
        }
    }
    return {};
}

std::uint64_t SealedStore::last_seq_of(std::uint32_t shard) const {
    const auto collection = database_ == nullptr ? nullptr : database_->collection_of(shard);
    return collection ? collection->last_shard_seq() : 0;
}

/// Nothing when the devices know no such change that counts.
Result<std::optional<crypto::SecretBytes>> SealedStore::read_delta(std::uint32_t shard, std::uint64_t seq) {
    DVESP_ASSIGN(const crypto::Key32 key, delta_key({shard, seq, 0, 0}));
    sealed::DeltaSealer sealer(key, name_key_);
    const bool is_taken_up = is_replaying_ && (seq != 0 || shard >= database_->next_shard());
    DVESP_ASSIGN(auto found, ChangeShelf(*fleet_, *options_.runner, sealer).find(shard, seq, is_taken_up, false));
    if (!found) return std::optional<crypto::SecretBytes>();
    if (is_replaying_) read_devices_ = found->devices;
    return std::optional(std::move(found->payload));
}

/// Changes that devices which are here lack, as complete_rows does for fragments. Of a collection that is gone only its
/// creation and its drop are read again, of a shredded one nothing else can be.
SealedStore::ChangesDone SealedStore::complete_changes(const std::vector<bool>& is_here) {
    ChangeLists lists(fleet_->size());
    options_.runner->run(fleet_->size(), [&](std::size_t device) {
        if (!is_here[device]) return;
        lists[device] = fleet_->list(device, change_kind);
        std::sort(lists[device].begin(), lists[device].end());
    });
    bool are_all_here = true, is_clean = true, are_whole = true;
    for (std::size_t device = 0; device < is_here.size(); ++device)
        are_all_here = are_all_here && (is_here[device] || fleet_->is_leaving(device));
    const auto with_shelf = [&](std::uint32_t shard, std::uint64_t seq, const auto& use) {
        const auto key = seq == 0 ? Result<crypto::Key32>(index_key_.clone()) : delta_key({shard, seq, 0, 0});
        if (!key.ok()) return;
        sealed::DeltaSealer sealer(*key, name_key_);
        use(ChangeShelf(*fleet_, *options_.runner, sealer));
    };
    const auto complete_one = [&](std::uint32_t shard, std::uint64_t seq) {
        bool is_whole = false;
        with_shelf(shard, seq, [&](ChangeShelf shelf) { is_whole = shelf.complete(shard, seq, is_here, lists); });
        are_whole = are_whole && is_whole;
    };
    const auto drop_one = [&](std::uint32_t shard, std::uint64_t seq) {
        if (!are_all_here) return;
        with_shelf(shard, seq, [&](ChangeShelf shelf) { is_clean = shelf.drop(shard, seq, lists) && is_clean; });
    };
    for (std::uint32_t shard = 1; shard < database_->next_shard(); ++shard) {
        complete_one(shard, 0);
        if (database_->collection_of(shard) == nullptr) {
            complete_one(shard, drop_seq);
        } else if (!is_shredded(shard)) {
            const std::uint64_t last = last_seq_of(shard);
            for (std::uint64_t seq = 1; seq <= last; ++seq) complete_one(shard, seq);
            drop_one(shard, last + 1);
            drop_one(shard, drop_seq);
        }
    }
    drop_one(database_->next_shard(), 0);
    const FleetRecord& fleet = fleet_->record();
    const std::scoped_lock lock(mutex_);
    if (are_all_here && is_clean) has_unknown_ = false;
    // With w = k devices that cannot be asked are too few to keep a change that counts.
    const bool is_small = fleet.needed == fleet.plan.k && fleet.needed_to_judge() == fleet.plan.k;
    return {(is_small && !has_unknown_) || (are_all_here && is_clean), are_whole};
}

/// @return false: it came to nothing, for a record of it is on too few devices
Result<bool> SealedStore::replay_frame(std::uint32_t shard, ByteView body, std::uint32_t columns_crc) {
    AlignedBuffer buffer(codec::envelope_bytes + body.size());
    std::memcpy(buffer.data() + codec::envelope_bytes, body.data(), body.size());
    DVESP_ASSIGN(const codec::FrameView view, codec::adopt_body(buffer.bytes(), columns_crc));
    const auto collection = database_->collection_of(shard);
    if (!collection) return fail(ErrorCode::integrity, "a part of the index is of a collection that is not there");
    const store::BatchKey key{view.head.batch_id, view.head.salt};
    std::vector<std::string_view> ids;
    std::vector<ByteView> metadata;
    for (std::uint32_t row = 0; row < view.head.count; ++row) {
        ids.push_back(view.id(row));
        metadata.push_back(view.metadata(row));
    }
    if (view.head.kind == codec::FrameKind::remove) {
        store::DeleteRequest request;
        request.collection = collection->name();
        request.ids = ids;
        request.has_ids = true;
        request.key = &key;
        DVESP_TRY(database_->remove(request));
        return true;
    }
    store::WriteRequest request;
    request.collection = collection->name();
    request.mode = store::WriteMode::upsert;
    request.vectors = view.vector(0);
    request.count = view.head.count;
    request.dimension = view.head.dimension;
    request.ids = ids;
    request.metadata = metadata;
    request.key = &key;
    is_unreadable_ = false;
    const auto written = database_->write(request);
    if (!written.ok() && is_unreadable_) return false;
    if (!written.ok()) return written.error();
    return true;
}

/// A change of rows counts when each of them does: where records lie on some of the devices, a process that died may have
/// left the change on enough of them, and a record on too few. Seen only while the change is on few devices itself.
/// One that has a later one behind it was acknowledged; its fragments may be gone, for others replaced them.
Result<void> SealedStore::check_replayed(std::span<const store::GuardedFrame> frames) {
    if (replayed_.has_later) return {};
    for (const store::GuardedFrame& guarded : frames) {
        const codec::FrameView& view = guarded.frame->view;
        if (view.head.kind != codec::FrameKind::put) continue;
        DVESP_ASSIGN(const auto sealing, sealing_of(view.head.shard));
        const bool is_sure = replayed_.devices + sealing->plan.n >= fleet_->size() + sealing->plan.k;  // k of any n have it
        if (is_sure && !fleet_->record().is_changing()) continue;
        const std::vector<bool> is_here = fleet_->present();
        const sealed::RecordSealer sealer(sealing->data_key, name_key_);
        for (std::uint32_t row = 0; row < view.head.count; ++row) {
            sealed::RecordName name{sealing->name, view.id(row), view.version(row), {}};
            std::memcpy(name.salt.data(), guarded.frame->leaves()[row].data(), name.salt.size());
            const auto holding = holders(sealer, *sealing, name);
            std::size_t has_it = 0, away = 0;
            for (std::size_t at = 0; at < holding.size(); ++at) {
                const FragmentId id = sealer.id_of(name, static_cast<std::uint8_t>(at + 1));
                away += is_here[holding[at]] ? 0 : 1;
                has_it += is_anywhere(holding[at], id) ? 1 : 0;
            }
            if (has_it >= sealing->plan.k) continue;
            is_unreadable_ = has_it + away < sealing->plan.k;
            return fail(ErrorCode::unavailable, "a record of a change of the index is on too few of the devices that are here");
        }
    }
    return {};
}

/// What is taken up is brought to as many devices as a change needs: whoever opens next, without the log, must find it.
Result<void> SealedStore::settle_replayed() {
    if (replayed_.devices >= fleet_->record().needed && !fleet_->record().is_changing()) return {};
    DVESP_ASSIGN(const crypto::Key32 key, delta_key({replayed_.shard, replayed_.seq, 0, 0}));
    sealed::DeltaSealer sealer(key, name_key_);
    DVESP_ASSIGN(const auto found,
                 ChangeShelf(*fleet_, *options_.runner, sealer).find(replayed_.shard, replayed_.seq, true, true));
    if (found) return {};
    return fail(ErrorCode::unavailable, "a change of the index went away while it was read; open again");
}

/// @return false: the devices know no such change
Result<bool> SealedStore::take_delta(std::uint32_t shard, std::uint64_t seq) {
    DVESP_ASSIGN(const auto change, read_delta(shard, seq));
    if (!change) return false;
    replayed_ = {shard, seq, read_devices_, false};
    codec::Reader in(change->bytes());
    const auto kind = static_cast<Change>(in.number<std::uint8_t>());
    if (kind == Change::frame) {
        const auto crc = in.number<std::uint32_t>();
        if (replayed_.devices < fleet_->size() || fleet_->record().is_changing()) {
            DVESP_ASSIGN(const auto later, read_delta(shard, seq + 1));
            replayed_.has_later = later.has_value();
        }
        return replay_frame(shard, in.view(in.left()), crc);
    }
    if (kind == Change::drop) {
        DVESP_TRY(database_->drop_collection(in.text(codec::collection_name_bytes_max)));
        return true;
    }
    DVESP_ASSIGN(const auto creation, read_creation(shard));
    if (kind != Change::create || !creation) return fail(ErrorCode::integrity, "a part of the index is malformed");
    DVESP_ASSIGN(const store::CollectionConfig config, store::parse_config(bytes_of(creation->config)));
    DVESP_TRY(database_->create_collection(creation->name, config, false));
    return true;
}

/// @return whether the collection is gone, or was never anything but dropped
Result<bool> SealedStore::take_drop(std::uint32_t shard) {
    DVESP_ASSIGN(const auto creation, read_creation(shard));
    if (!creation || !creation->has_own_changes) return false;
    return take_delta(shard, drop_seq);
}

/// Changes of a collection that the database lacks. Of a shredded one nothing can be read but that it was dropped.
Result<void> SealedStore::take_changes(std::uint32_t shard) {
    auto collection = database_->collection_of(shard);
    if (!collection) return {};
    DVESP_ASSIGN(const bool is_dropped, take_drop(shard));
    if (is_dropped) return {};
    if (is_shredded(shard)) {
        collection->set_damage(shredded(collection->name()).message, ErrorCode::sealed);
        return {};
    }
    for (; collection; collection = database_->collection_of(shard)) {
        const std::uint64_t seq = collection->last_shard_seq() + 1;
        DVESP_ASSIGN(const bool is_taken, take_delta(shard, seq));
        if (is_taken) continue;
        DVESP_ASSIGN(const auto later, read_delta(shard, seq + 1));
        if (later) return fail(ErrorCode::integrity, "the devices lack a part of the index: a change is missing");
        break;
    }
    return {};
}

Result<void> SealedStore::attach(store::Database& database) {
    database_ = &database;
    is_replaying_ = true;
    const auto take = [this]() -> Result<void> {
        for (std::uint32_t shard = 1;; ++shard) {
            if (shard >= database_->next_shard()) {
                DVESP_ASSIGN(const bool is_made, take_delta(shard, 0));
                if (!is_made) {
                    DVESP_ASSIGN(const auto later, read_delta(shard + 1, 0));
                    if (later)
                        return fail(ErrorCode::integrity, "the devices lack a part of the index: a collection was never made");
                    return {};
                }
            }
            DVESP_TRY(take_changes(shard));
        }
    };
    const auto taken = take();
    is_replaying_ = false;
    DVESP_TRY(taken);
    is_attached_ = true;
    if (!fleet_->record().is_changing()) return complete();
    complete_soon();  // what a change of the fleet moves may take long
    return {};
}

Result<std::shared_ptr<const SealedStore::Sealing>> SealedStore::sealing_of(std::uint32_t shard) {
    {
        const std::scoped_lock lock(mutex_);
        if (const auto found = sealings_.find(shard); found != sealings_.end()) return found->second;
    }
    DVESP_ASSIGN(const auto creation, read_creation(shard));
    if (!creation) return fail(ErrorCode::integrity, "the devices do not know how the collection is sealed");
    if (is_shredded(shard)) return shredded(creation->name);
    auto sealing = std::make_shared<Sealing>();
    sealing->shard = shard;
    sealing->name = creation->name;
    sealing->plan = creation->plan;
    sealing->has_own_changes = creation->has_own_changes;
    DVESP_ASSIGN(sealing->data_key, keys_->key(data_key_name(shard)));
    const std::scoped_lock lock(mutex_);
    sealings_[shard] = sealing;
    return std::shared_ptr<const Sealing>(sealing);
}

}  // namespace dvesp::node
