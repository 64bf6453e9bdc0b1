/// node/vault_records.cpp - the small named files of a vault.
#include <algorithm>

#include "node/vault.hpp"
#include "node/vault_names.hpp"
#include "node/vault_twins.hpp"

namespace dvesp::node {
namespace {

constexpr std::string_view unfinished = ".new";

Result<std::string> record_path(std::string_view name) {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    const auto is_allowed = [&](char c) { return is_letter(c) || c == '.' || c == '_' || c == '-'; };
    const bool fits = !name.empty() && name.size() <= vault_record_name_bytes_max && is_letter(name.front());
    if (!fits || !std::all_of(name.begin(), name.end(), is_allowed) || name.ends_with(unfinished)) {
        return fail(ErrorCode::invalid_argument,
                    "'" + std::string(name) + "' cannot name a record: use 1 to 64 of a-z 0-9 . _ -");
    }
    return std::string(vault_records_directory) + "/" + std::string(name);
}

}  // namespace

Result<void> Vault::put_record(std::string_view name, ByteView bytes) {
    DVESP_ASSIGN(const std::string path, record_path(name));
    if (bytes.size() > vault_record_bytes_max) return fail(ErrorCode::invalid_argument, "a named record has at most 1 MiB");
    const std::scoped_lock writing(write_mutex_);
    DVESP_TRY(check_present(true));
    DVESP_TRY(replace_vault_twin(*files_, vault_records_directory, path, generation_, bytes));
    return check_present(true);
}

Result<std::optional<Vault::Bytes>> Vault::record(std::string_view name) const {
    DVESP_ASSIGN(const std::string path, record_path(name));
    DVESP_TRY(check_present(false));
    DVESP_ASSIGN(auto twin, read_vault_twin(*files_, path));
    if (!twin) return std::optional<Bytes>();
    return std::optional<Bytes>(std::move(twin->content));
}

Result<std::optional<Vault::Bytes>> Vault::read_record(ports::Files& files, std::string_view name) {
    DVESP_ASSIGN(const std::string path, record_path(name));
    DVESP_TRY(read_device_record(files));
    DVESP_ASSIGN(auto twin, read_vault_twin(files, path));
    if (!twin) return std::optional<Bytes>();
    return std::optional<Bytes>(std::move(twin->content));
}

Result<void> Vault::remove_record(std::string_view name) {
    DVESP_ASSIGN(const std::string path, record_path(name));
    const std::scoped_lock writing(write_mutex_);
    DVESP_TRY(check_present(true));
    DVESP_TRY(files_->remove(path));
    return files_->sync_directory(vault_records_directory);
}

Result<std::vector<std::string>> Vault::record_names() const {
    DVESP_TRY(check_present(false));
    DVESP_ASSIGN(std::vector<std::string> names, files_->list(vault_records_directory));
    std::erase_if(names, [](const std::string& name) { return !record_path(name).ok(); });
    return names;
}

Result<Vault::Bytes> Vault::device_record() const {
    DVESP_TRY(check_present(false));
    return read_device_record(*files_);
}

}  // namespace dvesp::node
