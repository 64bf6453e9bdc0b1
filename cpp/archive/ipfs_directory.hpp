/// archive/ipfs_directory.hpp - the directory that holds an archive on IPFS, so that one CID leads to everything.
///
///     objects/<first two hex digits>/<sha256>      documents/<first hex digit of the name's sha256>/<name>
///
/// Folders are split so that none comes near the 256 KiB at which IPFS would spread it over many blocks (2,600 objects each).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "archive/ipfs_reader.hpp"
#include "archive/kubo.hpp"

namespace dvesp::archive {

inline constexpr std::string_view objects_folder = "objects", documents_folder = "documents";

/// @return a path below the archive's directory
[[nodiscard]] std::string object_path(const Hash& sha256);
[[nodiscard]] std::string document_path(const std::string& name);

/// What of an archive's directory is read. Errors: those of Kubo or IpfsReader. @threads any
class IpfsDirectory {
  public:
    virtual ~IpfsDirectory() = default;
    /// The file of a path; nothing when there is none.
    virtual Result<std::optional<codec::Cid>> find(const std::string& path) = 0;
    /// What is in a folder; nothing in one that is not there. `bytes` is 0 where only the file itself says it.
    virtual Result<std::vector<Kubo::Entry>> list(const std::string& path) = 0;
    /// The CID of the whole; nothing when there is no archive yet.
    virtual Result<std::optional<codec::Cid>> root() = 0;
};

/// In a node's own file system (MFS), which garbage collection spares.
class NodeDirectory final : public IpfsDirectory {
  public:
    /// @param base  such as /dvesp/0a1b
    NodeDirectory(Kubo node, std::string base) : node_(std::move(node)), base_(std::move(base)) {}

    Result<std::optional<codec::Cid>> find(const std::string& path) override;
    Result<std::vector<Kubo::Entry>> list(const std::string& path) override;
    Result<std::optional<codec::Cid>> root() override;
    /// Replaces the file of that path. @pre the node holds all of `cid`
    Result<void> link(const std::string& path, const codec::Cid& cid);
    Result<void> unlink(const std::string& path) { return node_.unlink(base_ + "/" + path); }
    [[nodiscard]] const Kubo& node() const noexcept { return node_; }

  private:
    Kubo node_;
    std::string base_;
    std::mutex mutex_;
    std::set<std::string> made_;  ///< folders that this process made sure of
};

/// Below a CID or an IPNS name, block by verified block. A name is looked up at every `root` and `list`, so new documents are
/// seen.
class RootDirectory final : public IpfsDirectory {
  public:
    /// @param root  a CID, or of codec libp2p-key an IPNS name    @pre `reader` outlives it
    RootDirectory(const IpfsReader& reader, codec::Cid root) : reader_(reader), root_(std::move(root)) {}

    Result<std::optional<codec::Cid>> find(const std::string& path) override;
    Result<std::vector<Kubo::Entry>> list(const std::string& path) override;
    Result<std::optional<codec::Cid>> root() override;

  private:
    /// The links of the folder at `path`; nothing when it is not there.
    Result<std::optional<std::vector<codec::PbLink>>> links(const std::string& path);

    const IpfsReader& reader_;
    codec::Cid root_;
};

}  // namespace dvesp::archive
