/// archive/ipfs_upload.hpp - how a file goes to an IPFS node: its blocks named by us, then sent in CARs straight from the
/// source. Layout: codec/unixfs.hpp. Memory: 60 bytes a chunk of 256 KiB, and the nodes above them.
#pragma once

#include <string>
#include <vector>

#include "codec/unixfs.hpp"
#include "ports/http_client.hpp"

namespace dvesp::archive {

inline constexpr std::uint64_t car_bytes_max = std::uint64_t{64} << 20;

/// A file's blocks. The leaves are parts of the source, in its order; the nodes above stand in memory, the root last.
struct FilePlan {
    struct Leaf {
        codec::Cid cid;
        std::uint64_t offset = 0;
        std::uint64_t bytes = 0;
    };
    struct Node {
        codec::Cid cid;
        std::vector<std::uint8_t> block;
    };
    codec::FileTree root;
    Hash sha256{};  ///< of the whole file
    std::vector<Leaf> leaves;
    std::vector<Node> nodes;
};

/// Reads the source once from end to end. @errors those of the source    @cost two SHA-256 of it
[[nodiscard]] Result<FilePlan> plan_file(ports::ByteSource& content);

/// Multipart bodies with a CAR each, of about car_bytes_max at most, in the order in which they must go. All name the root,
/// which is the last block of the last.
/// @pre `plan` is of `content`, which outlives what is returned
struct CarParts {
    std::string boundary;
    std::vector<std::vector<ports::HttpCall::Piece>> bodies;
};
[[nodiscard]] CarParts car_parts(const FilePlan& plan, ports::ByteSource& content);

}  // namespace dvesp::archive
