/// node/remote_copy.hpp - the content of a cluster as an embedded store: what snapshot(path) of a cluster writes.
#pragma once

#include <atomic>

#include "node/remote_store.hpp"
#include "store/database.hpp"

namespace dvesp::node {

/// What a copy is at; may be read beside it. @threads any
struct CopyProgress {
    std::atomic<std::uint64_t> rows{0};
    std::atomic<std::uint64_t> rows_total{0};
    std::atomic<bool> is_cancelled{false};
};

/// How a store is to be opened that a cluster is copied into: without a log, with little in memory.
[[nodiscard]] store::DatabaseOptions copy_options();

/// Copies every collection that a majority knows now into `target`, which is empty and was opened with `copy_options`, and
/// makes it durable. Each collection is copied as of one moment (QUORUM: everything acknowledged before the call is in it);
/// ids, vectors bit for bit, metadata and versions stay. A collection that is dropped meanwhile is left out; one whose node
/// dies is begun again on another.
/// @errors unavailable, timeout: no majority for 30 s, or nodes kept dying; storage_full, io_failed; closed: cancelled.
/// `target`
///         is of no use then
/// @cost   each row once over the network, written once (merges aside); 128 MB in memory and a page of about 8 MB
[[nodiscard]] Result<void> copy_cluster(RemoteStore& source, store::Database& target, CopyProgress& progress);

}  // namespace dvesp::node
