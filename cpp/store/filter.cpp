/// store/filter.cpp - parses filters and evaluates them on metadata bytes.
#include "store/filter.hpp"

#include <algorithm>
#include <array>

#include "store/term_key.hpp"

namespace dvesp::store {
namespace {

namespace cbor = codec::cbor;
using codec::Reader;

/// Class of a scalar: values of different classes are never equal nor ordered.
int class_of(cbor::Kind kind) noexcept {
    switch (kind) {
        case cbor::Kind::null:
            return 0;
        case cbor::Kind::boolean:
            return 1;
        case cbor::Kind::integer:
        case cbor::Kind::real:
            return 2;
        case cbor::Kind::text:
            return 3;
        default:
            return -1;
    }
}

cbor::Item head_of(ByteView bytes) noexcept {
    Reader reader(bytes);
    return cbor::read(reader);
}

template <class T>
int order(const T& a, const T& b) noexcept {
    return a < b ? -1 : (b < a ? 1 : 0);
}

bool scalars_equal(ByteView a, ByteView b) noexcept { return compare_scalars(a, b) == 0; }

/// Deep equality; numbers by value, maps regardless of order.
bool items_equal(ByteView a, ByteView b) noexcept;

std::vector<ByteView> elements_of(ByteView array) {
    Reader reader(array);
    const cbor::Item head = cbor::read(reader);
    std::vector<ByteView> out;
    for (std::uint64_t index = 0; head.kind == cbor::Kind::array && index < head.count; ++index) {
        const std::size_t start = array.size() - reader.left();
        if (!cbor::skip(reader)) break;
        out.push_back(array.subspan(start, array.size() - reader.left() - start));
    }
    return out;
}

bool maps_equal(ByteView a, ByteView b) noexcept {
    Reader reader(a);
    const cbor::Item head = cbor::read(reader);
    if (head.count != head_of(b).count) return false;
    for (std::uint64_t index = 0; index < head.count; ++index) {
        const cbor::Item key = cbor::read(reader);
        const std::size_t start = a.size() - reader.left();
        if (!cbor::skip(reader)) return false;
        Reader other(b);
        const cbor::Item other_head = cbor::read(other);
        bool found = false;
        for (std::uint64_t at = 0; at < other_head.count && !found; ++at) {
            const cbor::Item name = cbor::read(other);
            const std::size_t value_start = b.size() - other.left();
            if (!cbor::skip(other)) return false;
            found = name.text == key.text && items_equal(a.subspan(start, a.size() - reader.left() - start),
                                                         b.subspan(value_start, b.size() - other.left() - value_start));
        }
        if (!found) return false;
    }
    return true;
}

bool items_equal(ByteView a, ByteView b) noexcept {
    const cbor::Kind kind_a = head_of(a).kind;
    const cbor::Kind kind_b = head_of(b).kind;
    if (class_of(kind_a) >= 0) return scalars_equal(a, b);
    if (kind_a != kind_b) return false;
    if (kind_a == cbor::Kind::map) return maps_equal(a, b);
    const auto elements_a = elements_of(a);
    const auto elements_b = elements_of(b);
    return std::equal(elements_a.begin(), elements_a.end(), elements_b.begin(), elements_b.end(), items_equal);
}

/// Equality as filters mean it: the value itself, or a scalar among a list's elements.
bool equals(ByteView value, ByteView wanted) noexcept {
    if (items_equal(value, wanted)) return true;
    if (head_of(value).kind != cbor::Kind::array || class_of(head_of(wanted).kind) < 0) return false;
    const auto elements = elements_of(value);
    return std::any_of(elements.begin(), elements.end(), [&](ByteView element) { return scalars_equal(element, wanted); });
}

bool ordered(Filter::Op op, ByteView value, ByteView bound) noexcept {
    if (head_of(value).kind == cbor::Kind::array) {
        const auto elements = elements_of(value);
        return std::any_of(elements.begin(), elements.end(), [&](ByteView element) {
            return class_of(head_of(element).kind) >= 0 && ordered(op, element, bound);
        });
    }
    const auto comparison = compare_scalars(value, bound);
    if (!comparison) return false;
    switch (op) {
        case Filter::Op::gt:
            return *comparison > 0;
        case Filter::Op::gte:
            return *comparison >= 0;
        case Filter::Op::lt:
            return *comparison < 0;
        default:
            return *comparison <= 0;
    }
}

bool contains(ByteView value, ByteView wanted) noexcept {
    const cbor::Item head = head_of(value);
    const cbor::Item needle = head_of(wanted);
    if (head.kind == cbor::Kind::text && needle.kind == cbor::Kind::text)
        return head.text.find(needle.text) != std::string_view::npos;
    const auto elements = elements_of(value);
    return std::any_of(elements.begin(), elements.end(), [&](ByteView element) { return items_equal(element, wanted); });
}

bool has_key(const std::vector<std::string>& keys, ByteView scalar) {
    const auto key = term_key(scalar);
    return key && std::binary_search(keys.begin(), keys.end(), *key);
}

bool among(const Filter& filter, ByteView value) {
    if (has_key(filter.keys, value)) return true;
    for (const ByteView element : elements_of(value)) {
        if (has_key(filter.keys, element)) return true;
    }
    return std::any_of(filter.values.begin(), filter.values.end(), [&](const auto& wanted) { return equals(value, wanted); });
}

// ---------------------------------------------------------------------------------------------------- parsing

struct OperatorName {
    std::string_view name;
    Filter::Op op;
    bool negated;
};
constexpr std::array<OperatorName, 10> operators = {{
    {"$eq", Filter::Op::eq, false},
    {"$ne", Filter::Op::eq, true},
    {"$gt", Filter::Op::gt, false},
    {"$gte", Filter::Op::gte, false},
    {"$lt", Filter::Op::lt, false},
    {"$lte", Filter::Op::lte, false},
    {"$in", Filter::Op::in, false},
    {"$nin", Filter::Op::in, true},
    {"$exists", Filter::Op::exists, false},
    {"$contains", Filter::Op::contains, false},
}};

Error refuse(const std::string& what) { return fail(ErrorCode::invalid_argument, "filter: " + what); }

class Parser {
  public:
    Result<Filter> parse_map(ByteView map, int depth) {
        if (depth > cbor::depth_max) return refuse("nested deeper than 32 levels; flatten it");
        Filter out;
        Reader reader(map);
        const cbor::Item head = cbor::read(reader);
        if (head.kind != cbor::Kind::map) return refuse("must be a dict such as {\"field\": value}");
        for (std::uint64_t index = 0; index < head.count; ++index) {
            const std::string key(cbor::read(reader).text);
            const std::size_t start = map.size() - reader.left();
            if (!cbor::skip(reader)) return refuse("malformed");
            const ByteView value = map.subspan(start, map.size() - reader.left() - start);
            auto child = key.starts_with('$') ? parse_logical(key, value, depth) : parse_field(key, value);
            if (!child.ok()) return child.error();
            out.children.push_back(std::move(*child));
        }
        return out;
    }

  private:
    Result<Filter> parse_logical(const std::string& key, ByteView value, int depth) {
        Filter out;
        if (key == "$not") {
            out.op = Filter::Op::none_of;
            DVESP_TRY(count_node());
            DVESP_ASSIGN(Filter child, parse_map(value, depth + 1));
            out.children.push_back(std::move(child));
            return out;
        }
        if (key != "$and" && key != "$or") {
            return refuse("unknown operator " + key + "; at this level $and, $or and $not are known");
        }
        if (head_of(value).kind != cbor::Kind::array) return refuse(key + " takes a list of filters");
        out.op = key == "$and" ? Filter::Op::all_of : Filter::Op::any_of;
        for (const ByteView element : elements_of(value)) {
            DVESP_TRY(count_node());
            DVESP_ASSIGN(Filter child, parse_map(element, depth + 1));
            out.children.push_back(std::move(child));
        }
        if (out.children.empty()) return refuse(key + " takes a list of at least one filter");
        return out;
    }

    Result<Filter> parse_field(const std::string& path, ByteView value) {
        Filter out;
        if (head_of(value).kind != cbor::Kind::map) return leaf(path, operators[0], value);
        Reader reader(value);
        const cbor::Item head = cbor::read(reader);
        for (std::uint64_t index = 0; index < head.count; ++index) {
            const std::string_view name = cbor::read(reader).text;
            const std::size_t start = value.size() - reader.left();
            if (!cbor::skip(reader)) return refuse("malformed");
            const ByteView operand = value.subspan(start, value.size() - reader.left() - start);
            auto child = parse_operator(path, name, operand);
            if (!child.ok()) return child.error();
            out.children.push_back(std::move(*child));
        }
        if (out.children.empty()) return refuse("field '" + path + "' has an empty condition; give a value or an operator");
        return out;
    }

    Result<Filter> parse_operator(const std::string& path, std::string_view name, ByteView operand) {
        for (const OperatorName& known : operators) {
            if (known.name == name) return leaf(path, known, operand);
        }
        if (name == "$not") {
            Filter out;
            out.op = Filter::Op::none_of;
            auto inner = parse_field(path, operand);
            if (!inner.ok()) return inner.error();
            out.children.push_back(std::move(*inner));
            return out;
        }
        return refuse("unknown operator '" + std::string(name) + "' for field '" + path +
                      "'; known are $eq $ne $gt $gte $lt $lte $in $nin $exists $contains $not");
    }

    Result<Filter> leaf(const std::string& path, const OperatorName& known, ByteView operand) {
        DVESP_TRY(count_node());
        Filter out;
        out.op = known.op;
        out.path = path;
        DVESP_TRY(take_operand(out, known, operand));
        if (!known.negated) return out;
        Filter negation;
        negation.op = Filter::Op::none_of;
        negation.children.push_back(std::move(out));
        return negation;
    }

    Result<void> take_operand(Filter& out, const OperatorName& known, ByteView operand) {
        const cbor::Kind kind = head_of(operand).kind;
        const std::string where = std::string(known.name) + " of field '" + out.path + "'";
        if (known.op == Filter::Op::in) {
            if (kind != cbor::Kind::array) return refuse(where + " takes a list of values");
            const auto elements = elements_of(operand);
            if (elements.size() > filter_values_max) return refuse(where + " takes at most 100,000 values");
            for (const ByteView element : elements) {
                if (head_of(element).kind == cbor::Kind::map) return refuse(where + " takes scalars or lists, not dicts");
                if (auto key = term_key(element)) {
                    out.keys.push_back(std::move(*key));
                } else {
                    out.values.emplace_back(element.begin(), element.end());
                }
            }
            std::sort(out.keys.begin(), out.keys.end());
            out.keys.erase(std::unique(out.keys.begin(), out.keys.end()), out.keys.end());
            return {};
        }
        if (known.op == Filter::Op::exists) {
            if (kind != cbor::Kind::boolean) return refuse(where + " takes true or false");
            out.flag = head_of(operand).boolean;
            return {};
        }
        const bool comparison = known.op != Filter::Op::eq && known.op != Filter::Op::contains;
        if (comparison && class_of(kind) < 2) return refuse(where + " takes a number or a string");
        if (kind == cbor::Kind::map) return refuse(where + " takes a scalar or a list, not a dict");
        out.values.emplace_back(operand.begin(), operand.end());
        return {};
    }

    /// Every comparison and every filter inside a filter counts, wherever it stands.
    Result<void> count_node() {
        if (++node_count_ > filter_nodes_max) return refuse("more than 10,000 conditions; use $in");
        return {};
    }

    std::size_t node_count_ = 0;
};

}  // namespace

std::optional<int> compare_scalars(ByteView a, ByteView b) noexcept {
    const cbor::Item item_a = head_of(a);
    const cbor::Item item_b = head_of(b);
    const int kind = class_of(item_a.kind);
    if (kind < 0 || kind != class_of(item_b.kind)) return std::nullopt;
    switch (kind) {
        case 0:
            return 0;
        case 1:
            return order(item_a.boolean, item_b.boolean);
        case 2:
            return order(item_a.number(), item_b.number());
        default:
            return order(item_a.text, item_b.text);
    }
}

Result<Filter> parse_filter(ByteView bytes) {
    if (bytes.size() > filter_bytes_max) return refuse("larger than 64 MiB");
    if (!cbor::valid(bytes)) return refuse("malformed");
    return Parser().parse_map(bytes, 0);
}

bool value_matches(const Filter& filter, ByteView value) noexcept {
    switch (filter.op) {
        case Filter::Op::eq:
            return equals(value, filter.values.front());
        case Filter::Op::in:
            return among(filter, value);
        case Filter::Op::contains:
            return contains(value, filter.values.front());
        default:
            return ordered(filter.op, value, filter.values.front());
    }
}

bool matches(const Filter& filter, ByteView metadata) noexcept {
    const auto passes = [&](const Filter& child) { return matches(child, metadata); };
    switch (filter.op) {
        case Filter::Op::all_of:
            return std::all_of(filter.children.begin(), filter.children.end(), passes);
        case Filter::Op::any_of:
            return std::any_of(filter.children.begin(), filter.children.end(), passes);
        case Filter::Op::none_of:
            return std::none_of(filter.children.begin(), filter.children.end(), passes);
        default:
            break;
    }
    const auto value = cbor::find(metadata, filter.path);
    if (filter.op == Filter::Op::exists) return value.has_value() == filter.flag;
    return value.has_value() && value_matches(filter, *value);
}

}  // namespace dvesp::store
