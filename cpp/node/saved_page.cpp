/// node/saved_page.cpp - encodes the saved page.
#include "node/saved_page.hpp"

#include <algorithm>

#include "codec/byte_io.hpp"
#include "codec/crc32c.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint32_t saved_magic = 0x56415331;  // "1SAV"
constexpr std::size_t head_bytes = 512;            // one sector: there or not
constexpr std::size_t page_at = 8, length_at = 16, stored_crc_at = 20, crc_at = 24;
using Head = std::array<std::uint8_t, head_bytes>;
static_assert(saved_page_start + head_bytes + stored_page_bytes <= pages_start);

}  // namespace

Result<void> save_page(ports::File& below, std::uint64_t page, ByteView stored) {
    DVESP_ASSERT(stored.size() > page_head_bytes && stored.size() <= stored_page_bytes);
    Head head{};
    codec::store(head.data(), saved_magic);
    codec::store(head.data() + page_at, page);
    codec::store(head.data() + length_at, static_cast<std::uint32_t>(stored.size()));
    codec::store(head.data() + stored_crc_at, codec::crc32c(stored));
    codec::store(head.data() + crc_at, codec::crc32c(ByteView(head).first(crc_at)));
    const std::array<ByteView, 2> pieces = {head, stored};
    return below.write_pieces(saved_page_start, pieces);
}

Result<std::optional<SavedPage>> load_saved_page(ports::File& below) {
    Head head{};
    DVESP_ASSIGN(const std::size_t head_count, below.read(saved_page_start, head));
    const bool is_head = head_count == head.size() && codec::load<std::uint32_t>(head.data()) == saved_magic &&
                         codec::load<std::uint32_t>(head.data() + crc_at) == codec::crc32c(ByteView(head).first(crc_at));
    if (!is_head) return std::optional<SavedPage>();
    SavedPage saved;
    saved.page = codec::load<std::uint64_t>(head.data() + page_at);
    saved.stored_bytes = codec::load<std::uint32_t>(head.data() + length_at);
    const bool is_bounded = saved.page < plain_bytes_max / page_bytes && saved.stored_bytes > page_head_bytes &&
                            saved.stored_bytes <= stored_page_bytes;
    if (!is_bounded) return std::optional<SavedPage>();
    const MutableBytes into = MutableBytes(saved.stored).first(saved.stored_bytes);
    DVESP_ASSIGN(const std::size_t count, below.read(saved_page_start + head_bytes, into));
    const auto crc = codec::load<std::uint32_t>(head.data() + stored_crc_at);
    if (count != into.size() || codec::crc32c(into) != crc) return std::optional<SavedPage>();
    return std::optional<SavedPage>(saved);
}

Result<void> clear_saved_page(ports::File& below) {
    const Head zeros{};
    return below.write(saved_page_start, zeros);
}

}  // namespace dvesp::node
