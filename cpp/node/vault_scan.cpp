/// node/vault_scan.cpp - the recovery scan of one data file, and the checked read of one record.
/// Bytes and rules: docs/formats/vault.md. The ideas are those of store/log_recovery.cpp.
#include "node/vault_scan.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "codec/crc32c.hpp"

namespace dvesp::node {
namespace {

using codec::vault_header_bytes;
using codec::VaultHeader;
using codec::VaultOp;

constexpr std::size_t window_bytes = std::size_t{256} << 10;
constexpr std::size_t piece_bytes = 4096;
/// Records above this are skipped by reading behind them; smaller ones are read along, which lets the disk read ahead.
constexpr std::uint64_t skip_bytes_min = std::uint64_t{32} << 10;

/// A window onto the file that is moved over it.
class Window {
  public:
    explicit Window(ports::File& file) : file_(file) {}

    /// The bytes from `offset`: `count` of them, fewer at the end of the file. Valid until the next call.
    ByteView bytes(std::uint64_t offset, std::size_t count, std::uint64_t limit) {
        const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(count, limit - std::min(limit, offset)));
        if (offset < start_ || offset + wanted > start_ + filled_) {
            const bool skipped = offset >= start_ + filled_ + skip_bytes_min;
            fill(offset, std::max(wanted, skipped ? piece_bytes : window_bytes), limit);
        }
        const auto from = static_cast<std::size_t>(offset - start_);
        return ByteView(buffer_).subspan(from, std::min(wanted, filled_ - from));
    }
    [[nodiscard]] bool refused() const noexcept { return refused_; }

  private:
    void fill(std::uint64_t offset, std::size_t count, std::uint64_t limit) {
        count = static_cast<std::size_t>(std::min<std::uint64_t>(count, limit - std::min(limit, offset)));
        if (buffer_.size() < count) buffer_.resize(count);
        start_ = offset;
        for (int attempt = 0; attempt < 2; ++attempt) {
            const auto got = file_.read(offset, MutableBytes(buffer_).first(count));
            if (!got.ok()) continue;
            filled_ = *got;
            return;
        }
        fill_by_pieces(count);
    }

    /// What the disk refuses twice reads as zeros: a bad header, then, and never a reason to cut the file there.
    void fill_by_pieces(std::size_t count) {
        filled_ = count;
        for (std::size_t at = 0; at < count; at += piece_bytes) {
            const MutableBytes piece = MutableBytes(buffer_).subspan(at, std::min(piece_bytes, count - at));
            auto got = file_.read(start_ + at, piece);
            if (!got.ok()) got = file_.read(start_ + at, piece);
            if (got.ok()) continue;
            std::fill(piece.begin(), piece.end(), std::uint8_t{0});
            refused_ = true;
        }
    }

    ports::File& file_;
    std::vector<std::uint8_t> buffer_;
    std::uint64_t start_ = 0;
    std::size_t filled_ = 0;
    bool refused_ = false;
};

class Scan {
  public:
    Scan(ports::File& file, std::uint64_t generation, std::uint32_t number, std::uint64_t limit, std::uint64_t durable)
        : window_(file), generation_(generation), number_(number), limit_(limit) {
        out_.durable = durable;
    }

    VaultScan run() {
        std::vector<VaultRecord> later;  // whole headers behind a bad place, nearest last
        bool searched = false;
        while (offset_ < limit_ && !out_.is_ended) {
            if (const auto header = header_at(offset_); header && offset_ + vault_header_bytes + header->length <= limit_) {
                take({offset_, *header});
                continue;
            }
            if (!searched) later = search();
            searched = true;
            while (!later.empty() && later.back().offset <= offset_) later.pop_back();
            if (offset_ >= out_.durable) break;  // never acknowledged
            // A record that follows, but not in the durable part, belongs to a torn write, and so does what is between.
            const bool resumes = !later.empty() && later.back().offset <= out_.durable;
            const std::uint64_t next = resumes ? later.back().offset : std::min(out_.durable, limit_);
            if (const auto header = header_at(offset_))
                out_.records.push_back({offset_, *header});  // cut short: known, and lost
            out_.damages.push_back({offset_, next});
            offset_ = next;
            if (!resumes) break;
        }
        out_.size = limit_;
        out_.end = offset_;
        if (!out_.is_ended) keep_whole_tail();
        const VaultRecord* last = out_.records.empty() ? nullptr : &out_.records.back();
        out_.is_marked = last != nullptr && last->header.op == VaultOp::marker && last->end() == out_.end;
        out_.is_torn = !out_.is_ended && out_.end < limit_;
        out_.is_unreadable = window_.refused();
        return std::move(out_);
    }

  private:
    std::optional<VaultHeader> header_at(std::uint64_t offset) {
        return checked(window_.bytes(offset, vault_header_bytes, limit_), offset);
    }
    [[nodiscard]] std::optional<VaultHeader> checked(ByteView bytes, std::uint64_t offset) const {
        auto header = codec::parse_vault_header(bytes, offset);
        if (header && (header->generation != generation_ || header->number != number_)) return std::nullopt;
        return header;
    }

    void take(const VaultRecord& record) {
        out_.durable = std::max(out_.durable, record.header.durable);
        out_.sequence = std::max(out_.sequence, record.header.sequence);
        if (record.header.op == VaultOp::end) {
            out_.is_ended = true;
            return;
        }
        out_.records.push_back(record);  // markers too: the tail is cut by place
        offset_ = record.end();
    }

    /// All whole headers behind the bad place, up to a mark of the end. They also say how far the file was durable.
    std::vector<VaultRecord> search() {
        std::vector<VaultRecord> found;
        bool at_end = false;
        for (std::uint64_t start = offset_ + 1; start < limit_ && !at_end;) {
            const ByteView bytes = window_.bytes(start, window_bytes, limit_);
            if (bytes.size() < vault_header_bytes) break;
            const std::size_t stop = bytes.size() - vault_header_bytes + 1;
            for (std::size_t at = codec::find_vault_header(bytes, 0); at < stop && !at_end;
                 at = codec::find_vault_header(bytes, at + 1)) {
                const auto header = checked(bytes.subspan(at, vault_header_bytes), start + at);
                if (!header) continue;
                found.push_back({start + at, *header});
                out_.durable = std::max(out_.durable, header->durable);
                at_end = header->op == VaultOp::end;
            }
            start += stop;
        }
        std::reverse(found.begin(), found.end());
        return found;
    }

    /// Of the records that nothing proves durable those in front of the first that is not whole are kept.
    void keep_whole_tail() {
        auto& records = out_.records;
        auto record =
            std::find_if(records.begin(), records.end(), [this](const VaultRecord& r) { return r.offset >= out_.durable; });
        for (; record != records.end(); ++record) {
            const ByteView bytes = window_.bytes(record->offset + vault_header_bytes, record->header.length, limit_);
            if (bytes.size() == record->header.length && codec::crc32c(bytes) == record->header.bytes_crc) continue;
            out_.end = record->offset;
            records.erase(record, records.end());
            return;
        }
    }

    Window window_;
    std::uint64_t generation_;
    std::uint32_t number_;
    std::uint64_t limit_;
    std::uint64_t offset_ = 0;
    VaultScan out_;
};

}  // namespace

std::string vault_data_path(std::uint32_t number) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%08lx", static_cast<unsigned long>(number));
    return std::string(vault_data_directory) + "/" + text.data();
}

Result<VaultScan> scan_vault_file(ports::File& file, std::uint64_t generation, std::uint32_t number, VaultScanLimits limits) {
    auto size = file.size();
    if (!size.ok()) size = file.size();
    if (!size.ok()) return size.error();
    VaultScan scan = Scan(file, generation, number, std::min(*size, limits.end), limits.durable).run();
    std::erase_if(scan.records, [](const VaultRecord& record) { return record.header.op == VaultOp::marker; });
    return scan;
}

VaultRead read_vault_record(ports::File& file, std::uint64_t generation, std::uint64_t offset, const codec::FragmentId& id,
                            std::uint32_t length, std::vector<std::uint8_t>& into) {
    into.resize(vault_header_bytes + length);
    auto got = file.read(offset, into);
    if (!got.ok()) got = file.read(offset, into);
    if (!got.ok()) return VaultRead::refused;
    const auto header = codec::parse_vault_header(ByteView(into).first(*got), offset);
    if (!header || header->generation != generation || header->id != id || header->length != length) return VaultRead::damaged;
    if (header->op != VaultOp::put || *got < into.size()) return VaultRead::damaged;
    if (codec::crc32c(ByteView(into).subspan(vault_header_bytes)) != header->bytes_crc) return VaultRead::damaged;
    into.erase(into.begin(), into.begin() + vault_header_bytes);
    return VaultRead::whole;
}

}  // namespace dvesp::node
