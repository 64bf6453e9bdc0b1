/// tests/sim/vault_model.cpp - what a vault must hold, as a plain map.
#include "sim/vault_model.hpp"

#include <algorithm>

#include "base/sha256.hpp"
#include "codec/byte_io.hpp"

namespace dvesp::test {
namespace {

VaultContent draw_content(Prng& prng) {
    const std::uint64_t size = prng.chance(0.1) ? 1 + prng.below(6000) : 1 + prng.below(300);
    VaultContent content{static_cast<std::uint8_t>(1 + prng.below(3)), std::vector<std::uint8_t>(size)};
    for (std::uint8_t& byte : content.bytes) byte = static_cast<std::uint8_t>(prng.next());
    return content;
}

}  // namespace

node::FragmentId VaultModel::id(std::uint64_t number) {
    node::FragmentId id{};
    codec::store(id.data(), number * 0x9e3779b97f4a7c15ULL);
    codec::store(id.data() + 24, number);
    return id;
}

const VaultContent* VaultModel::find(const node::FragmentId& id) const {
    const auto found = ids_.find(id);
    if (found == ids_.end() || found->second.size() != 1 || !*found->second.begin()) return nullptr;
    return &**found->second.begin();
}

bool VaultModel::is_open(const VaultWrite& write) const {
    return std::any_of(write.items.begin(), write.items.end(), [this](const auto& item) {
        const auto found = ids_.find(item.first);
        return found != ids_.end() && found->second.size() > 1;
    });
}

VaultWrite VaultModel::draw(Prng& prng) const {
    VaultWrite write;
    std::set<node::FragmentId> ids;
    const std::uint64_t count = 1 + prng.below(5);
    while (ids.size() < count) ids.insert(id(prng.below(id_count)));
    if (prng.chance(0.35)) {
        write.removed.assign(ids.begin(), ids.end());
        return write;
    }
    for (const node::FragmentId& id : ids) {
        const VaultContent* there = find(id);
        Prng own(codec::load<std::uint64_t>(id.data()));
        write.items.emplace_back(id, there != nullptr ? *there : draw_content(one_content_ ? own : prng));
    }
    return write;
}

void VaultModel::acknowledge(const VaultWrite& write) {
    for (const auto& [id, content] : write.items) ids_[id] = {content};
    for (const node::FragmentId& id : write.removed) ids_[id] = {std::nullopt};
}

void VaultModel::leave_open(const VaultWrite& write) {
    const auto possible = [this](const node::FragmentId& id) -> Possible& {
        return ids_.try_emplace(id, Possible{std::nullopt}).first->second;
    };
    for (const auto& [id, content] : write.items) possible(id).insert(content);
    for (const node::FragmentId& id : write.removed) possible(id).insert(std::nullopt);
}

std::string VaultModel::compare_damaged(const node::Vault& vault, std::vector<node::FragmentId>& differing) const {
    for (std::uint64_t number = 0; number < id_count; ++number) {
        const node::FragmentId wanted = id(number);
        const auto got = vault.get({&wanted, 1});
        if (!got.ok()) return "get: " + got.error().message;
        const auto& bytes = got->front();
        const VaultContent* there = find(wanted);
        if (!bytes == (there == nullptr) && (!bytes || *bytes == there->bytes)) continue;
        if (bytes && there != nullptr) return "wrong bytes of " + to_hex(wanted);
        differing.push_back(wanted);
    }
    return {};
}

std::string VaultModel::settle(const node::Vault& vault) {
    std::map<std::uint8_t, std::set<node::FragmentId>> listed;
    for (std::uint8_t kind = 1; kind <= 3; ++kind) {
        for (const node::FragmentId& id : vault.list(kind)) listed[kind].insert(id);
        if (listed[kind].size() != vault.count(kind)) return "count and list differ";
    }
    std::vector<node::FragmentId> ids;
    for (std::uint64_t number = 0; number < id_count; ++number) ids.push_back(id(number));
    const auto got = vault.get(ids);
    if (!got.ok()) return "get: " + got.error().message;
    std::uint64_t bytes = 0;
    for (std::size_t at = 0; at < ids.size(); ++at) {
        std::optional<VaultContent> found;
        for (std::uint8_t kind = 1; kind <= 3; ++kind) {
            if (!listed[kind].contains(ids[at])) continue;
            if (!(*got)[at]) return to_hex(ids[at]) + " is listed and cannot be read";
            found = VaultContent{kind, *(*got)[at]};
            bytes += found->bytes.size();
        }
        if (!found && (*got)[at]) return to_hex(ids[at]) + " can be read and is not listed";
        if (vault.contains(ids[at]) != found.has_value()) return "contains and list differ";
        Possible& possible = ids_.try_emplace(ids[at], Possible{std::nullopt}).first->second;
        if (!possible.contains(found)) {
            const bool was_sure = possible.size() == 1 && *possible.begin();
            return to_hex(ids[at]) + (found ? was_sure ? " has wrong bytes" : " is there and must not be" : " is gone");
        }
        possible = {found};
    }
    if (bytes != vault.bytes()) return "bytes() is " + std::to_string(vault.bytes()) + ", not " + std::to_string(bytes);
    return {};
}

Result<void> perform(node::Vault& vault, const VaultWrite& write) {
    if (!write.removed.empty()) return vault.remove(write.removed);
    std::vector<node::VaultItem> items;
    for (const auto& [id, content] : write.items) items.push_back({id, content.kind, content.bytes});
    return vault.put(items);
}

}  // namespace dvesp::test
