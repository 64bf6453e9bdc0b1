/// cluster/swim_items.cpp - adding, telling and listing items.
#include "cluster/swim_items.hpp"

#include <iterator>

namespace dvesp::cluster {
namespace {

codec::ItemName last_name() {
    codec::ItemName name{0xFF, {}};
    name.key.fill(0xFF);
    return name;
}

}  // namespace

SwimItems::Added SwimItems::add(const codec::GossipItem& item, std::uint32_t sends) {
    if (item.name.kind >= counts_.size() || item.bytes.size() > codec::item_bytes_max) return Added::refused;
    const auto found = stored_.find(item.name);
    if (found != stored_.end()) {
        if (item.bytes >= found->second.bytes) return Added::known;
        summary_ ^= found->second.hash;
    } else {
        if (counts_[item.name.kind] >= per_kind_max_) return Added::refused;
        ++counts_[item.name.kind];
    }
    if (found != stored_.end()) hot_.erase({found->second.sends, item.name});
    if (sends > 0) hot_.insert({sends, item.name});
    const std::uint64_t hash = codec::item_hash(item);
    summary_ ^= hash;
    stored_[item.name] = {item.bytes, hash, sends};
    return Added::added;
}

std::vector<codec::GossipItem> SwimItems::tell(std::size_t bytes_max) {
    std::vector<codec::GossipItem> told;
    for (auto at = hot_.rbegin(); at != hot_.rend(); ++at) {
        const std::size_t bytes = codec::encoded_bytes(item(at->second));
        if (bytes > bytes_max) break;
        bytes_max -= bytes;
        told.push_back(item(at->second));
    }
    for (const codec::GossipItem& one : told) {
        Stored& stored = stored_.at(one.name);
        hot_.erase({stored.sends, one.name});
        if (--stored.sends > 0) hot_.insert({stored.sends, one.name});
    }
    return told;
}

codec::GossipItem SwimItems::item(const codec::ItemName& name) const { return {name, stored_.at(name).bytes}; }

codec::ItemRange SwimItems::range(codec::ItemName& cursor, std::size_t count_max) const {
    DVESP_ASSERT(count_max >= 2);
    codec::ItemRange range{cursor, last_name(), {}};
    auto at = stored_.lower_bound(cursor);
    for (; at != stored_.end() && range.hashes.size() < count_max; ++at) range.hashes.push_back(at->second.hash);
    cursor = {};
    // The next range begins with this one's last name: between two ranges nothing is left out.
    if (at != stored_.end()) cursor = range.to = std::prev(at)->first;
    return range;
}

}  // namespace dvesp::cluster
