/// codec/note.hpp - checkpoints of a log as signed notes: text that people can read and machines check.
/// Bytes: docs/formats/audit.md. Sources: C2SP signed-note, tlog-checkpoint, tlog-cosignature; RFC 4648 section 4 (base64).
///
/// A note here is a checkpoint and nothing else: three lines, an empty one, and signature lines. Every note has one form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/sha256.hpp"

namespace dvesp::codec {

inline constexpr std::size_t note_bytes_max = std::size_t{64} * 1024;
inline constexpr std::size_t note_name_bytes_max = 128;
inline constexpr std::size_t note_signatures_max = 256;
inline constexpr std::size_t note_signature_bytes_max = 128;

/// What a checkpoint says: the log `origin` had `size` entries, and they had this root.
struct Checkpoint {
    std::string origin;  ///< also the name of the log's key; 1..note_name_bytes_max printable ASCII without spaces and '+'
    std::uint64_t size = 0;
    Hash root{};
    bool operator==(const Checkpoint&) const = default;
};

struct NoteSignature {
    std::string name;  ///< of the key, as `origin`
    std::array<std::uint8_t, 4> key_id{};
    std::vector<std::uint8_t> bytes;  ///< 1..note_signature_bytes_max: by a log 64; by a witness u64 seconds | 64
    bool operator==(const NoteSignature&) const = default;
};

struct Note {
    Checkpoint checkpoint;
    std::vector<NoteSignature> signatures;  ///< at most note_signatures_max
    bool operator==(const Note&) const = default;
};

/// What signatures cover: three lines, each with its line feed.
[[nodiscard]] std::string checkpoint_text(const Checkpoint& checkpoint);
[[nodiscard]] std::string encode_note(const Note& note);
/// @errors corruption: it is no checkpoint, or not in the one form that `encode_note` writes
[[nodiscard]] Result<Note> parse_note(std::string_view text);

/// How a note names a key: SHA-256(name | 0x0a | kind | public key), its first 4 bytes.
inline constexpr std::uint8_t note_key_log = 0x01, note_key_witness = 0x04;
[[nodiscard]] std::array<std::uint8_t, 4> note_key_id(std::string_view name, std::uint8_t kind, ByteView public_key);
/// What a witness signs: "cosignature/v1", its time, and the checkpoint's text.
[[nodiscard]] std::string cosigned_text(const Checkpoint& checkpoint, std::uint64_t time_s);

/// Base64 with padding.
[[nodiscard]] std::string to_base64(ByteView bytes);
/// Nothing unless `text` is what `to_base64` writes.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text);

}  // namespace dvesp::codec
