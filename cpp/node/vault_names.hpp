/// node/vault_names.hpp - what the files of a vault are called.
#pragma once

#include "base/sha256.hpp"
#include "node/vault_scan.hpp"

namespace dvesp::node {

inline constexpr const char* vault_device_file = "device";
inline constexpr const char* vault_lock_file = "lock";
inline constexpr const char* vault_reserve_file = "reserve";
inline constexpr const char* vault_records_directory = "named";

}  // namespace dvesp::node
