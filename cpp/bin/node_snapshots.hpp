/// bin/node_snapshots.hpp - snapshots of the cluster in a directory of this node, for REST.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "node/remote_copy.hpp"

namespace dvesp::bin {

/// @threads any
class NodeSnapshots {
  public:
    /// @param directory empty: none are kept  @param store must outlive it
    NodeSnapshots(std::string directory, node::RemoteStore& store) : directory_(std::move(directory)), store_(store) {}
    /// Sorted; what is still being written is not among them. @errors unavailable: the node has no directory for them
    [[nodiscard]] Result<std::vector<std::string>> names() const;
    /// One at a time. @return its records  @errors unavailable: no directory, or another is being written;
    ///         invalid_argument: there is one of that name; as node::copy_cluster
    Result<std::uint64_t> make(const std::string& name);
    /// Whoever writes one gives up.
    void stop() { progress_.is_cancelled = true; }

  private:
    std::string directory_;
    node::RemoteStore& store_;
    node::CopyProgress progress_;
    std::mutex writing_;
};

}  // namespace dvesp::bin
