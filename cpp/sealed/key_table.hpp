/// sealed/key_table.hpp - an organisation's keys as they lie on disks: one master key, wrapped once for each way to unlock it.
/// Bytes: docs/formats/keys.md. Sources: RFC 5869 (HKDF), RFC 7914 (scrypt), NIST SP 800-38D (GCM).
///
/// A secret (passphrase, wallet seed, raw key) -> KEK -> unwraps OMK(epoch), random -> unwraps every named key, random too.
/// Nonces: every wrapping draws a fresh 12-byte nonce; a KEK wraps a handful of times in its life.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "crypto/secret.hpp"

namespace dvesp::codec {
class Reader;
}

namespace dvesp::sealed {

inline constexpr std::size_t slots_max = 16;
inline constexpr std::size_t names_max = 100'000;
inline constexpr std::size_t name_bytes_max = 64;
inline constexpr std::size_t retired_max = 256;  ///< rotations that a table remembers; the oldest is forgotten

enum class SecretKind : std::uint8_t { passphrase = 1, wallet_seed = 2, raw_key = 3 };

/// What somebody who may read unlocks with. Never printed.
struct UserSecret {
    SecretKind kind = SecretKind::raw_key;
    crypto::SecretBytes bytes;  ///< passphrase: UTF-8, 1..4096; otherwise 32 bytes
    [[nodiscard]] UserSecret clone() const { return {kind, crypto::SecretBytes::copy_of(bytes.bytes())}; }
};

/// One way to unlock, as lists show it.
struct SlotInfo {
    SecretKind kind = SecretKind::raw_key;
    bool is_used = false;  ///< it unlocked this table
};

/// The tables that a store and its devices have; they may be old, damaged, or a lie.
struct KeyCopies {
    std::array<std::uint8_t, 16> store_id{};  ///< tables of other stores do not count
    ByteView local;                           ///< of the store's own directory; empty = there is none
    std::vector<ByteView> devices;
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
    /// Whose table the bytes are, without a secret. @errors corruption: they are no key table
    static Result<std::array<std::uint8_t, 16>> id_of(ByteView bytes);
    /// The newest genuine table of all that there are, if `secret` still unlocks it. Which is newest is proved with the master
    /// key, so a device that lies about a number is not believed. @cost scrypt once a slot, for a passphrase
    /// @errors sealed: the secret unlocks none, was removed, or was replaced by a rotation; corruption: all are damaged
    static Result<KeyTable> newest(const KeyCopies& copies, const UserSecret& secret);
    /// The same with the master key itself, from recovery words.
    /// @errors sealed: it is another store's, or an epoch's that a rotation ended; corruption
    static Result<KeyTable> newest(const KeyCopies& copies, const crypto::Key32& master);
    /// The bytes, always of the newest format.
    [[nodiscard]] std::vector<std::uint8_t> encode() const;

    [[nodiscard]] const std::array<std::uint8_t, 16>& store_id() const noexcept { return store_id_; }
    [[nodiscard]] std::uint32_t epoch() const noexcept { return epoch_; }
    /// Which slot's secret opened this table: the first bytes of its salt, zeros after recovery words. No secret.
    [[nodiscard]] std::array<std::uint8_t, 8> opened_by() const noexcept;
    /// Grows with every change, over rotations too. 0 = a table of format 1.
    [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }
    [[nodiscard]] std::vector<SlotInfo> slots() const;
    [[nodiscard]] std::size_t name_count() const noexcept { return names_.size(); }

    /// One more way to unlock. @errors invalid_argument: there are 16 already
    Result<void> add(const UserSecret& secret, RandomSource& random);
    /// The slot at `index` unlocks no more, once no copy of the older table is left.
    /// @errors invalid_argument: there is none, or it is the last
    Result<void> remove(std::size_t index);
    /// A new master key: every name is wrapped anew, and the given secrets alone unlock it, whether they did before or not.
    /// Who has an older table and its secret still has the names' keys. @errors invalid_argument: no secret, or more than 16
    Result<void> rotate(const std::vector<const UserSecret*>& secrets, RandomSource& random);

    /// The key `name`, drawn and wrapped when it is not there yet.
    Result<crypto::Key32> need(const std::string& name, RandomSource& random);
    /// @errors sealed: there is no such key (it was shredded); integrity: it was changed
    [[nodiscard]] Result<crypto::Key32> key(const std::string& name) const;
    /// Everything under the key is unreadable from now on, once no copy of the older table is left.
    void shred(const std::string& name) { revision_ += names_.erase(name); }
    [[nodiscard]] bool has(const std::string& name) const { return names_.contains(name); }
    /// A number N for which `other` has the key `data/N` and this table, newer, has it no more.
    [[nodiscard]] bool lacks_data_of(ByteView other) const;
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
    /// What wraps the master key in a slot.
    static Result<crypto::Key32> encryption_key(const UserSecret& secret, ByteView salt, const crypto::ScryptCost& cost);
    [[nodiscard]] std::string bound_to(const std::string& what) const;
    [[nodiscard]] Wrapped wrap(const crypto::Key32& by, const crypto::Key32& key, const std::string& name,
                               RandomSource& random) const;
    [[nodiscard]] Result<crypto::Key32> unwrap(const crypto::Key32& by, const Wrapped& wrapped, const std::string& name) const;
    static Result<KeyTable> parse(ByteView bytes);
    [[nodiscard]] std::vector<std::uint8_t> encode_body() const;
    void take_proofs(codec::Reader& in);
    /// Whether who made the table had its master key. @pre master_ is set
    [[nodiscard]] bool is_genuine() const;
    [[nodiscard]] std::array<std::uint8_t, 32> retirement(std::uint32_t epoch, const crypto::Key32& master) const;
    [[nodiscard]] bool retires(std::uint32_t epoch, const crypto::Key32& master) const;
    struct Candidate;
    static Result<std::vector<Candidate>> parse_all(const KeyCopies& copies);
    static Result<KeyTable> settle(std::vector<Candidate>& all, std::uint32_t epoch, const crypto::Key32& master,
                                   const std::array<std::uint8_t, 16>* salt);

    std::array<std::uint8_t, 16> store_id_{};
    std::uint32_t epoch_ = 1;
    std::uint64_t revision_ = 1;
    std::vector<Slot> slots_;
    std::map<std::string, Wrapped> names_;
    std::map<std::uint32_t, std::array<std::uint8_t, 32>> retired_;  ///< epochs that rotations ended, each proved
    std::array<std::uint8_t, 32> mac_{};                             ///< as it was read
    std::optional<std::size_t> used_slot_;
    crypto::Key32 master_;
};

}  // namespace dvesp::sealed
