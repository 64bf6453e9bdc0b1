/// archive/ipfs_directory.cpp - paths of an archive, in a node's file system or below a root.
#include "archive/ipfs_directory.hpp"

#include <algorithm>

namespace dvesp::archive {
namespace {

const codec::PbLink* find_link(const std::vector<codec::PbLink>& links, std::string_view name) {
    const auto found =
        std::find_if(links.begin(), links.end(), [name](const codec::PbLink& link) { return link.name == name; });
    return found == links.end() ? nullptr : &*found;
}

}  // namespace

std::string object_path(const Hash& sha256) {
    const std::string hex = to_hex(sha256);
    return std::string(objects_folder) + "/" + hex.substr(0, 2) + "/" + hex;
}

std::string document_path(const std::string& name) {
    return std::string(documents_folder) + "/" + to_hex(sha256(bytes_of(name))).substr(0, 1) + "/" + name;
}

Result<std::optional<codec::Cid>> NodeDirectory::find(const std::string& path) {
    DVESP_ASSIGN(const auto entry, node_.find(base_ + "/" + path));
    return entry.has_value() && !entry->is_directory ? std::optional(entry->cid) : std::nullopt;
}

Result<std::vector<Kubo::Entry>> NodeDirectory::list(const std::string& path) { return node_.list(base_ + "/" + path); }

Result<std::optional<codec::Cid>> NodeDirectory::root() {
    DVESP_ASSIGN(const auto entry, node_.find(base_));
    return entry.has_value() ? std::optional(entry->cid) : std::nullopt;
}

Result<void> NodeDirectory::link(const std::string& path, const codec::Cid& cid) {
    const std::string folder = base_ + "/" + path.substr(0, path.rfind('/'));
    bool is_new = false;
    {
        const std::lock_guard lock(mutex_);
        is_new = !made_.contains(folder);
    }
    if (is_new) {
        DVESP_TRY(node_.make_directory(folder));
        const std::lock_guard lock(mutex_);
        made_.insert(folder);
    }
    return node_.link(base_ + "/" + path, cid);
}

Result<std::optional<codec::Cid>> RootDirectory::root() {
    if (root_.codec != codec::codec_libp2p_key) return std::optional(root_);
    DVESP_ASSIGN(codec::Cid cid, reader_.resolve(root_));
    return std::optional(std::move(cid));
}

Result<std::optional<std::vector<codec::PbLink>>> RootDirectory::links(const std::string& path) {
    DVESP_ASSIGN(const auto top, root());
    DVESP_ASSIGN(auto block, reader_.read_block(*top));
    const auto parsed = codec::parse_directory(block);
    if (!parsed.ok())
        return fail(ErrorCode::corruption, "root: " + to_text(*top) + " is no archive: " + parsed.error().message);
    std::vector<codec::PbLink> links = *parsed;
    if (find_link(links, documents_folder) == nullptr && find_link(links, objects_folder) == nullptr) {
        return fail(ErrorCode::corruption, "root: " + to_text(*top) + " is no archive: it has neither objects nor documents");
    }
    for (std::size_t start = 0; start < path.size();) {
        const std::size_t end = std::min(path.find('/', start), path.size());
        const codec::PbLink* link = find_link(links, std::string_view(path).substr(start, end - start));
        if (link == nullptr) return std::optional<std::vector<codec::PbLink>>();
        DVESP_ASSIGN(block, reader_.read_block(link->cid));
        DVESP_ASSIGN(links, codec::parse_directory(block));
        start = end + 1;
    }
    return std::optional(std::move(links));
}

Result<std::optional<codec::Cid>> RootDirectory::find(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    DVESP_ASSIGN(const auto folder, links(path.substr(0, slash)));
    const codec::PbLink* link = folder.has_value() ? find_link(*folder, std::string_view(path).substr(slash + 1)) : nullptr;
    return link != nullptr ? std::optional(link->cid) : std::nullopt;
}

Result<std::vector<Kubo::Entry>> RootDirectory::list(const std::string& path) {
    DVESP_ASSIGN(auto folder, links(path));
    std::vector<Kubo::Entry> out;
    if (!folder.has_value()) return out;
    for (codec::PbLink& link : *folder) {
        const bool is_raw = link.cid.codec == codec::codec_raw;  // then its blocks are the file
        out.push_back({*link.name, std::move(link.cid), is_raw ? link.total_bytes.value_or(0) : 0, false});
    }
    return out;
}

}  // namespace dvesp::archive
