/// store/filter_index.cpp - evaluates filters on postings; what postings cannot decide is verified on the rows.
#include "store/filter_index.hpp"

#include <algorithm>

#include "store/term_key.hpp"

namespace dvesp::store {
namespace {

namespace cbor = codec::cbor;
using codec::load;

constexpr std::uint64_t inline_row_flag = std::uint64_t{1} << 63;
constexpr std::size_t path_bytes_max = std::size_t{16} << 20;

Error damaged() { return fail(ErrorCode::corruption, "the filter index is damaged"); }

Result<RowSet> parse_set(ByteView bytes, std::uint32_t rows) {
    if (bytes.empty()) return RowSet();
    auto set = RowSet::parse(bytes);
    if (!set || set->end() > rows) return damaged();
    return std::move(*set);
}

TermClass class_of_key(std::string_view key) noexcept { return static_cast<TermClass>(key.front()); }

}  // namespace

Result<FilterIndex> FilterIndex::parse(ByteView paths, ByteView terms, std::uint32_t rows) {
    FilterIndex index;
    index.terms_ = terms;
    index.rows_ = rows;
    codec::Reader reader(paths);
    const auto path_count = reader.number<std::uint32_t>();
    index.incomplete_ = reader.number<std::uint32_t>() != 0;
    if (path_count > filter_paths_max) return damaged();
    for (std::uint32_t at = 0; at < path_count && reader.ok(); ++at) {
        std::string name = reader.text(path_bytes_max);
        Path path;
        path.term_count = reader.number<std::uint32_t>();
        for (ByteView* part : {&path.present, &path.lists, &path.irregular, &path.key_ends, &path.keys, &path.postings}) {
            const auto offset = reader.number<std::uint64_t>();
            const auto bytes = reader.number<std::uint64_t>();
            if (offset > terms.size() || bytes > terms.size() - offset) return damaged();
            *part = terms.subspan(offset, bytes);
        }
        const std::uint64_t count = path.term_count;
        if (path.key_ends.size() != count * 4 || path.postings.size() != count * 8) return damaged();
        index.paths_.emplace(std::move(name), path);
    }
    if (!reader.ok() || !reader.at_end()) return damaged();
    return index;
}

std::string_view FilterIndex::key(const Path& path, std::uint32_t term) const noexcept {
    const std::uint64_t start = term == 0 ? 0 : load<std::uint32_t>(path.key_ends.data() + (std::uint64_t{term} - 1) * 4);
    const std::uint64_t stop = load<std::uint32_t>(path.key_ends.data() + std::uint64_t{term} * 4);
    if (start >= stop || stop > path.keys.size()) return std::string_view("\0", 1);  // damaged: the smallest key
    return text_of(path.keys.subspan(start, stop - start));
}

std::uint32_t FilterIndex::lower_bound(const Path& path, std::string_view wanted, bool after_equal) const noexcept {
    std::uint32_t low = 0;
    std::uint32_t high = path.term_count;
    while (low < high) {
        const std::uint32_t middle = low + (high - low) / 2;
        const int order = key(path, middle).compare(wanted);
        if (order < 0 || (order == 0 && after_equal)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

Result<void> FilterIndex::add_term(const Path& path, std::uint32_t term, RowSet& rows) const {
    const auto posting = load<std::uint64_t>(path.postings.data() + std::uint64_t{term} * 8);
    if ((posting & inline_row_flag) != 0) {
        const std::uint64_t row = posting & ~inline_row_flag;
        if (row >= rows_) return damaged();
        rows.add(static_cast<std::uint32_t>(row));
        return {};
    }
    if (posting > terms_.size() || terms_.size() - posting < 4) return damaged();
    const auto bytes = load<std::uint32_t>(terms_.data() + posting);
    if (bytes > terms_.size() - posting - 4) return damaged();
    DVESP_ASSIGN(const RowSet set, parse_set(terms_.subspan(posting + 4, bytes), rows_));
    rows |= set;
    return {};
}

Result<RowSet> FilterIndex::rows_of_terms(const Path& path, std::uint32_t first, std::uint32_t last) const {
    RowSet rows;
    for (std::uint32_t term = first; term < last; ++term) DVESP_TRY(add_term(path, term, rows));
    return rows;
}

Result<RowSet> FilterIndex::rows_of_key(const Path& path, std::string_view wanted) const {
    const std::uint32_t term = lower_bound(path, wanted, false);
    if (term == path.term_count || key(path, term) != wanted) return RowSet();
    return rows_of_terms(path, term, term + 1);
}

Result<RowSet> FilterIndex::verified(const Filter& filter, const RowSet& candidates, const MetadataOf& metadata_of) const {
    RowSet rows;
    for (const std::uint32_t row : candidates.rows()) {
        if (row >= rows_) return damaged();
        const auto metadata = metadata_of(row);
        if (!metadata) return damaged();
        if (matches(filter, *metadata)) rows.add(row);
    }
    return rows;
}

Result<RowSet> FilterIndex::range(const Filter& filter, const Path& path) const {
    const auto bound = term_key(filter.values.front());
    if (!bound) return RowSet();  // a long text: only irregular rows and the scan of all text terms below can tell
    const auto klass = static_cast<std::uint8_t>(class_of_key(*bound));
    const std::uint32_t class_first = lower_bound(path, std::string(1, static_cast<char>(klass)), false);
    const std::uint32_t class_last = lower_bound(path, std::string(1, static_cast<char>(klass + 1)), false);
    switch (filter.op) {
        case Filter::Op::gt:
            return rows_of_terms(path, lower_bound(path, *bound, true), class_last);
        case Filter::Op::gte:
            return rows_of_terms(path, lower_bound(path, *bound, false), class_last);
        case Filter::Op::lt:
            return rows_of_terms(path, class_first, lower_bound(path, *bound, false));
        default:
            return rows_of_terms(path, class_first, lower_bound(path, *bound, true));
    }
}

Result<RowSet> FilterIndex::contains(const Filter& filter, const Path& path, const MetadataOf& metadata_of) const {
    DVESP_ASSIGN(const RowSet lists, parse_set(path.lists, rows_));
    const ByteView operand = filter.values.front();
    const auto wanted = term_key(operand);
    if (!wanted) {
        DVESP_ASSIGN(const RowSet present, parse_set(path.present, rows_));
        return verified(filter, present, metadata_of);
    }
    DVESP_ASSIGN(RowSet rows, rows_of_key(path, *wanted));
    rows &= lists;
    if (class_of_key(*wanted) != TermClass::text) return rows;
    RowSet texts;
    const std::string_view needle = std::string_view(*wanted).substr(1);
    for (std::uint32_t term = lower_bound(path, "\3", false); term < path.term_count; ++term) {
        if (key(path, term).substr(1).find(needle) != std::string_view::npos) DVESP_TRY(add_term(path, term, texts));
    }
    texts -= lists;  // a list contains elements, not parts of them
    rows |= texts;
    DVESP_ASSIGN(const RowSet irregular, parse_set(path.irregular, rows_));
    DVESP_ASSIGN(const RowSet checked, verified(filter, irregular, metadata_of));
    rows |= checked;
    return rows;
}

Result<RowSet> FilterIndex::leaf_on_path(const Filter& filter, const Path& path, const MetadataOf& metadata_of) const {
    if (filter.op == Filter::Op::contains) return contains(filter, path, metadata_of);
    RowSet rows;
    bool undecided = false;  // an operand without a key: lists and long texts are compared row by row
    if (filter.op == Filter::Op::in) {
        undecided = !filter.values.empty();
        for (const std::string& wanted : filter.keys) {
            const std::uint32_t term = lower_bound(path, wanted, false);
            if (term < path.term_count && key(path, term) == wanted) DVESP_TRY(add_term(path, term, rows));
        }
    } else {
        const auto wanted = term_key(filter.values.front());
        undecided = !wanted.has_value();
        if (filter.op == Filter::Op::eq) {
            if (wanted) {
                DVESP_ASSIGN(rows, rows_of_key(path, *wanted));
            }
        } else {
            DVESP_ASSIGN(rows, range(filter, path));
        }
    }
    DVESP_ASSIGN(const RowSet candidates, parse_set(undecided ? path.present : path.irregular, rows_));
    DVESP_ASSIGN(const RowSet checked, verified(filter, candidates, metadata_of));
    rows |= checked;
    return rows;
}

Result<RowSet> FilterIndex::leaf(const Filter& filter, const MetadataOf& metadata_of) const {
    const auto found = paths_.find(filter.path);
    if (found == paths_.end()) {
        if (incomplete_) return verified(filter, RowSet::range(0, rows_), metadata_of);
        return filter.op == Filter::Op::exists && !filter.flag ? RowSet::range(0, rows_) : RowSet();
    }
    if (filter.op != Filter::Op::exists) return leaf_on_path(filter, found->second, metadata_of);
    DVESP_ASSIGN(RowSet present, parse_set(found->second.present, rows_));
    if (filter.flag) return present;
    RowSet absent = RowSet::range(0, rows_);
    absent -= present;
    return absent;
}

Result<RowSet> FilterIndex::evaluate(const Filter& filter, const MetadataOf& metadata_of) const {
    if (filter.op != Filter::Op::all_of && filter.op != Filter::Op::any_of && filter.op != Filter::Op::none_of) {
        return leaf(filter, metadata_of);
    }
    RowSet rows = filter.op == Filter::Op::all_of ? RowSet::range(0, rows_) : RowSet();
    for (const Filter& child : filter.children) {
        DVESP_ASSIGN(const RowSet passing, evaluate(child, metadata_of));
        if (filter.op == Filter::Op::all_of) {
            rows &= passing;
        } else {
            rows |= passing;
        }
    }
    if (filter.op != Filter::Op::none_of) return rows;
    RowSet rest = RowSet::range(0, rows_);
    rest -= rows;
    return rest;
}

}  // namespace dvesp::store
