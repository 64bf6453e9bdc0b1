/// store/content_digest.cpp - the sum over all living rows.
#include "store/content_digest.hpp"

#include "codec/byte_io.hpp"

namespace dvesp::store {

Result<ContentDigest> content_digest(const Snapshot& snapshot, const DigestKey& key) {
    std::array<std::uint64_t, 4> sum{};
    ContentDigest out;
    Sha256 hasher;
    for (const Snapshot::Part& part : snapshot.parts()) {
        for (std::uint32_t row = 0; row < part.rows; ++row) {
            if (!part.source->deaths.alive_at(row, snapshot.seq)) continue;
            DVESP_ASSIGN(const Hash leaf, part.source->row_leaf(row));
            hasher.start();
            hasher.update(key);
            hasher.update(leaf);
            const Hash hash = hasher.finish();
            for (std::size_t at = 0; at < sum.size(); ++at) sum.at(at) += codec::load<std::uint64_t>(hash.data() + 8 * at);
            ++out.rows;
        }
    }
    for (std::size_t at = 0; at < sum.size(); ++at) codec::store(out.sum.data() + 8 * at, sum.at(at));
    return out;
}

}  // namespace dvesp::store
