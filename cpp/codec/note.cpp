/// codec/note.cpp - writing and strict reading of notes and base64.
#include "codec/note.hpp"

#include <algorithm>
#include <charconv>

namespace dvesp::codec {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view dash = "\xe2\x80\x94 ";  // an em dash opens a signature line

Error malformed(const char* what) { return fail(ErrorCode::corruption, std::string("a checkpoint is malformed: ") + what); }

bool is_name(std::string_view name) {
    const auto is_allowed = [](char c) { return c > ' ' && c <= '~' && c != '+'; };
    return !name.empty() && name.size() <= note_name_bytes_max && std::all_of(name.begin(), name.end(), is_allowed);
}

/// The text up to the next line feed; nothing when there is none.
std::optional<std::string_view> take_line(std::string_view& left) {
    const std::size_t end = left.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = left.substr(0, end);
    left.remove_prefix(end + 1);
    return line;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_one_form = failure == std::errc() && end == text.data() + text.size() && std::to_string(value) == text;
    return is_one_form ? std::optional(value) : std::nullopt;
}

std::optional<NoteSignature> signature_of(std::string_view line) {
    if (!line.starts_with(dash)) return std::nullopt;
    line.remove_prefix(dash.size());
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    NoteSignature out;
    out.name = std::string(line.substr(0, space));
    const auto bytes = from_base64(line.substr(space + 1));
    if (!is_name(out.name) || !bytes || bytes->size() <= out.key_id.size()) return std::nullopt;
    std::copy_n(bytes->begin(), out.key_id.size(), out.key_id.begin());
    out.bytes.assign(bytes->begin() + static_cast<std::ptrdiff_t>(out.key_id.size()), bytes->end());
    return out.bytes.size() <= note_signature_bytes_max ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace

std::string to_base64(ByteView bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
        std::uint32_t group = 0;
        for (std::size_t index = 0; index < 3; ++index) group = group << 8 | (index < count ? bytes[at + index] : 0U);
        for (std::size_t index = 0; index < 4; ++index) {
            out.push_back(index <= count ? alphabet[group >> (18 - 6 * index) & 63] : '=');
        }
    }
    return out;
}

std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::vector<std::uint8_t> out;
    out.reserve(text.size() / 4 * 3);
    for (std::size_t at = 0; at < text.size(); at += 4) {
        std::uint32_t group = 0;
        std::size_t padding = 0;
        for (std::size_t index = 0; index < 4; ++index) {
            const char c = text[at + index];
            const std::size_t value = c == '=' ? 0 : alphabet.find(c);
            padding += c == '=' ? 1 : 0;
            if (value == std::string_view::npos) return std::nullopt;
            group = group << 6 | static_cast<std::uint32_t>(value);
        }
        if (padding > 2) return std::nullopt;
        for (std::size_t index = 0; index < 3 - padding; ++index) {
            out.push_back(static_cast<std::uint8_t>(group >> (16 - 8 * index)));
        }
    }
    // Padding in the middle, and bits behind the last byte, are other forms of the same bytes.
    return to_base64(out) == text ? std::optional(std::move(out)) : std::nullopt;
}

std::string checkpoint_text(const Checkpoint& checkpoint) {
    return checkpoint.origin + '\n' + std::to_string(checkpoint.size) + '\n' + to_base64(checkpoint.root) + '\n';
}

std::string encode_note(const Note& note) {
    std::string out = checkpoint_text(note.checkpoint) + '\n';
    for (const NoteSignature& signature : note.signatures) {
        std::vector<std::uint8_t> bytes(signature.key_id.begin(), signature.key_id.end());
        bytes.insert(bytes.end(), signature.bytes.begin(), signature.bytes.end());
        out.append(dash).append(signature.name).append(1, ' ').append(to_base64(bytes)).append(1, '\n');
    }
    return out;
}

Result<Note> parse_note(std::string_view text) {
    if (text.size() > note_bytes_max) return malformed("it is too long");
    Note note;
    const auto origin = take_line(text);
    const auto size = take_line(text);
    const auto root = take_line(text);
    const auto empty = take_line(text);
    if (!origin || !size || !root || !empty || !empty->empty()) return malformed("it has no three lines and an empty one");
    const auto number = number_of(*size);
    const auto hash = from_base64(*root);
    if (!is_name(*origin)) return malformed("the name of the log");
    if (!number) return malformed("the size");
    if (!hash || hash->size() != note.checkpoint.root.size()) return malformed("the root");
    note.checkpoint.origin = std::string(*origin);
    note.checkpoint.size = *number;
    std::copy(hash->begin(), hash->end(), note.checkpoint.root.begin());
    while (!text.empty()) {
        const auto line = take_line(text);
        auto signature = line ? signature_of(*line) : std::nullopt;
        if (!signature || note.signatures.size() == note_signatures_max) return malformed("a signature line");
        note.signatures.push_back(std::move(*signature));
    }
    return note;
}

std::array<std::uint8_t, 4> note_key_id(std::string_view name, std::uint8_t kind, ByteView public_key) {
    std::vector<std::uint8_t> bytes(name.begin(), name.end());
    bytes.push_back('\n');
    bytes.push_back(kind);
    bytes.insert(bytes.end(), public_key.begin(), public_key.end());
    const Hash hash = sha256(bytes);
    return {hash[0], hash[1], hash[2], hash[3]};
}

std::string cosigned_text(const Checkpoint& checkpoint, std::uint64_t time_s) {
    return "cosignature/v1\ntime " + std::to_string(time_s) + '\n' + checkpoint_text(checkpoint);
}

}  // namespace dvesp::codec
