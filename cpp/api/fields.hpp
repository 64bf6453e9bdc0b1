/// api/fields.hpp - the members of a JSON object, asked for one by one with their types; what nobody asked for is refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/document.hpp"

namespace dvesp::api {

/// Absent and null are the same. @errors of all: invalid_argument, naming the member  @threads one
class Fields {
  public:
    /// @param prefix stands before the names in messages, such as "params."
    explicit Fields(const Json& object, std::string prefix = "") : object_(object), prefix_(std::move(prefix)) {}

    /// nullptr when absent.
    [[nodiscard]] const Json* find(std::string_view name);
    Result<std::optional<std::string_view>> text(std::string_view name);
    Result<std::string_view> needed_text(std::string_view name);
    Result<std::optional<std::uint64_t>> integer(std::string_view name, std::uint64_t least, std::uint64_t most);
    Result<std::optional<double>> number(std::string_view name);
    Result<bool> flag(std::string_view name, bool fallback);
    Result<const Json*> object(std::string_view name);
    /// One text, or a list of at most `count_max`; nullopt when absent. The views point into the object.
    Result<std::optional<std::vector<std::string_view>>> texts(std::string_view name, std::size_t count_max);
    /// Refuses members that were not asked for.
    [[nodiscard]] Result<void> finish() const;

  private:
    [[nodiscard]] Error wrong(std::string_view name, const std::string& wanted, const Json& value) const;
    const Json& object_;
    std::string prefix_;
    std::vector<std::string_view> known_;
};

}  // namespace dvesp::api
