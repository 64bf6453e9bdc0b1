/// archive/ipfs.hpp - an archive on IPFS: nodes that keep it, gateways to read it from, and one CID or name that leads to it.
/// Design: docs/decisions/026. Bytes: docs/formats/archive.md.
///
/// Locators are CIDs (version 1, sha2-256), computed here and compared with the node's; the same object has the same one
/// everywhere.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "archive/target.hpp"
#include "ports/executor.hpp"

namespace dvesp::archive {

struct IpfsOptions {
    std::vector<std::string> apis;          ///< RPC addresses of nodes that keep the archive; content goes to the first
    std::vector<std::string> gateways;      ///< for reading, behind the nodes
    std::string name;                       ///< of the archive: lower-case hex, 1..64 digits; not needed with `root`
    std::string root;                       ///< CID or IPNS name of an archive that is only read
    std::string ipns_key;                   ///< of the first node: its name follows the newest manifest; empty = none
    std::vector<std::string> pin_services;  ///< that the first node knows by these names
    std::string token;                      ///< secret: "Authorization" of the nodes, e.g. "Bearer ..."; empty = none
};

/// @param background  where names are published after a manifest; nullptr = in `put_document` itself
/// @pre `client` outlives the target and what `background` runs
/// @errors invalid_argument: the option and what to do
[[nodiscard]] Result<std::unique_ptr<Target>> make_ipfs_target(const IpfsOptions& options, ports::HttpClient& client,
                                                               ports::Executor* background = nullptr);

}  // namespace dvesp::archive
