/// node/saved_page.hpp - the place in an encrypted file where a page is kept while a part of it is overwritten.
/// A page is sealed as a whole, so writing a few bytes puts its other bytes at risk, durable ones among them. They are copied
/// here first, as they stand sealed, and that copy is durable before the page is touched: an undo record of one page
/// (Mohan 1992, ARIES; the rollback journal of SQLite). Bytes: docs/formats/sealed_files.md.
#pragma once

#include <optional>

#include "node/encrypted_page.hpp"
#include "ports/files.hpp"

namespace dvesp::node {

struct SavedPage {
    std::uint64_t page = 0;
    std::size_t stored_bytes = 0;
    std::array<std::uint8_t, stored_page_bytes> stored{};  ///< untrusted, as everything below

    [[nodiscard]] ByteView bytes() const noexcept { return ByteView(stored).first(stored_bytes); }
};

/// Writes the copy; the caller syncs. @param stored page_head_bytes + 1 .. stored_page_bytes
[[nodiscard]] Result<void> save_page(ports::File& below, std::uint64_t page, ByteView stored);
/// What is saved, if anything is. A copy that is torn counts as nothing: the page was not touched then.
[[nodiscard]] Result<std::optional<SavedPage>> load_saved_page(ports::File& below);
/// Forgets it; the caller may sync.
[[nodiscard]] Result<void> clear_saved_page(ports::File& below);

}  // namespace dvesp::node
