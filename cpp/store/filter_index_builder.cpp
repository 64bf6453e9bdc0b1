/// store/filter_index_builder.cpp - flattens metadata into (path, key, row) and writes sorted postings.
/// Bytes: docs/formats/segment.md, sections filter_paths and filter_terms.
#include <algorithm>

#include "store/filter_index.hpp"
#include "store/term_key.hpp"

namespace dvesp::store {
namespace {

namespace cbor = codec::cbor;

constexpr std::uint64_t inline_row_flag = std::uint64_t{1} << 63;

struct Placed {
    std::uint64_t offset;
    std::uint64_t bytes;
};

Placed place(codec::Writer& out, ByteView bytes) {
    const Placed placed{out.bytes().size(), bytes.size()};
    out.raw(bytes);
    return placed;
}

Placed place_rows(codec::Writer& out, const std::vector<std::uint32_t>& rows) {
    if (rows.empty()) return {0, 0};
    RowSet set;
    set.add_all(rows);
    return place(out, set.serialized());
}

/// Whether a map, or one inside it, has a key with a dot: only then can one path mean two values.
bool has_dotted_key(codec::Reader& reader) {
    const cbor::Item item = cbor::read(reader);
    bool dotted = false;
    for (std::uint64_t index = 0; index < item.count; ++index) {
        if (item.kind == cbor::Kind::map) dotted = cbor::read(reader).text.find('.') != std::string_view::npos || dotted;
        dotted = has_dotted_key(reader) || dotted;
    }
    return dotted;
}

}  // namespace

void FilterIndexBuilder::add(std::uint32_t row, ByteView metadata) {
    if (metadata.empty()) return;
    codec::Reader reader(metadata);
    dotted_keys_ = has_dotted_key(reader);
    add_fields(row, metadata, metadata, "", 0);
}

void FilterIndexBuilder::add_fields(std::uint32_t row, ByteView metadata, ByteView map, const std::string& prefix, int depth) {
    codec::Reader reader(map);
    const cbor::Item head = cbor::read(reader);
    if (head.kind != cbor::Kind::map || depth > cbor::depth_max) return;
    for (std::uint64_t index = 0; index < head.count; ++index) {
        const std::string_view name = cbor::read(reader).text;
        const std::size_t start = map.size() - reader.left();
        if (!cbor::skip(reader)) return;
        const ByteView value = map.subspan(start, map.size() - reader.left() - start);
        std::string path = prefix + std::string(name);
        // A literal key "a.b" hides a nested one: index the value that a filter would find.
        const auto seen = dotted_keys_ ? cbor::find(metadata, path) : std::optional<ByteView>(value);
        if (seen && seen->data() == value.data()) {
            auto found = paths_.find(path);
            if (found == paths_.end() && paths_.size() < filter_paths_max) found = paths_.emplace(path, Path{}).first;
            if (found != paths_.end()) {
                add_value(row, found->second, value);
            } else {
                incomplete_ = true;
            }
        }
        add_fields(row, metadata, value, path + ".", depth + 1);
    }
}

void FilterIndexBuilder::add_value(std::uint32_t row, Path& path, ByteView value) {
    const auto add_key = [&](const std::string& key) {
        path.entries.push_back({keys_.size(), static_cast<std::uint32_t>(key.size()), row});
        keys_ += key;
    };
    path.present.push_back(row);
    codec::Reader reader(value);
    const cbor::Item head = cbor::read(reader);
    if (head.kind == cbor::Kind::array) {
        path.lists.push_back(row);
        for (std::uint64_t index = 0; index < head.count; ++index) {
            const std::size_t start = value.size() - reader.left();
            if (!cbor::skip(reader)) return;
            const ByteView element = value.subspan(start, value.size() - reader.left() - start);
            if (const auto key = term_key(element)) {
                add_key(*key);
            } else if (path.irregular.empty() || path.irregular.back() != row) {
                path.irregular.push_back(row);
            }
        }
    } else if (const auto key = term_key(value)) {
        add_key(*key);
    } else {
        path.irregular.push_back(row);
    }
}

void FilterIndexBuilder::write_path(const std::string& name, Path& path, codec::Writer& paths, codec::Writer& terms) {
    const auto key_of = [this](const Entry& entry) { return std::string_view(keys_).substr(entry.key_at, entry.key_bytes); };
    std::sort(path.entries.begin(), path.entries.end(), [&](const Entry& a, const Entry& b) {
        const int order = key_of(a).compare(key_of(b));
        return order < 0 || (order == 0 && a.row < b.row);
    });
    codec::Writer key_ends;
    codec::Writer keys;
    codec::Writer postings;
    std::uint32_t term_count = 0;
    for (std::size_t start = 0; start < path.entries.size();) {
        std::vector<std::uint32_t> rows;
        std::size_t stop = start;
        const std::string_view key = key_of(path.entries[start]);
        for (; stop < path.entries.size() && key_of(path.entries[stop]) == key; ++stop) {
            if (rows.empty() || rows.back() != path.entries[stop].row) rows.push_back(path.entries[stop].row);
        }
        keys.raw(bytes_of(key));
        key_ends.number(static_cast<std::uint32_t>(keys.bytes().size()));
        if (rows.size() == 1) {
            postings.number(inline_row_flag | rows.front());
        } else {
            RowSet set;
            set.add_all(rows);
            const std::vector<std::uint8_t> bytes = set.serialized();
            postings.number(static_cast<std::uint64_t>(terms.bytes().size()));
            terms.number(static_cast<std::uint32_t>(bytes.size()));
            terms.raw(bytes);
        }
        ++term_count;
        start = stop;
    }
    paths.text(name);
    paths.number(term_count);
    const Placed placed[] = {place_rows(terms, path.present), place_rows(terms, path.lists), place_rows(terms, path.irregular),
                             place(terms, key_ends.bytes()),  place(terms, keys.bytes()),    place(terms, postings.bytes())};
    for (const Placed& part : placed) {
        paths.number(part.offset);
        paths.number(part.bytes);
    }
}

FilterIndexBuilder::Sections FilterIndexBuilder::finish() {
    codec::Writer paths;
    codec::Writer terms;
    paths.number(static_cast<std::uint32_t>(paths_.size()));
    paths.number(static_cast<std::uint32_t>(incomplete_ ? 1 : 0));
    for (auto& [name, path] : paths_) write_path(name, path, paths, terms);
    return {std::move(paths.bytes()), std::move(terms.bytes())};
}

}  // namespace dvesp::store
