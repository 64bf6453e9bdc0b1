/// tests/cluster_sim/rows.hpp - the rows that simulated clients write and read, and all rows of a replica as text.
#pragma once

#include <string>
#include <vector>

#include "node/remote_store.hpp"
#include "store/collection.hpp"

namespace dvesp::test {

inline constexpr std::uint32_t dimension = 8;
inline constexpr std::uint32_t timeout_ms = 3000;

/// A row whose metadata and vector both say `value`.
struct Row {
    std::vector<std::uint8_t> metadata;
    std::vector<float> vector;
    explicit Row(std::uint64_t value);
};

/// What a read row says; 0 when its two halves do not agree.
[[nodiscard]] std::uint64_t value_of(const codec::Reply& reply, std::size_t row);

/// A request about the collection `c`, with a batch id of its own.
[[nodiscard]] codec::Request request_of(node::RemoteStore& store, codec::Op op, codec::Level level);

/// Writes a batch of rows that all say `value`.
[[nodiscard]] Result<node::RemoteAnswer> put(node::RemoteStore& store, const std::vector<std::string>& ids, std::uint64_t value,
                                             bool is_fresh, codec::Level level);

/// Everything a replica holds: two replicas at one index must not differ in a byte. "unreadable: ..." where it is damaged.
[[nodiscard]] std::string contents_of(const store::Collection& collection);

}  // namespace dvesp::test
