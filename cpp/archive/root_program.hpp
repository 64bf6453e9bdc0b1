/// archive/root_program.hpp - what the program dvesp_root is told and what it keeps; and roots in memos, where it is not
/// deployed. Bytes: docs/formats/chain.md. The program: programs/dvesp_root.
#pragma once

#include <optional>

#include "archive/solana_message.hpp"

namespace dvesp::archive {

inline constexpr std::size_t record_bytes = 170;
inline constexpr std::size_t event_bytes = 168;

/// A collection's root as the chain has it.
struct AnchoredRoot {
    SolanaKey authority{};
    Hash collection_id{};
    Hash root{};
    std::uint64_t leaf_count = 0;
    std::uint64_t sequence = 0;  ///< how many roots were posted; 0 = none yet
    Hash chain_hash{};           ///< over all roots so far; zeros in memos
    std::uint64_t slot = 0;
    std::int64_t unix_timestamp = 0;
};

/// Codes of refusals that a caller decides by.
enum class ProgramCode : std::uint32_t { other_authority = 2001, stale_sequence = 6000, exists_already = 6001 };
/// What the program means by a code, for people.
[[nodiscard]] std::string explain_code(std::uint32_t code);

[[nodiscard]] SolanaKey record_address(const SolanaKey& creator, const Hash& collection_id, const SolanaKey& program);

/// @errors corruption: not the bytes of a record
[[nodiscard]] Result<AnchoredRoot> decode_record(ByteView account);
/// @errors corruption: not the bytes of a RootPosted event
[[nodiscard]] Result<AnchoredRoot> decode_event(ByteView event);
/// The event of `program` in a transaction's log, if there is one; others' data are not believed.
[[nodiscard]] std::optional<AnchoredRoot> event_in_log(const std::vector<std::string>& lines, const SolanaKey& program);

struct RecordOwner {
    SolanaKey program{};
    SolanaKey record{};
    SolanaKey authority{};
};
[[nodiscard]] SolanaInstruction initialize_record(const RecordOwner& owner, const Hash& collection_id);
[[nodiscard]] SolanaInstruction post_root(const RecordOwner& owner, std::uint64_t expected_sequence, const Hash& root,
                                          std::uint64_t leaf_count);

/// A root as a memo: `dvesp/root/1 <collection_id> <sequence> <leaf_count> <root>`.
[[nodiscard]] std::string memo_of(const Hash& collection_id, std::uint64_t sequence, const Hash& root,
                                  std::uint64_t leaf_count);
/// Nothing, unless the text is what `memo_of` writes.
[[nodiscard]] std::optional<AnchoredRoot> parse_memo(std::string_view text);

}  // namespace dvesp::archive
