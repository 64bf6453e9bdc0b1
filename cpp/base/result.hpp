/// base/result.hpp - values or errors from the one error table (base/errors.def).
/// A Result must be looked at; errors carry a sentence that names what was wrong, where, and what to do.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "base/assert.hpp"

namespace dvesp {

enum class ErrorCode : std::uint16_t {
#define DVESP_ERROR(name, number, outcome, http, python_class, sentence) name = number,
#include "base/errors.def"
#undef DVESP_ERROR
};

/// What the caller may assume about the effect of the failed call.
enum class Outcome : std::uint8_t { not_done, maybe_done, bad_input, damaged };

struct ErrorInfo {
    ErrorCode code;
    const char* name;
    Outcome outcome;
    int http_status;
    const char* python_class;
    const char* sentence;
};

/// The row of errors.def for `code`. @threads any
const ErrorInfo& error_info(ErrorCode code) noexcept;
/// All rows. @threads any
std::span<const ErrorInfo> error_infos() noexcept;

struct Error {
    ErrorCode code;
    std::string message;
};

/// A value of type T or an Error. `value()` asserts that there is one.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::move(value)) {}                             // NOLINT(google-explicit-constructor)
    Result(Error error) : state_(tl::unexpected<Error>(std::move(error))) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool ok() const noexcept { return state_.has_value(); }
    explicit operator bool() const noexcept { return ok(); }

    [[nodiscard]] T& value() & {
        DVESP_ASSERT(ok());
        return *state_;
    }
    [[nodiscard]] const T& value() const& {
        DVESP_ASSERT(ok());
        return *state_;
    }
    [[nodiscard]] T&& value() && {
        DVESP_ASSERT(ok());
        return std::move(*state_);
    }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    [[nodiscard]] const Error& error() const& {
        DVESP_ASSERT(!ok());
        return state_.error();
    }
    [[nodiscard]] Error&& error() && {
        DVESP_ASSERT(!ok());
        return std::move(state_.error());
    }

  private:
    tl::expected<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : state_(tl::unexpected<Error>(std::move(error))) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] bool ok() const noexcept { return state_.has_value(); }
    explicit operator bool() const noexcept { return ok(); }
    [[nodiscard]] const Error& error() const& {
        DVESP_ASSERT(!ok());
        return state_.error();
    }

  private:
    tl::expected<void, Error> state_;
};

/// Shorthand for the return statement of a refusal.
[[nodiscard]] inline Error fail(ErrorCode code, std::string message) { return Error{code, std::move(message)}; }

}  // namespace dvesp

/// Returns the error of `expression` (a Result) to the caller, if it is one.
#define DVESP_TRY(expression)                                                                              \
    do {                                                                                                   \
        if (auto dvesp_try_result = (expression); !dvesp_try_result.ok()) return dvesp_try_result.error(); \
    } while (false)

#define DVESP_CONCAT_INNER(a, b) a##b
#define DVESP_CONCAT(a, b) DVESP_CONCAT_INNER(a, b)
/// `DVESP_ASSIGN(auto x, f())`: x = the value of f(), or returns its error.
#define DVESP_ASSIGN(declaration, expression)                                                                         \
    auto DVESP_CONCAT(dvesp_result_, __LINE__) = (expression);                                                        \
    if (!DVESP_CONCAT(dvesp_result_, __LINE__).ok()) return std::move(DVESP_CONCAT(dvesp_result_, __LINE__)).error(); \
    declaration = std::move(DVESP_CONCAT(dvesp_result_, __LINE__)).value()
