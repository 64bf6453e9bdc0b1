/// sealed/key_table.cpp - wrapping, unwrapping, the bytes of the table.
#include "sealed/key_table.hpp"

#include <algorithm>

#include "base/sha256.hpp"
#include "codec/byte_io.hpp"
#include "crypto/hkdf.hpp"

namespace dvesp::sealed {
namespace {

constexpr std::array<std::uint8_t, 4> magic = {'D', 'V', 'K', 'T'};
constexpr std::uint8_t format = 2, first_format = 1;
constexpr std::uint8_t binding_format = 1;  // what is wrapped is bound to it in both
constexpr std::string_view mac_purpose = "table", retired_label = "dvesp/retired/1";

Error malformed() { return fail(ErrorCode::corruption, "the table of keys is damaged"); }

}  // namespace

std::string KeyTable::bound_to(const std::string& what) const {
    codec::Writer out;
    out.raw(magic);
    out.number(binding_format);
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
    DVESP_ASSIGN(const crypto::Key32 by, encryption_key(secret, slot.salt, slot.cost));
    slot.master = wrap(by, master_, "master", random);
    return slot;
}

Result<KeyTable> KeyTable::create(const UserSecret& secret, RandomSource& random) {
    KeyTable table;
    random.fill(table.store_id_);
    random.fill(table.master_.bytes());
    DVESP_ASSIGN(Slot slot, table.make_slot(secret, random));
    table.slots_.push_back(slot);
    table.used_slot_ = 0;
    return table;
}

std::array<std::uint8_t, 8> KeyTable::opened_by() const noexcept {
    std::array<std::uint8_t, 8> out{};
    if (used_slot_) std::copy_n(slots_[*used_slot_].salt.begin(), out.size(), out.begin());
    return out;
}

Result<KeyTable> KeyTable::open(ByteView bytes, const UserSecret& secret) {
    DVESP_ASSIGN(const KeyTable parsed, parse(bytes));
    return newest({parsed.store_id_, bytes, {}}, secret);
}

std::vector<SlotInfo> KeyTable::slots() const {
    std::vector<SlotInfo> out;
    for (std::size_t at = 0; at < slots_.size(); ++at) out.push_back({slots_[at].kind, used_slot_ == at});
    return out;
}

Result<void> KeyTable::add(const UserSecret& secret, RandomSource& random) {
    if (slots_.size() >= slots_max) return fail(ErrorCode::invalid_argument, "keyring: there are 16 ways to unlock already");
    DVESP_ASSIGN(Slot slot, make_slot(secret, random));
    slots_.push_back(slot);
    ++revision_;
    return {};
}

Result<void> KeyTable::remove(std::size_t index) {
    if (index >= slots_.size()) {
        return fail(ErrorCode::invalid_argument,
                    "keyring: there is no slot " + std::to_string(index + 1) + ", only 1 to " + std::to_string(slots_.size()));
    }
    if (slots_.size() == 1)
        return fail(ErrorCode::invalid_argument, "keyring: this is the last slot: nobody could open the store; add one first");
    slots_.erase(slots_.begin() + static_cast<std::ptrdiff_t>(index));
    if (used_slot_ == index) used_slot_.reset();
    if (used_slot_ && *used_slot_ > index) --*used_slot_;
    ++revision_;
    return {};
}

Result<void> KeyTable::rotate(const std::vector<const UserSecret*>& secrets, RandomSource& random) {
    if (secrets.empty()) return fail(ErrorCode::invalid_argument, "keyring: give at least one secret that unlocks from now on");
    if (secrets.size() > slots_max) return fail(ErrorCode::invalid_argument, "keyring: at most 16 ways to unlock");
    std::map<std::string, crypto::Key32> keys;
    for (const auto& [name, wrapped] : names_) {
        DVESP_ASSIGN(keys[name], key(name));
    }
    KeyTable next;  // this one stays as it is until everything is made
    next.store_id_ = store_id_;
    next.epoch_ = epoch_ + 1;
    next.revision_ = revision_ + 1;
    next.retired_ = retired_;
    next.retired_[epoch_] = retirement(epoch_, master_);
    if (next.retired_.size() > retired_max) next.retired_.erase(next.retired_.begin());
    random.fill(next.master_.bytes());
    for (const UserSecret* secret : secrets) {
        DVESP_ASSIGN(Slot slot, next.make_slot(*secret, random));
        next.slots_.push_back(slot);
    }
    for (const auto& [name, value] : keys) next.names_[name] = next.wrap(next.derive("wrap"), value, name, random);
    *this = std::move(next);
    return {};
}

/// Who had the master key of an ended epoch knows by this that it is over; nobody else can say so.
std::array<std::uint8_t, 32> KeyTable::retirement(std::uint32_t epoch, const crypto::Key32& master) const {
    codec::Writer out;
    out.raw(bytes_of(retired_label));
    out.raw(store_id_);
    out.number(epoch);
    return crypto::hmac_sha256(master.bytes(), out.bytes());
}

bool KeyTable::retires(std::uint32_t epoch, const crypto::Key32& master) const {
    const auto found = retired_.find(epoch);
    return found != retired_.end() && crypto::equal(found->second, retirement(epoch, master));
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
    ++revision_;
    return fresh;
}

Result<crypto::Key32> KeyTable::key(const std::string& name) const {
    const auto found = names_.find(name);
    if (found == names_.end()) return fail(ErrorCode::sealed, "the key of '" + name + "' is gone: what it sealed stays sealed");
    auto key = unwrap(derive("wrap"), found->second, name);
    if (!key.ok()) return fail(ErrorCode::integrity, "the table of keys was changed: the key of '" + name + "' is not its own");
    return key;
}

bool KeyTable::lacks_data_of(ByteView other) const {
    const auto parsed = parse(other);
    if (!parsed.ok()) return false;
    return std::any_of(parsed->names_.begin(), parsed->names_.end(),
                       [this](const auto& entry) { return entry.first.starts_with("data/") && !names_.contains(entry.first); });
}

bool KeyTable::is_genuine() const {
    if (revision_ == 0) return names_.contains("names") && key("names").ok();  // format 1 proves no more
    return crypto::equal(mac_, crypto::hmac_sha256(derive(std::string(mac_purpose)).bytes(), encode_body()));
}

std::vector<std::uint8_t> KeyTable::encode() const {
    codec::Writer out;
    out.raw(encode_body());
    const auto mac = crypto::hmac_sha256(derive(std::string(mac_purpose)).bytes(), out.bytes());
    out.raw(mac);
    const Hash check = sha256(out.bytes());  // against damage, without a key
    out.raw(check);
    return std::move(out.bytes());
}

std::vector<std::uint8_t> KeyTable::encode_body() const {
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
    out.number(revision_);
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
    out.number(static_cast<std::uint32_t>(retired_.size()));
    for (const auto& [epoch, proof] : retired_) {
        out.number(epoch);
        out.raw(proof);
    }
    return std::move(out.bytes());
}

Result<std::array<std::uint8_t, 16>> KeyTable::id_of(ByteView bytes) {
    DVESP_ASSIGN(const KeyTable table, parse(bytes));
    return table.store_id_;
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
    if (in.array<4>() != magic) return malformed();
    const auto version = in.number<std::uint8_t>();
    if (version != format && version != first_format) return malformed();
    table.store_id_ = in.array<16>();
    table.epoch_ = in.number<std::uint32_t>();
    table.revision_ = version == first_format ? 0 : in.number<std::uint64_t>();
    if (version == format && table.revision_ == 0) in.fail();
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
    if (version == format) table.take_proofs(in);
    if (!in.ok() || !in.at_end()) return malformed();
    return table;
}

void KeyTable::take_proofs(codec::Reader& in) {
    const auto retired = in.number<std::uint32_t>();
    if (retired > retired_max) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < retired; ++at) {
        const auto epoch = in.number<std::uint32_t>();
        retired_[epoch] = in.array<32>();
    }
    mac_ = in.array<32>();
}

}  // namespace dvesp::sealed
