/// sealed/key_table.hpp - an organisation's keys as they lie on disks: one master key, wrapped once for each way to unlock it.
/// Bytes: docs/formats/keys.md. Sources: RFC 5869 (HKDF), RFC 7914 (scrypt), NIST SP 800-38D (GCM).
///
/// A secret (passphrase, wallet seed, raw key) -> KEK -> unwraps OMK(epoch), random -> unwraps every named key, random too.
/// Nonces: every wrapping draws a fresh 12-byte nonce; a KEK wraps a handful of times in its life.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "crypto/secret.hpp"

namespace dvesp::sealed {

inline constexpr std::size_t slots_max = 16;
inline constexpr std::size_t names_max = 100'000;
inline constexpr std::size_t name_bytes_max = 64;

enum class SecretKind : std::uint8_t { passphrase = 1, wallet_seed = 2, raw_key = 3 };

/// What somebody who may read unlocks with. Never printed.
struct UserSecret {
    SecretKind kind = SecretKind::raw_key;
    crypto::SecretBytes bytes;  ///< passphrase: UTF-8, 1..4096; otherwise 32 bytes
    [[nodiscard]] UserSecret clone() const { return {kind, crypto::SecretBytes::copy_of(bytes.bytes())}; }
};

/// Random bytes of a caller, drawn when asked for.
class RandomSource {
  public:
    virtual ~RandomSource() = default;
    virtual void fill(MutableBytes out) = 0;
};

/// @threads one
class KeyTable {
  public:
    /// A new organisation: a random store id and master key, which `secret` unlocks.
    static Result<KeyTable> create(const UserSecret& secret, RandomSource& random);
    /// @errors sealed: the secret unlocks no slot; corruption: the bytes are no key table
    static Result<KeyTable> open(ByteView bytes, const UserSecret& secret);
    [[nodiscard]] std::vector<std::uint8_t> encode() const;

    [[nodiscard]] const std::array<std::uint8_t, 16>& store_id() const noexcept { return store_id_; }
    [[nodiscard]] std::uint32_t epoch() const noexcept { return epoch_; }
    [[nodiscard]] std::size_t slot_count() const noexcept { return slots_.size(); }
    /// Which slot's secret opened this table: the first bytes of its salt. No secret.
    [[nodiscard]] const std::array<std::uint8_t, 8>& opened_by() const noexcept { return opened_by_; }
    [[nodiscard]] std::size_t name_count() const noexcept { return names_.size(); }

    /// One more way to unlock. @errors invalid_argument: there are 16 already
    Result<void> add(const UserSecret& secret, RandomSource& random);
    /// A new master key: every name is wrapped anew, the slots of all given secrets too; other slots are gone.
    /// @errors sealed: a secret unlocks no slot; invalid_argument: none is given
    Result<void> rotate(const std::vector<const UserSecret*>& secrets, RandomSource& random);

    /// The key `name`, drawn and wrapped when it is not there yet.
    Result<crypto::Key32> need(const std::string& name, RandomSource& random);
    /// @errors sealed: there is no such key (it was shredded); integrity: it was changed
    [[nodiscard]] Result<crypto::Key32> key(const std::string& name) const;
    /// Everything under the key is unreadable from now on, once no copy of the older table is left.
    void shred(const std::string& name) { names_.erase(name); }
    [[nodiscard]] bool has(const std::string& name) const { return names_.contains(name); }
    /// For keys that are wrapped elsewhere, such as shares on devices: bound to what they are for.
    [[nodiscard]] crypto::Key32 derive(const std::string& purpose) const;
    /// The master key itself, for recovery shares alone.
    [[nodiscard]] const crypto::Key32& master() const noexcept { return master_; }

  private:
    struct Wrapped {
        std::array<std::uint8_t, crypto::nonce_bytes> nonce{};
        std::array<std::uint8_t, crypto::key_bytes> cipher{};
        std::array<std::uint8_t, crypto::tag_bytes> tag{};
    };
    struct Slot {
        SecretKind kind = SecretKind::raw_key;
        std::array<std::uint8_t, 16> salt{};
        crypto::ScryptCost cost;
        Wrapped master;
    };
    KeyTable() = default;
    Result<Slot> make_slot(const UserSecret& secret, RandomSource& random) const;
    [[nodiscard]] Result<crypto::Key32> unlock(const Slot& slot, const UserSecret& secret) const;
    [[nodiscard]] std::string bound_to(const std::string& what) const;
    [[nodiscard]] Wrapped wrap(const crypto::Key32& by, const crypto::Key32& key, const std::string& name,
                               RandomSource& random) const;
    [[nodiscard]] Result<crypto::Key32> unwrap(const crypto::Key32& by, const Wrapped& wrapped, const std::string& name) const;
    static Result<KeyTable> parse(ByteView bytes);
    void set_opener(const Slot& slot);

    std::array<std::uint8_t, 16> store_id_{};
    std::array<std::uint8_t, 8> opened_by_{};
    std::uint32_t epoch_ = 1;
    std::vector<Slot> slots_;
    std::map<std::string, Wrapped> names_;
    crypto::Key32 master_;
};

}  // namespace dvesp::sealed
