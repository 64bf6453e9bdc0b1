/// node/vault_twins.hpp - small files of a vault, replaced atomically, whose content is there twice.
/// Bytes: docs/formats/vault.md (codec/vault_record.hpp, twin).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ports/files.hpp"

namespace dvesp::node {

struct VaultTwin {
    std::uint64_t generation = 0;
    std::vector<std::uint8_t> content;
    bool is_one_lost = false;  ///< the other copy is damaged: writing it again mends it
};

/// @return  empty when there is no such file    @errors corruption: both copies are damaged; io_failed
Result<std::optional<VaultTwin>> read_vault_twin(ports::Files& files, const std::string& path);
/// Durable when it returns. @errors storage_full, io_failed: the old content stays; timeout: old or new, looking tells
Result<void> replace_vault_twin(ports::Files& files, const std::string& directory, const std::string& path,
                                std::uint64_t generation, ByteView content);

}  // namespace dvesp::node
