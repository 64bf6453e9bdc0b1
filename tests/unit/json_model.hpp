/// tests/unit/json_model.hpp - JSON values, what filters mean on them, and random ones: the slow twin of store/filter.
/// Written from docs/formats/filters.md and metadata.md alone; shares no code with the store but the CBOR writer.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/prng.hpp"
#include "codec/cbor.hpp"

namespace dvesp::test {

struct Json;
using JsonList = std::vector<Json>;
using JsonMap = std::vector<std::pair<std::string, Json>>;

/// magnitude, or -1 - magnitude: what CBOR integers can be.
struct JsonInteger {
    bool negative = false;
    std::uint64_t magnitude = 0;
};

struct Json {
    std::variant<std::monostate, bool, JsonInteger, double, std::string, JsonList, JsonMap> value;

    Json() = default;
    Json(bool flag) : value(flag) {}                                   // NOLINT(google-explicit-constructor)
    Json(int number) : value(integer(number)) {}                       // NOLINT(google-explicit-constructor)
    Json(std::int64_t number) : value(integer(number)) {}              // NOLINT(google-explicit-constructor)
    Json(std::uint64_t number) : value(JsonInteger{false, number}) {}  // NOLINT(google-explicit-constructor)
    Json(JsonInteger number) : value(number) {}                        // NOLINT(google-explicit-constructor)
    Json(double number) : value(number) {}                             // NOLINT(google-explicit-constructor)
    Json(const char* text) : value(std::string(text)) {}               // NOLINT(google-explicit-constructor)
    Json(std::string text) : value(std::move(text)) {}                 // NOLINT(google-explicit-constructor)
    Json(JsonList list) : value(std::move(list)) {}                    // NOLINT(google-explicit-constructor)
    Json(JsonMap map) : value(std::move(map)) {}                       // NOLINT(google-explicit-constructor)

    [[nodiscard]] const JsonMap* map() const { return std::get_if<JsonMap>(&value); }
    [[nodiscard]] const JsonList* list() const { return std::get_if<JsonList>(&value); }
    [[nodiscard]] const std::string* text() const { return std::get_if<std::string>(&value); }

  private:
    static JsonInteger integer(std::int64_t number) {
        return number < 0 ? JsonInteger{true, static_cast<std::uint64_t>(-(number + 1))}
                          : JsonInteger{false, static_cast<std::uint64_t>(number)};
    }
};

inline void write_cbor(codec::Writer& out, const Json& json) {
    namespace cbor = codec::cbor;
    if (const auto* flag = std::get_if<bool>(&json.value)) return cbor::write_boolean(out, *flag);
    if (const auto* real = std::get_if<double>(&json.value)) return cbor::write_real(out, *real);
    if (json.text() != nullptr) return cbor::write_text(out, *json.text());
    if (const auto* number = std::get_if<JsonInteger>(&json.value)) {
        const std::size_t head = out.bytes().size();
        cbor::write_unsigned(out, number->magnitude);
        if (number->negative) out.bytes()[head] |= 0x20;  // the same argument under major type 1
        return;
    }
    if (json.list() != nullptr) {
        cbor::write_array(out, json.list()->size());
        for (const Json& element : *json.list()) write_cbor(out, element);
        return;
    }
    if (json.map() != nullptr) {
        cbor::write_map(out, json.map()->size());
        for (const auto& [key, member] : *json.map()) {
            cbor::write_text(out, key);
            write_cbor(out, member);
        }
        return;
    }
    cbor::write_null(out);
}

inline std::vector<std::uint8_t> to_cbor(const Json& json) {
    codec::Writer out;
    write_cbor(out, json);
    return std::move(out.bytes());
}

/// prefix, then the number. (g++ 12 warns falsely, -Wrestrict, where a literal is added in front of a temporary string.)
inline std::string numbered(const char* prefix, std::uint64_t number) {
    std::string out(prefix);
    return out += std::to_string(number);
}

// ------------------------------------------------------------------------------------------ what filters mean

__extension__ using Wide = __int128;

inline std::optional<Wide> whole(const Json& json) {
    const auto* number = std::get_if<JsonInteger>(&json.value);
    if (number == nullptr) return std::nullopt;
    const auto magnitude = static_cast<Wide>(number->magnitude);
    return number->negative ? -1 - magnitude : magnitude;
}

inline int order_of(Wide a, Wide b) { return a < b ? -1 : (b < a ? 1 : 0); }

/// Exact order of an integer and a double, without a type that holds both.
inline int order_of(Wide a, double b) {
    if (b >= 0x1p70) return -1;
    if (b <= -0x1p70) return 1;
    const double truncated = std::trunc(b);
    const int order = order_of(a, static_cast<Wide>(truncated));
    if (order != 0) return order;
    return b > truncated ? -1 : (b < truncated ? 1 : 0);
}

/// Order of two scalars of one class; nullopt when they are of different classes, or lists or maps.
inline std::optional<int> order_scalars(const Json& a, const Json& b) {
    const auto* real_a = std::get_if<double>(&a.value);
    const auto* real_b = std::get_if<double>(&b.value);
    const auto whole_a = whole(a);
    const auto whole_b = whole(b);
    if (whole_a && whole_b) return order_of(*whole_a, *whole_b);
    if (whole_a && real_b != nullptr) return order_of(*whole_a, *real_b);
    if (real_a != nullptr && whole_b) return -order_of(*whole_b, *real_a);
    if (real_a != nullptr && real_b != nullptr) return *real_a < *real_b ? -1 : (*real_b < *real_a ? 1 : 0);
    if (a.value.index() != b.value.index()) return std::nullopt;
    if (a.text() != nullptr) {
        const int order = a.text()->compare(*b.text());
        return order < 0 ? -1 : (order > 0 ? 1 : 0);
    }
    if (const auto* flag = std::get_if<bool>(&a.value))
        return static_cast<int>(*flag) - static_cast<int>(std::get<bool>(b.value));
    if (std::holds_alternative<std::monostate>(a.value)) return 0;
    return std::nullopt;
}

inline bool is_scalar(const Json& json) { return json.list() == nullptr && json.map() == nullptr; }

inline bool deep_equal(const Json& a, const Json& b) {
    if (is_scalar(a) || is_scalar(b)) return order_scalars(a, b) == 0;
    if (a.list() != nullptr && b.list() != nullptr) {
        return std::equal(a.list()->begin(), a.list()->end(), b.list()->begin(), b.list()->end(), deep_equal);
    }
    if (a.map() == nullptr || b.map() == nullptr || a.map()->size() != b.map()->size()) return false;
    return std::all_of(a.map()->begin(), a.map()->end(), [&](const auto& member) {
        return std::any_of(b.map()->begin(), b.map()->end(), [&](const auto& other) {
            return other.first == member.first && deep_equal(other.second, member.second);
        });
    });
}

inline bool equal_or_element(const Json& value, const Json& wanted) {
    if (deep_equal(value, wanted)) return true;
    if (value.list() == nullptr || !is_scalar(wanted)) return false;
    return std::any_of(value.list()->begin(), value.list()->end(),
                       [&](const Json& element) { return deep_equal(element, wanted); });
}

inline const Json* look_up(const Json& map, const std::string& path) {
    if (map.map() == nullptr) return nullptr;
    const auto member = [&](const std::string& key) -> const Json* {
        for (const auto& [name, value] : *map.map()) {
            if (name == key) return &value;
        }
        return nullptr;
    };
    if (const Json* literal = member(path)) return literal;
    for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
        const Json* inner = member(path.substr(0, dot));
        const Json* found = inner == nullptr ? nullptr : look_up(*inner, path.substr(dot + 1));
        if (found != nullptr) return found;
    }
    return nullptr;
}

inline bool ordered_naively(const std::string& op, const Json& value, const Json& bound) {
    if (value.list() != nullptr) {
        return std::any_of(value.list()->begin(), value.list()->end(),
                           [&](const Json& element) { return is_scalar(element) && ordered_naively(op, element, bound); });
    }
    const auto order = order_scalars(value, bound);
    if (!order) return false;
    if (op == "$gt") return *order > 0;
    if (op == "$gte") return *order >= 0;
    return op == "$lt" ? *order < 0 : *order <= 0;
}

inline bool contains_naively(const Json& value, const Json& wanted) {
    if (value.text() != nullptr && wanted.text() != nullptr) return value.text()->find(*wanted.text()) != std::string::npos;
    if (value.list() == nullptr) return false;
    return std::any_of(value.list()->begin(), value.list()->end(),
                       [&](const Json& element) { return deep_equal(element, wanted); });
}

bool condition_holds(const Json& condition, const Json* value);

inline bool operator_holds(const std::string& op, const Json& operand, const Json* value) {
    if (op == "$exists") return (value != nullptr) == std::get<bool>(operand.value);
    if (op == "$not") return !condition_holds(operand, value);
    if (op == "$ne") return value == nullptr || !equal_or_element(*value, operand);
    const auto among = [&] {
        return value != nullptr && std::any_of(operand.list()->begin(), operand.list()->end(),
                                               [&](const Json& wanted) { return equal_or_element(*value, wanted); });
    };
    if (op == "$in") return among();
    if (op == "$nin") return !among();
    if (value == nullptr) return false;
    if (op == "$eq") return equal_or_element(*value, operand);
    if (op == "$contains") return contains_naively(*value, operand);
    return ordered_naively(op, *value, operand);
}

/// Whether a field with this value (nullptr: the row has no such field) meets a condition: a value or a map of operators.
inline bool condition_holds(const Json& condition, const Json* value) {
    if (condition.map() == nullptr) return operator_holds("$eq", condition, value);
    return std::all_of(condition.map()->begin(), condition.map()->end(),
                       [&](const auto& member) { return operator_holds(member.first, member.second, value); });
}

inline bool passes_naively(const Json& filter, const Json& metadata) {
    return std::all_of(filter.map()->begin(), filter.map()->end(), [&](const auto& member) {
        const auto& [key, operand] = member;
        const auto passes = [&](const Json& child) { return passes_naively(child, metadata); };
        if (key == "$not") return !passes(operand);
        if (key == "$and") return std::all_of(operand.list()->begin(), operand.list()->end(), passes);
        if (key == "$or") return std::any_of(operand.list()->begin(), operand.list()->end(), passes);
        return condition_holds(operand, look_up(metadata, key));
    });
}

// ------------------------------------------------------------------------------------------ random values

/// Draws values that collide often and that are hard: big integers, minus zero, long texts, dotted keys.
class JsonMaker {
  public:
    explicit JsonMaker(std::uint64_t seed) : prng_(seed) {}

    Json scalar() {
        static const std::vector<Json> pool = {
            Json(),
            Json(true),
            Json(false),
            Json(0),
            Json(1),
            Json(-1),
            Json(2),
            Json(-0.0),
            Json(1.0),
            Json(1.5),
            Json(-1.5),
            Json(std::uint64_t{1} << 53),
            Json((std::uint64_t{1} << 53) + 1),
            Json(0x1p53),
            Json(JsonInteger{true, (std::uint64_t{1} << 53)}),
            Json(JsonInteger{false, ~std::uint64_t{0}}),
            Json(JsonInteger{true, ~std::uint64_t{0}}),
            Json(0x1p64),
            Json(-0x1p64),
            Json(0x1p63),
            Json(std::uint64_t{1} << 63),
            Json(1e308),
            Json(-1e308),
            Json(5e-324),
            Json(""),
            Json("a"),
            Json("ab"),
            Json("b"),
            Json("1"),
            Json("2024-05-01"),
            Json("\xc3\xa9"),
            Json(std::string("a\0b", 3)),
            Json(std::string(200, 'a')),
            Json(std::string(201, 'a')),
            Json(std::string(200, 'a') + "b"),
            Json(std::string(300, 'z')),
        };
        return pool[prng_.below(pool.size())];
    }
    Json value(int depth = 0) {
        const std::uint64_t kind = prng_.below(depth < 3 ? 10 : 6);
        if (kind < 6) return scalar();
        if (kind < 8) {
            JsonList list(prng_.below(4));
            for (Json& element : list) element = prng_.chance(0.85) ? scalar() : value(depth + 1);
            return Json(std::move(list));
        }
        return map(depth + 1);
    }
    Json map(int depth = 0) {
        JsonMap members;
        for (std::uint64_t count = prng_.below(5); count > 0; --count) {
            std::string key = name();
            const bool known =
                std::any_of(members.begin(), members.end(), [&](const auto& member) { return member.first == key; });
            if (!known) members.emplace_back(std::move(key), value(depth + 1));
        }
        return Json(std::move(members));
    }
    std::string name() {
        static const std::vector<std::string> names = {"a", "a",   "b",     "b", "a.b", "a.b", "b.a",
                                                       "c", "b.c", "a.b.c", "",  ".",   "a."};
        return names[prng_.below(names.size())];
    }
    std::string path() {
        std::string out = name();
        for (std::uint64_t more = prng_.below(3); more > 0; --more) out.append(".").append(name());
        return out;
    }
    Json filter(int depth = 0) {
        JsonMap conditions;
        for (std::uint64_t count = 1 + prng_.below(2); count > 0; --count) {
            if (depth < 3 && prng_.chance(0.25)) {
                logical(conditions, depth);
            } else {
                std::string at = path();  // first: the order of arguments differs between compilers
                conditions.emplace_back(std::move(at), condition());
            }
        }
        return Json(std::move(conditions));
    }
    Prng& prng() { return prng_; }

  private:
    void logical(JsonMap& conditions, int depth) {
        if (prng_.chance(0.3)) {
            conditions.emplace_back("$not", filter(depth + 1));
            return;
        }
        JsonList children;
        for (std::uint64_t count = 1 + prng_.below(3); count > 0; --count) children.push_back(filter(depth + 1));
        conditions.emplace_back(prng_.chance(0.5) ? "$and" : "$or", Json(std::move(children)));
    }
    Json list_or_scalar() {
        if (prng_.chance(0.8)) return scalar();
        JsonList list(prng_.below(3));
        for (Json& element : list) element = prng_.chance(0.9) ? scalar() : value(2);
        return Json(std::move(list));
    }
    Json bound() {
        while (true) {
            Json drawn = scalar();
            const bool ordered =
                !std::holds_alternative<bool>(drawn.value) && !std::holds_alternative<std::monostate>(drawn.value);
            if (ordered) return drawn;
        }
    }
    Json condition(int depth = 0) {
        if (prng_.chance(0.2)) return list_or_scalar();
        static const std::vector<std::string> operators = {"$eq", "$ne",  "$gt",     "$gte",      "$lt", "$lte",
                                                           "$in", "$nin", "$exists", "$contains", "$not"};
        JsonMap out;
        for (std::uint64_t count = 1 + prng_.below(2); count > 0; --count) {
            const std::string& op = operators[prng_.below(operators.size() - (depth < 2 ? 0 : 1))];
            if (op == "$exists") {
                out.emplace_back(op, Json(prng_.chance(0.5)));
            } else if (op == "$not") {
                out.emplace_back(op, condition(depth + 1));
            } else if (op == "$in" || op == "$nin") {
                JsonList list(prng_.below(4));
                for (Json& element : list) element = list_or_scalar();
                out.emplace_back(op, Json(std::move(list)));
            } else {
                out.emplace_back(op, op.starts_with("$g") || op.starts_with("$l") ? bound() : list_or_scalar());
            }
        }
        return Json(std::move(out));
    }

    Prng prng_;
};

}  // namespace dvesp::test
