/// os/set_aside.hpp - what a node's directory remembers beside its store: its peers, and damaged data put out of the way.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace dvesp::os {

/// Addresses of the cluster that the directory's node was last known to be in, as `remember_peers` wrote them; empty = none.
/// A node that finds some and no store was in that cluster: it joins it again and never founds another.
[[nodiscard]] std::vector<std::string> known_peers(const std::string& directory);

/// Writes the addresses durably, in place of the former ones. @errors storage_full, io_failed, permission_denied
[[nodiscard]] Result<void> remember_peers(const std::string& directory, const std::vector<std::string>& addresses);

/// Moves everything but the peers into `damaged-N` below the directory, N rising; of these, the last two are kept.
/// @pre nobody has the store open  @return the folder's name  @errors io_failed, permission_denied: what was moved stays moved
[[nodiscard]] Result<std::string> set_aside(const std::string& directory);

}  // namespace dvesp::os
