/// sealed/key_table.cpp - wrapping, unwrapping, the bytes of the table.
#include "sealed/key_table.hpp"

#include "base/sha256.hpp"
#include "codec/byte_io.hpp"
#include "crypto/hkdf.hpp"

namespace dvesp::sealed {
namespace {

constexpr std::array<std::uint8_t, 4> magic = {'D', 'V', 'K', 'T'};
constexpr std::uint8_t format = 1;
constexpr std::string_view derivation_salt = "dvesp/v1";

/// What the KEK is derived from is already secret and uniform; a passphrase is stretched.
Result<crypto::Key32> key_encryption_key(const UserSecret& secret, ByteView salt, const crypto::ScryptCost& cost) {
    if (secret.kind == SecretKind::passphrase) return crypto::scrypt(secret.bytes.bytes(), salt, cost);
    if (secret.bytes.size() != crypto::key_bytes)
        return fail(ErrorCode::invalid_argument, "keyring: the key must have 32 bytes");
    const crypto::Key32 extracted = crypto::hkdf_extract(bytes_of(derivation_salt), secret.bytes.bytes());
    const std::string_view info = secret.kind == SecretKind::wallet_seed ? "dvesp/master-key/seed" : "dvesp/master-key/raw";
    return crypto::HmacKey(extracted.bytes()).expand32({bytes_of(info), salt});
}

Error malformed() { return fail(ErrorCode::corruption, "the table of keys is damaged"); }

}  // namespace

std::string KeyTable::bound_to(const std::string& what) const {
    codec::Writer out;
    out.raw(magic);
    out.number(format);
    out.raw(store_id_);
    out.number(epoch_);
    out.text(what);
    return std::string(text_of(out.bytes()));
}

KeyTable::Wrapped KeyTable::wrap(const crypto::Key32& by, const crypto::Key32& key, const std::string& name,
                                 RandomSource& random) const {
    Wrapped out;
    random.fill(out.nonce);
    crypto::Aes256Gcm gcm;
    gcm.seal(by, out.nonce, bytes_of(bound_to(name)), key.bytes(), out.cipher, out.tag);
    return out;
}

Result<crypto::Key32> KeyTable::unwrap(const crypto::Key32& by, const Wrapped& wrapped, const std::string& name) const {
    crypto::Key32 key;
    crypto::Aes256Gcm gcm;
    DVESP_TRY(gcm.open(by, wrapped.nonce, bytes_of(bound_to(name)), wrapped.cipher, wrapped.tag, key.bytes()));
    return key;
}

Result<KeyTable::Slot> KeyTable::make_slot(const UserSecret& secret, RandomSource& random) const {
    Slot slot;
    slot.kind = secret.kind;
    random.fill(slot.salt);
    DVESP_ASSIGN(const crypto::Key32 by, key_encryption_key(secret, slot.salt, slot.cost));
    slot.master = wrap(by, master_, "master", random);
    return slot;
}

Result<crypto::Key32> KeyTable::unlock(const Slot& slot, const UserSecret& secret) const {
    DVESP_ASSIGN(const crypto::Key32 by, key_encryption_key(secret, slot.salt, slot.cost));
    return unwrap(by, slot.master, "master");
}

Result<KeyTable> KeyTable::create(const UserSecret& secret, RandomSource& random) {
    KeyTable table;
    random.fill(table.store_id_);
    random.fill(table.master_.bytes());
    DVESP_ASSIGN(Slot slot, table.make_slot(secret, random));
    table.slots_.push_back(slot);
    table.set_opener(slot);
    return table;
}

void KeyTable::set_opener(const Slot& slot) { std::copy_n(slot.salt.begin(), opened_by_.size(), opened_by_.begin()); }

Result<KeyTable> KeyTable::open(ByteView bytes, const UserSecret& secret) {
    DVESP_ASSIGN(KeyTable table, parse(bytes));
    for (const Slot& slot : table.slots_) {
        if (slot.kind != secret.kind) continue;
        auto master = table.unlock(slot, secret);
        if (!master.ok()) continue;
        table.master_ = std::move(*master);
        table.set_opener(slot);
        return table;
    }
    return fail(ErrorCode::sealed,
                "keyring: the key does not open this store; give the passphrase, wallet or key file that it was "
                "made with, or one that was added with `dvesp keys add`");
}

Result<void> KeyTable::add(const UserSecret& secret, RandomSource& random) {
    if (slots_.size() >= slots_max) return fail(ErrorCode::invalid_argument, "keyring: there are 16 ways to unlock already");
    DVESP_ASSIGN(Slot slot, make_slot(secret, random));
    slots_.push_back(slot);
    return {};
}

Result<void> KeyTable::rotate(const std::vector<const UserSecret*>& secrets, RandomSource& random) {
    if (secrets.empty()) return fail(ErrorCode::invalid_argument, "keyring: give at least one secret that unlocks from now on");
    for (const UserSecret* secret : secrets) {
        bool is_known = false;
        for (const Slot& slot : slots_) is_known = is_known || (slot.kind == secret->kind && unlock(slot, *secret).ok());
        if (!is_known) return fail(ErrorCode::sealed, "keyring: one of the secrets does not open this store");
    }
    std::map<std::string, crypto::Key32> keys;
    for (const auto& [name, wrapped] : names_) {
        DVESP_ASSIGN(keys[name], key(name));
    }
    ++epoch_;
    random.fill(master_.bytes());
    slots_.clear();
    for (const UserSecret* secret : secrets) {
        DVESP_ASSIGN(Slot slot, make_slot(*secret, random));
        slots_.push_back(slot);
    }
    for (const auto& [name, value] : keys) names_[name] = wrap(derive("wrap"), value, name, random);
    return {};
}

crypto::Key32 KeyTable::derive(const std::string& purpose) const {
    return crypto::HmacKey(master_.bytes()).expand32({bytes_of("dvesp/derive/1"), bytes_of(bound_to(purpose))});
}

Result<crypto::Key32> KeyTable::need(const std::string& name, RandomSource& random) {
    if (names_.contains(name)) return key(name);
    if (names_.size() >= names_max || name.size() > name_bytes_max) {
        return fail(ErrorCode::invalid_argument, "keyring: too many keys");
    }
    crypto::Key32 fresh;
    random.fill(fresh.bytes());
    names_[name] = wrap(derive("wrap"), fresh, name, random);
    return fresh;
}

Result<crypto::Key32> KeyTable::key(const std::string& name) const {
    const auto found = names_.find(name);
    if (found == names_.end()) return fail(ErrorCode::sealed, "the key of '" + name + "' is gone: what it sealed stays sealed");
    auto key = unwrap(derive("wrap"), found->second, name);
    if (!key.ok()) return fail(ErrorCode::integrity, "the table of keys was changed: the key of '" + name + "' is not its own");
    return key;
}

std::vector<std::uint8_t> KeyTable::encode() const {
    codec::Writer out;
    const auto put = [&out](const Wrapped& wrapped) {
        out.raw(wrapped.nonce);
        out.raw(wrapped.cipher);
        out.raw(wrapped.tag);
    };
    out.raw(magic);
    out.number(format);
    out.raw(store_id_);
    out.number(epoch_);
    out.number(static_cast<std::uint32_t>(slots_.size()));
    for (const Slot& slot : slots_) {
        out.number(static_cast<std::uint8_t>(slot.kind));
        out.raw(slot.salt);
        out.number(slot.cost.n);
        out.number(slot.cost.r);
        out.number(slot.cost.p);
        put(slot.master);
    }
    out.number(static_cast<std::uint32_t>(names_.size()));
    for (const auto& [name, wrapped] : names_) {
        out.text(name);
        put(wrapped);
    }
    const Hash check = sha256(out.bytes());  // against damage; who changes bytes on purpose meets the tags
    out.raw(check);
    return std::move(out.bytes());
}

Result<KeyTable> KeyTable::parse(ByteView bytes) {
    if (bytes.size() < sizeof(Hash)) return malformed();
    const ByteView body = bytes.first(bytes.size() - sizeof(Hash));
    const Hash check = sha256(body);
    if (!std::equal(check.begin(), check.end(), bytes.end() - static_cast<std::ptrdiff_t>(sizeof(Hash)))) return malformed();
    codec::Reader in(body);
    const auto take = [&in] {
        Wrapped wrapped;
        wrapped.nonce = in.array<crypto::nonce_bytes>();
        wrapped.cipher = in.array<crypto::key_bytes>();
        wrapped.tag = in.array<crypto::tag_bytes>();
        return wrapped;
    };
    KeyTable table;
    if (in.array<4>() != magic || in.number<std::uint8_t>() != format) return malformed();
    table.store_id_ = in.array<16>();
    table.epoch_ = in.number<std::uint32_t>();
    const auto slots = in.number<std::uint32_t>();
    if (slots > slots_max) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < slots; ++at) {
        Slot slot;
        const auto kind = in.number<std::uint8_t>();
        if (kind < 1 || kind > 3) in.fail();
        slot.kind = static_cast<SecretKind>(kind);
        slot.salt = in.array<16>();
        slot.cost.n = in.number<std::uint64_t>();
        slot.cost.r = in.number<std::uint32_t>();
        slot.cost.p = in.number<std::uint32_t>();
        slot.master = take();
        table.slots_.push_back(slot);
    }
    const auto names = in.number<std::uint32_t>();
    if (names > names_max) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < names; ++at) {
        const std::string name = in.text(name_bytes_max);
        table.names_[name] = take();
    }
    if (!in.ok() || !in.at_end()) return malformed();
    return table;
}

}  // namespace dvesp::sealed
