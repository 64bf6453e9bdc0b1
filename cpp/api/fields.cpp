/// api/fields.cpp - types and ranges of members.
#include "api/fields.hpp"

#include <algorithm>

namespace dvesp::api {

const Json* Fields::find(std::string_view name) {
    known_.push_back(name);
    const auto found = object_.find(std::string(name));
    return found == object_.end() || found->is_null() ? nullptr : &*found;
}

Error Fields::wrong(std::string_view name, const std::string& wanted, const Json& value) const {
    return fail(ErrorCode::invalid_argument,
                prefix_ + std::string(name) + ": must be " + wanted + ", got " + std::string(value.type_name()));
}

Result<std::optional<std::string_view>> Fields::text(std::string_view name) {
    const Json* value = find(name);
    if (value == nullptr) return std::optional<std::string_view>();
    if (!value->is_string()) return wrong(name, "a string", *value);
    return std::optional<std::string_view>(value->get_ref<const std::string&>());
}

Result<std::string_view> Fields::needed_text(std::string_view name) {
    DVESP_ASSIGN(const auto given, text(name));
    if (!given) return fail(ErrorCode::invalid_argument, prefix_ + std::string(name) + ": is missing");
    return *given;
}

Result<std::optional<std::uint64_t>> Fields::integer(std::string_view name, std::uint64_t least, std::uint64_t most) {
    const Json* value = find(name);
    if (value == nullptr) return std::optional<std::uint64_t>();
    const std::string range = "an integer of " + std::to_string(least) + ".." + std::to_string(most);
    if (!value->is_number_integer()) return wrong(name, range, *value);
    const bool is_within =
        value->is_number_unsigned() && value->get<std::uint64_t>() >= least && value->get<std::uint64_t>() <= most;
    if (!is_within)
        return fail(ErrorCode::invalid_argument, prefix_ + std::string(name) + ": must be " + range + ", got " + value->dump());
    return std::optional<std::uint64_t>(value->get<std::uint64_t>());
}

Result<std::optional<double>> Fields::number(std::string_view name) {
    const Json* value = find(name);
    if (value == nullptr) return std::optional<double>();
    if (!value->is_number()) return wrong(name, "a number", *value);
    return std::optional<double>(value->get<double>());
}

Result<bool> Fields::flag(std::string_view name, bool fallback) {
    const Json* value = find(name);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) return wrong(name, "true or false", *value);
    return value->get<bool>();
}

Result<const Json*> Fields::object(std::string_view name) {
    const Json* value = find(name);
    if (value != nullptr && !value->is_object()) return wrong(name, "an object", *value);
    return value;
}

Result<std::optional<std::vector<std::string_view>>> Fields::texts(std::string_view name, std::size_t count_max) {
    const Json* value = find(name);
    if (value == nullptr) return std::optional<std::vector<std::string_view>>();
    std::vector<std::string_view> out;
    if (value->is_string()) {
        out.emplace_back(value->get_ref<const std::string&>());
        return std::optional(std::move(out));
    }
    if (!value->is_array()) return wrong(name, "a list of strings", *value);
    if (value->size() > count_max) {
        return fail(ErrorCode::invalid_argument,
                    prefix_ + std::string(name) + ": more than " + std::to_string(count_max) + " elements; split them");
    }
    for (std::size_t row = 0; row < value->size(); ++row) {
        const Json& item = (*value)[row];
        if (!item.is_string()) return wrong(std::string(name) + ": row " + std::to_string(row), "a string", item);
        out.emplace_back(item.get_ref<const std::string&>());
    }
    return std::optional(std::move(out));
}

Result<void> Fields::finish() const {
    for (const auto& [name, value] : object_.items()) {
        if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
        std::string known;
        for (const std::string_view one : known_) known += (known.empty() ? "" : ", ") + std::string(one);
        return fail(ErrorCode::invalid_argument, "'" + prefix_ + name.substr(0, 100) + "' is unknown here; known are " +
                                                     (known.empty() ? "no members" : known));
    }
    return {};
}

}  // namespace dvesp::api
