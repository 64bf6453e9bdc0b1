/// os/cluster_snapshot.hpp - a cluster copied into a directory, which appears once it is whole.
#pragma once

#include <string>

#include "node/remote_copy.hpp"

namespace dvesp::os {

/// Copies the cluster into the new or empty directory `path`; it opens like any store, and `restore` takes it.
/// @errors as node::copy_cluster and NewDirectory: nothing remains at `path` then  @threads any; waits for nodes and disk
[[nodiscard]] Result<void> write_cluster_snapshot(node::RemoteStore& source, const std::string& path,
                                                  node::CopyProgress& progress);

}  // namespace dvesp::os
