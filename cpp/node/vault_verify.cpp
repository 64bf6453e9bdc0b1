/// node/vault_verify.cpp - reads everything that a vault holds, and names what is not as it was written.
#include <array>

#include "node/vault.hpp"
#include "node/vault_names.hpp"
#include "node/vault_twins.hpp"

namespace dvesp::node {
namespace {

using codec::vault_header_bytes;

bool has_end_mark(ports::File& file, std::uint64_t generation, std::uint32_t number, std::uint64_t at) {
    std::array<std::uint8_t, vault_header_bytes> bytes{};
    const auto got = file.read(at, bytes);
    if (!got.ok()) return false;
    const auto header = codec::parse_vault_header(ByteView(bytes).first(*got), at);
    const bool is_mark = header && header->op == codec::VaultOp::end;
    return is_mark && header->generation == generation && header->number == number;
}

}  // namespace

Result<std::vector<std::string>> Vault::verify() {
    struct Extent {
        std::uint32_t number;
        std::uint64_t end;
        bool is_ended;
    };
    std::vector<Extent> extents;
    {
        const std::scoped_lock writing(write_mutex_);
        DVESP_TRY(check_present(true));
        const std::shared_lock lock(index_mutex_);
        for (const auto& [number, file] : data_files_) extents.push_back({number, file.end, number != log_.number()});
    }
    std::vector<std::string> found;
    for (const Extent& extent : extents) DVESP_TRY(verify_file(extent.number, extent.end, extent.is_ended, found));
    DVESP_TRY(verify_twins(found));
    DVESP_TRY(check_present(true));  // a device that went away meanwhile is not a damaged one
    return found;
}

Result<void> Vault::verify_file(std::uint32_t number, std::uint64_t end, bool is_ended, std::vector<std::string>& found) {
    const std::string name = files_->describe(vault_data_path(number));
    const auto is_gone = [&] {  // compacted away meanwhile
        const std::shared_lock lock(index_mutex_);
        return !data_files_.contains(number);
    };
    const auto file = handles_.open(number);
    if (!file.ok() && is_gone()) return {};
    if (!file.ok()) {
        found.push_back(file.error().message);
        return {};
    }
    DVESP_ASSIGN(const VaultScan scan, scan_vault_file(**file, generation_, number, {end, end}));
    std::vector<std::string> damages;
    for (const VaultDamage& damage : scan.damages) {
        damages.push_back(name + " is damaged from byte " + std::to_string(damage.first) + " to " + std::to_string(damage.end));
    }
    if (scan.end < end && scan.damages.empty()) damages.push_back(name + " ends at byte " + std::to_string(scan.end));
    const bool lacks_end = is_ended && !has_end_mark(**file, generation_, number, end);
    if (lacks_end) {
        damages.push_back(name + " does not end with a mark: what followed byte " + std::to_string(end) + " may be lost");
    }
    for (const VaultRecord& record : scan.records) {
        if (record.header.op != codec::VaultOp::put) continue;
        const FragmentId& id = record.header.id;
        const VaultPlace place{number, static_cast<std::uint32_t>(record.offset), record.header.length};
        {
            const std::shared_lock lock(index_mutex_);
            const VaultEntry* entry = index_.find(id);
            if (entry == nullptr || !entry->is_here() || entry->place != place) continue;
        }
        if (read(id, place)) continue;
        if (!contains(id)) damages.push_back("fragment " + to_hex(id) + " in " + name + " is damaged");
    }
    const std::unique_lock lock(index_mutex_);
    const auto known = data_files_.find(number);
    if (known == data_files_.end()) return {};
    known->second.damages = scan.damages;
    known->second.lacks_end = lacks_end;
    found.insert(found.end(), damages.begin(), damages.end());
    return {};
}

Result<void> Vault::verify_twins(std::vector<std::string>& found) const {
    std::vector<std::string> paths{vault_device_file};
    DVESP_ASSIGN(const std::vector<std::string> names, record_names());
    for (const std::string& name : names) paths.push_back(std::string(vault_records_directory) + "/" + name);
    for (const std::string& path : paths) {
        const auto twin = read_vault_twin(*files_, path);
        if (!twin.ok()) {
            found.push_back(twin.error().message);
        } else if (*twin && (*twin)->is_one_lost) {
            found.push_back("one of two copies in " + files_->describe(path) + " is damaged; writing it again mends it");
        }
    }
    return {};
}

}  // namespace dvesp::node
