/// sealed/key_choice.cpp - which of many tables of keys is the newest, and whether a secret still unlocks it.
/// Design: docs/decisions/017. Devices return with old tables, and may lie: claims are sorted first and proved then.
#include <algorithm>
#include <tuple>

#include "base/assert.hpp"
#include "base/sha256.hpp"
#include "crypto/hkdf.hpp"
#include "sealed/key_table.hpp"

namespace dvesp::sealed {
namespace {

constexpr std::string_view derivation_salt = "dvesp/v1";
constexpr std::size_t stretches_max = 64;  ///< of a passphrase in one opening: a device that lies must not keep us for hours

}  // namespace

struct KeyTable::Candidate {
    KeyTable table;
    Hash hash{};
    bool is_local = false;
    std::size_t copies = 1;
};

/// What the key is derived from is already secret and uniform; a passphrase is stretched.
Result<crypto::Key32> KeyTable::encryption_key(const UserSecret& secret, ByteView salt, const crypto::ScryptCost& cost) {
    if (secret.kind == SecretKind::passphrase) return crypto::scrypt(secret.bytes.bytes(), salt, cost);
    if (secret.bytes.size() != crypto::key_bytes)
        return fail(ErrorCode::invalid_argument, "keyring: the key must have 32 bytes");
    const crypto::Key32 extracted = crypto::hkdf_extract(bytes_of(derivation_salt), secret.bytes.bytes());
    const std::string_view info = secret.kind == SecretKind::wallet_seed ? "dvesp/master-key/seed" : "dvesp/master-key/raw";
    return crypto::HmacKey(extracted.bytes()).expand32({bytes_of(info), salt});
}

/// Those that can be read, each once, what claims to be newest first.
Result<std::vector<KeyTable::Candidate>> KeyTable::parse_all(const KeyCopies& copies) {
    std::vector<Candidate> out;
    const auto take = [&](ByteView bytes, bool is_local) {
        const Hash hash = sha256(bytes);
        const auto same = std::find_if(out.begin(), out.end(), [&](const Candidate& known) { return known.hash == hash; });
        if (same != out.end()) {
            ++same->copies;
            return;
        }
        auto parsed = parse(bytes);
        if (parsed.ok() && parsed->store_id_ == copies.store_id) out.push_back({std::move(*parsed), hash, is_local, 1});
    };
    if (!copies.local.empty()) take(copies.local, true);
    for (const ByteView bytes : copies.devices) take(bytes, false);
    if (out.empty()) return fail(ErrorCode::corruption, "the table of keys is damaged");
    std::stable_sort(out.begin(), out.end(), [](const Candidate& a, const Candidate& b) {
        return std::pair(a.table.epoch_, a.table.revision_) > std::pair(b.table.epoch_, b.table.revision_);
    });
    return out;
}

/// The newest genuine table of an epoch whose master key is known. @param salt of the slot that gave it
Result<KeyTable> KeyTable::settle(std::vector<Candidate>& all, std::uint32_t epoch, const crypto::Key32& master,
                                  const std::array<std::uint8_t, 16>* salt) {
    const auto rank = [](const Candidate& one) {
        const std::size_t names = one.table.revision_ == 0 ? one.table.names_.size() : 0;  // format 1 counts nothing else
        return std::tuple(one.table.revision_, names, one.is_local, one.copies);
    };
    Candidate* best = nullptr;
    for (Candidate& one : all) {
        if (one.table.epoch_ != epoch) continue;
        one.table.master_ = master.clone();
        if (one.table.is_genuine() && (best == nullptr || rank(one) > rank(*best))) best = &one;
    }
    DVESP_ASSERT(best != nullptr);
    for (const Candidate& one : all) {
        const bool is_later = one.table.epoch_ > epoch && one.table.revision_ > best->table.revision_;
        if (is_later && one.table.retires(epoch, master)) {
            return fail(ErrorCode::sealed, "keyring: the key was replaced by a rotation (epoch " + std::to_string(epoch) +
                                               " is over, " + std::to_string(one.table.epoch_) +
                                               " has begun); give a secret of the new epoch");
        }
        if (one.is_local && one.table.epoch_ < epoch && one.table.revision_ >= best->table.revision_) {
            return fail(ErrorCode::sealed,
                        "keyring: a rotation that never ended was overtaken by later changes; "
                        "open the store with the secret of before it");
        }
    }
    if (salt != nullptr) {
        const auto& slots = best->table.slots_;
        const auto used = std::find_if(slots.begin(), slots.end(), [&](const Slot& slot) { return slot.salt == *salt; });
        if (used == slots.end()) {
            return fail(ErrorCode::sealed,
                        "keyring: the key was removed from this store with `dvesp keys remove`; "
                        "give one that still unlocks it");
        }
        best->table.used_slot_ = static_cast<std::size_t>(used - slots.begin());
    }
    return std::move(best->table);
}

Result<KeyTable> KeyTable::newest(const KeyCopies& copies, const UserSecret& secret) {
    DVESP_ASSIGN(std::vector<Candidate> all, parse_all(copies));
    struct Stretched {
        std::array<std::uint8_t, 16> salt{};
        crypto::ScryptCost cost;
        crypto::Key32 key;
    };
    std::vector<Stretched> known;  // tables share their slots, and a passphrase is slow on purpose
    for (Candidate& one : all) {
        for (const Slot& slot : one.table.slots_) {
            if (slot.kind != secret.kind) continue;
            auto found = std::find_if(known.begin(), known.end(), [&](const Stretched& before) {
                return before.salt == slot.salt && before.cost.n == slot.cost.n && before.cost.r == slot.cost.r &&
                       before.cost.p == slot.cost.p;
            });
            if (found == known.end()) {
                if (known.size() == stretches_max) break;
                auto key = encryption_key(secret, slot.salt, slot.cost);
                if (!key.ok()) continue;
                known.push_back({slot.salt, slot.cost, std::move(*key)});
                found = known.end() - 1;
            }
            auto master = one.table.unwrap(found->key, slot.master, "master");
            if (!master.ok()) continue;
            one.table.master_ = master->clone();
            if (!one.table.is_genuine()) continue;
            const std::array<std::uint8_t, 16> salt = slot.salt;
            return settle(all, one.table.epoch_, *master, &salt);
        }
    }
    return fail(ErrorCode::sealed,
                "keyring: the key does not open this store; give the passphrase, wallet or key file that it was "
                "made with, or one that was added with `dvesp keys add`");
}

Result<KeyTable> KeyTable::newest(const KeyCopies& copies, const crypto::Key32& master) {
    DVESP_ASSIGN(std::vector<Candidate> all, parse_all(copies));
    for (Candidate& one : all) {
        one.table.master_ = master.clone();
        if (one.table.is_genuine()) return settle(all, one.table.epoch_, master, nullptr);
    }
    for (const Candidate& one : all) {
        for (const auto& [epoch, proof] : one.table.retired_) {
            if (!one.table.retires(epoch, master)) continue;
            return fail(ErrorCode::sealed, "recovery: the words are of epoch " + std::to_string(epoch) +
                                               ", which a rotation ended; use the words that were made after it");
        }
    }
    return fail(ErrorCode::sealed, "recovery: the words are not of this store's master key");
}

}  // namespace dvesp::sealed
