/// store/head.cpp - appends frames to the head and reads rows out of them.
#include "store/head.hpp"

#include <algorithm>
#include <bit>

#include "base/ids.hpp"

namespace dvesp::store {

const std::vector<Hash>& Frame::leaves() const {
    std::call_once(once_, [this] {
        if (!leaves_.empty()) return;
        Sha256 hasher;
        leaves_.reserve(view.head.count);
        for (std::uint32_t row = 0; row < view.head.count; ++row) {
            leaves_.push_back(codec::leaf_hash(hasher, view.head.salt, view.record(row)));
        }
    });
    return leaves_;
}

void Frame::set_leaves(std::vector<Hash> leaves) { leaves_ = std::move(leaves); }

IdTable::Table::Table(std::size_t size) : mask(size - 1), slots(size) {
    for (auto& slot : slots) slot.store(index::no_row, std::memory_order_relaxed);
}

IdTable::IdTable() {
    tables_.push_back(std::make_unique<Table>(128));
    current_.store(tables_.back().get(), std::memory_order_release);
}

Head::Head(std::shared_ptr<const index::Coding> coding, std::string name)
    : Source(rows_max), coding_(std::move(coding)), name_(std::move(name)) {}

Head::Place Head::place(std::uint32_t row) noexcept {
    if (row >= block_rows) return {growing_blocks + (row - block_rows) / block_rows, row % block_rows};
    const auto block = static_cast<std::uint32_t>(std::bit_width(row / first_block_rows));
    return {block, block == 0 ? row : row - (first_block_rows << (block - 1))};
}

std::uint32_t Head::rows_of_block(std::uint32_t block) noexcept {
    if (block >= growing_blocks) return block_rows;
    return block == 0 ? first_block_rows : first_block_rows << (block - 1);
}

const Head::Entry& Head::entry(std::uint32_t row) const noexcept {
    const Place at = place(row);
    return blocks_[at.block]->entries[at.offset];
}

std::string_view Head::id_of(std::uint32_t row) const noexcept {
    const Entry& at = entry(row);
    return at.frame->view.id(at.position);
}

void Head::append(std::shared_ptr<const Frame> frame, TaskRunner& runner) {
    const codec::BodyHead& head = frame->view.head;
    if (head.kind == codec::FrameKind::put) append_rows(*frame, runner);
    frame_leaves_.push_back(leaf_count_);
    leaf_count_ += head.count;
    bytes_.fetch_add(frame->buffer.size(), std::memory_order_relaxed);
    frames_.push_back(std::move(frame));
}

void Head::append_rows(const Frame& frame, TaskRunner& runner) {
    constexpr std::size_t grain = 256;
    const std::uint32_t count = frame.view.head.count;
    DVESP_ASSERT(rows_ + count <= rows_max);
    for (std::uint32_t position = 0; position < count; ++position) {
        const Place at = place(rows_ + position);
        if (!blocks_[at.block]) {
            const std::uint32_t capacity = rows_of_block(at.block);
            blocks_[at.block] =
                std::make_unique<Block>(Block{AlignedBuffer(capacity * coding_->stride()), std::vector<Entry>(capacity)});
        }
        blocks_[at.block]->entries[at.offset] = {&frame, position, index::no_row, leaf_count_ + position};
    }
    const std::size_t dimension = coding_->dimension();
    std::vector<float> scratch((count + grain - 1) / grain * dimension);
    run_in_ranges(runner, count, grain, [&](std::size_t first, std::size_t last) {
        encode(frame.view, static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last),
               scratch.data() + first / grain * dimension);
    });
    for (std::uint32_t position = 0; position < count; ++position, ++rows_) {
        const Place at = place(rows_);
        const std::string_view id = frame.view.id(position);
        blocks_[at.block]->entries[at.offset].older_row = ids_.put(
            id_key(id), rows_, [&](std::uint32_t other) { return id_of(other) == id; },
            [this](std::uint32_t other) { return id_key(id_of(other)); });
    }
}

void Head::encode(const codec::FrameView& view, std::uint32_t first, std::uint32_t last, float* scratch) noexcept {
    for (std::uint32_t position = first; position < last; ++position) {
        const Place at = place(rows_ + position);
        const float* vector = view.vector(position);
        coding_->encode(vector, index::norm(vector, coding_->dimension()),
                        blocks_[at.block]->codes.data() + at.offset * coding_->stride(), scratch);
    }
}

const float* Head::vector(std::uint32_t row) const noexcept {
    const Entry& at = entry(row);
    return at.frame->view.vector(at.position);
}

Result<RowView> Head::row(std::uint32_t row) const {
    const Entry& at = entry(row);
    const codec::FrameView& view = at.frame->view;
    return RowView{view.id(at.position), view.version(at.position), view.vector(at.position), view.metadata(at.position),
                   view.parent(at.position)};
}

std::optional<std::string_view> Head::id(std::uint32_t row) const { return id_of(row); }

std::optional<ByteView> Head::metadata(std::uint32_t row) const {
    const Entry& at = entry(row);
    return at.frame->view.metadata(at.position);
}

Result<std::uint32_t> Head::find(std::string_view id, std::uint64_t key, std::uint64_t seq, std::uint32_t bound) const {
    std::uint32_t row = ids_.find(key, [&](std::uint32_t other) { return id_of(other) == id; });
    while (row != index::no_row && row >= bound) row = entry(row).older_row;
    // Of the rows that the snapshot sees, only the newest can be alive.
    return row != index::no_row && deaths.alive_at(row, seq) ? row : index::no_row;
}

Result<std::uint32_t> Head::leaf_index(std::uint32_t row) const { return entry(row).leaf_index; }

Result<Hash> Head::row_leaf(std::uint32_t row) const {
    const Entry& at = entry(row);
    return at.frame->leaves()[at.position];
}

Result<Hash> Head::leaf(std::uint32_t leaf_index) const {
    const auto after = std::upper_bound(frame_leaves_.begin(), frame_leaves_.end(), leaf_index);
    const auto frame = static_cast<std::size_t>(after - frame_leaves_.begin()) - 1;
    return frames_[frame]->leaves()[leaf_index - frame_leaves_[frame]];
}

Result<BatchView> Head::batch(std::uint32_t index) const {
    const codec::BodyHead& head = frames_[index]->view.head;
    return BatchView{head.batch_id, head.salt, head.merkle_root, head.hlc, head.seq, head.kind, head.count};
}

Result<void> Head::scan(index::FlatScan& scan, std::uint32_t bound) const {
    std::uint32_t first = 0;
    for (std::uint32_t block = 0; first < bound; ++block) {
        const std::uint32_t count = std::min(rows_of_block(block), bound - first);
        scan.scan(blocks_[block]->codes.data(), first, count);
        first += count;
    }
    return {};
}

}  // namespace dvesp::store
