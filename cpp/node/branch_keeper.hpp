/// node/branch_keeper.hpp - what a node alone had written, and a majority never agreed on, is merged or kept for review.
/// A write at ONE is acknowledged when the leader has it; if that leader falls before anybody else has it, the next one goes on
/// without it, and the batch is a branch: on the old leader's disk, in no log. When that node is back, the batch is offered to
/// the shard: rows that nobody changed since are taken; the others become rows of the collection `NAME.siblings`, which the
/// ordinary calls read. Nothing is ever removed by it.
#pragma once

#include <memory>
#include <string>

#include "node/remote_store.hpp"
#include "store/head.hpp"

namespace dvesp::node {

struct Branch {
    std::uint64_t group = 0;
    Hash payload{};
    std::string collection;
    std::shared_ptr<const store::Frame> frame;
};

/// Where rows of `collection` are kept that lost against others; at most 255 bytes.
[[nodiscard]] std::string siblings_name(const std::string& collection);

/// Merges the branch, its conflicts first into the collection of siblings. To be repeated until it succeeds, by anybody.
/// @threads any; waits for the cluster  @errors timeout, unavailable: again later; any other: it cannot be merged
[[nodiscard]] Result<void> keep_branch(RemoteStore& store, const Branch& branch);

}  // namespace dvesp::node
