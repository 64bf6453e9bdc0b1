/// codec/merkle.cpp - leaves over records, and roots built level by level.
#include "codec/merkle.hpp"

#include <cstring>
#include <vector>

#include "codec/byte_io.hpp"

namespace dvesp::codec {

Hash leaf_hash(Sha256& hasher, const Salt& salt, const LeafRecord& record) {
    // prefix 0x00 | salt | id_bytes u32 | version u64 | dim u32 | metadata_bytes u32 | parent 16
    std::array<std::uint8_t, 1 + salt_bytes + 20 + parent_bytes> head{};
    std::memcpy(head.data() + 1, salt.data(), salt_bytes);
    std::uint8_t* at = head.data() + 1 + salt_bytes;
    store(at, static_cast<std::uint32_t>(record.id.size()));
    store(at + 4, record.version);
    store(at + 12, static_cast<std::uint32_t>(record.vector.size()));
    store(at + 16, static_cast<std::uint32_t>(record.metadata.size()));
    std::memcpy(at + 20, record.parent.data(), parent_bytes);
    hasher.start();
    hasher.update(head);
    hasher.update(bytes_of(record.id));
    hasher.update({reinterpret_cast<const std::uint8_t*>(record.vector.data()), record.vector.size_bytes()});
    hasher.update(record.metadata);
    return hasher.finish();
}

Hash merkle_root(std::span<const Hash> leaves) {
    if (leaves.empty()) return sha256({});
    Sha256 hasher;
    std::vector<Hash> level(leaves.begin(), leaves.end());
    static constexpr std::uint8_t node_prefix = 0x01;
    // Pairing neighbours and carrying an odd last node up gives exactly the tree of RFC 6962: its left subtree is always
    // the largest power of two smaller than n.
    while (level.size() > 1) {
        std::size_t out = 0;
        for (std::size_t index = 0; index + 1 < level.size(); index += 2) {
            hasher.start();
            hasher.update({&node_prefix, 1});
            hasher.update(level[index]);
            hasher.update(level[index + 1]);
            level[out++] = hasher.finish();
        }
        if (level.size() % 2 == 1) level[out++] = level.back();
        level.resize(out);
    }
    return level.front();
}

}  // namespace dvesp::codec
