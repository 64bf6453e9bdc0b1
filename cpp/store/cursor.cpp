/// store/cursor.cpp - collects all living rows, sorts them by id, and reads rows as they are asked for.
#include "store/cursor.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace dvesp::store {
namespace {

/// The first eight bytes as a number that sorts as they do: most comparisons end here.
std::uint64_t prefix_of(std::string_view id) noexcept {
    std::uint64_t prefix = 0;
    for (std::size_t index = 0; index < 8; ++index) {
        prefix = prefix << 8 | (index < id.size() ? static_cast<std::uint8_t>(id[index]) : 0U);
    }
    return prefix;
}

}  // namespace

Result<std::unique_ptr<Cursor>> Cursor::open(std::shared_ptr<const Snapshot> snapshot, std::optional<ParsedFilter> filter,
                                             std::optional<std::string> after, OnDamage on_damage) {
    auto cursor = std::unique_ptr<Cursor>(new Cursor());
    cursor->parts_ = snapshot->parts();
    cursor->snapshot_ = std::move(snapshot);
    cursor->filter_ = std::move(filter);
    cursor->on_damage_ = on_damage;
    DVESP_TRY(cursor->collect(std::move(after)));
    return cursor;
}

Result<void> Cursor::collect(std::optional<std::string> after) {
    for (std::uint32_t part = 0; part < parts_.size(); ++part) {
        const Source& source = *parts_[part].source;
        for (std::uint32_t row = 0; row < parts_[part].rows; ++row) {
            if (!source.deaths.alive_at(row, snapshot_->seq)) continue;
            const auto id = source.id(row);
            if (!id && on_damage_ == OnDamage::skip) continue;
            if (!id)
                return fail(ErrorCode::corruption,
                            source.name() + ": damaged (ids); scroll(on_damage=\"skip\") reads the rest");
            if (after && *id <= *after) continue;
            rows_.push_back({prefix_of(*id), part, row});
        }
    }
    std::sort(rows_.begin(), rows_.end(), [this](const Row& a, const Row& b) {
        if (a.prefix != b.prefix) return a.prefix < b.prefix;
        const auto id_a = parts_[a.part].source->id(a.row);
        const auto id_b = parts_[b.part].source->id(b.row);
        return id_a < id_b || (id_a == id_b && a.part < b.part);
    });
    // Where damage hid which row a newer one replaced, both live on: the newest part, which comes first, has the right one.
    const auto same_id = [this](const Row& a, const Row& b) {
        return a.prefix == b.prefix && parts_[a.part].source->id(a.row) == parts_[b.part].source->id(b.row);
    };
    if (on_damage_ == OnDamage::skip) rows_.erase(std::unique(rows_.begin(), rows_.end(), same_id), rows_.end());
    return {};
}

Result<std::vector<RowView>> Cursor::next(std::size_t count_max) {
    std::vector<RowView> out;
    locations_.clear();
    for (; at_ < rows_.size() && out.size() < count_max; ++at_) {
        Source& source = *parts_[rows_[at_].part].source;
        auto row = source.row(rows_[at_].row);
        if (!row.ok()) {
            if (on_damage_ == OnDamage::skip) continue;
            return row.error();
        }
        if (filter_ && !matches(filter_->filter, row->metadata)) continue;
        out.push_back(*row);
        locations_.push_back({&source, rows_[at_].row});
    }
    return out;
}

}  // namespace dvesp::store
