/// base/result.cpp - the error table as data.
#include "base/result.hpp"

#include <array>

namespace dvesp {
namespace {

constexpr std::array error_table = {
#define DVESP_ERROR(name, number, outcome, http, python_class, sentence) \
    ErrorInfo{ErrorCode::name, #name, Outcome::outcome, http, #python_class, sentence},
#include "base/errors.def"
#undef DVESP_ERROR
};

}  // namespace

std::span<const ErrorInfo> error_infos() noexcept { return error_table; }

const ErrorInfo& error_info(ErrorCode code) noexcept {
    for (const ErrorInfo& info : error_table) {
        if (info.code == code) return info;
    }
    assertion_failed("error code is in errors.def", __FILE__, __LINE__);
}

}  // namespace dvesp
