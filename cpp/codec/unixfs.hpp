/// codec/unixfs.hpp - files and directories as IPFS cuts them into blocks, and back.
/// Sources: specs.ipfs.tech, UnixFS; the layout is what kubo 0.41 makes of `add --cid-version=1` with its own defaults: chunks
/// of 256 KiB as raw blocks, at most 174 links a node, a balanced tree whose leaves all have one depth.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "codec/dag_pb.hpp"

namespace dvesp::codec {

inline constexpr std::size_t unixfs_chunk_bytes = std::size_t{256} << 10;
inline constexpr std::size_t unixfs_links_max = 174;

enum class UnixfsKind : std::uint8_t { raw = 0, directory = 1, file = 2, metadata = 3, symlink = 4, shard = 5 };

/// The data of a node. Mode and time, which newer writers may add, are stepped over.
struct UnixfsData {
    UnixfsKind kind = UnixfsKind::file;
    std::optional<std::vector<std::uint8_t>> data;
    std::optional<std::uint64_t> file_bytes;
    std::vector<std::uint64_t> child_bytes;  ///< of a file: how many of its bytes are behind each link
};

[[nodiscard]] std::vector<std::uint8_t> encode_unixfs(const UnixfsData& data);
/// @errors corruption
[[nodiscard]] Result<UnixfsData> parse_unixfs(ByteView bytes);

/// A file, or a part of one.
struct FileTree {
    Cid cid;
    std::uint64_t file_bytes = 0;
    std::uint64_t total_bytes = 0;  ///< of its blocks
};

/// Builds the tree above a file's chunks as they come; holds at most one node a level.
class FileTreeBuilder {
  public:
    /// Takes each node above the leaves as soon as it is whole, children before parents.
    using NodeSink = std::function<void(const Cid&, std::vector<std::uint8_t>)>;
    explicit FileTreeBuilder(NodeSink sink) : sink_(std::move(sink)) {}

    /// The next chunk; all but the last have unixfs_chunk_bytes. @param cid its raw block's
    void add(const Cid& cid, std::uint64_t bytes);
    /// The root. @pre one chunk at least was added: an empty file is one empty chunk
    [[nodiscard]] FileTree finish();

  private:
    void push(std::size_t level, FileTree child);
    [[nodiscard]] FileTree close_node(std::vector<FileTree>& children);

    NodeSink sink_;
    std::vector<std::vector<FileTree>> levels_;
};

/// Reads a file's blocks in order, believing none of them: the caller brings the block that `expected` names, wherever it has
/// it from, and may change the place between any two.
class FileWalk {
  public:
    using Sink = std::function<Result<void>(ByteView)>;
    static constexpr std::size_t depth_max = 32;

    /// @param bytes_max of the file; a tree that says it has more is refused
    FileWalk(Cid root, std::uint64_t bytes_max, Sink sink);

    [[nodiscard]] bool done() const noexcept { return waiting_.empty(); }
    /// @pre !done()
    [[nodiscard]] const Cid& expected() const { return waiting_.back().cid; }
    /// Bytes that the sink got so far.
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
    /// Takes the block `expected()`; its bytes go to the sink.
    /// @errors integrity: it is another one (nothing was taken; bring the right one); corruption: the tree is no file, or says
    /// sizes
    ///         that are not so; those of the sink
    Result<void> feed(ByteView block);
    /// The same for a block that was compared with `expected()` already, as CarReader does.
    Result<void> feed_checked(ByteView block);

  private:
    struct Waiting {
        Cid cid;
        std::optional<std::uint64_t> file_bytes;  ///< as the parent says
        std::size_t depth = 0;
    };
    Result<void> feed_leaf(ByteView block, const Waiting& at);
    Result<void> feed_node(ByteView block, const Waiting& at);

    std::vector<Waiting> waiting_;  ///< the next one is the last
    std::uint64_t bytes_max_;
    std::uint64_t bytes_ = 0;
    Sink sink_;
};

/// The links of a directory's block, which has names for all of them.
/// @errors corruption: no directory; or one that is sharded over many blocks, which this reader does not know
[[nodiscard]] Result<std::vector<PbLink>> parse_directory(ByteView block);

/// How many bytes the file has whose root is `block` under `cid`.
/// @errors corruption: it is no file
[[nodiscard]] Result<std::uint64_t> file_bytes_of(const Cid& cid, ByteView block);

}  // namespace dvesp::codec
