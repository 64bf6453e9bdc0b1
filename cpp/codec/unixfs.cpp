/// codec/unixfs.cpp - the balanced layout of files, and walks over what somebody else laid out.
#include "codec/unixfs.hpp"

#include <algorithm>

#include "codec/varint.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint64_t key_kind = 1 << 3, key_data = 2 << 3 | 2, key_file_bytes = 3 << 3, key_child_bytes = 4 << 3;

Error malformed(const char* what) { return fail(ErrorCode::corruption, std::string("a UnixFS block is malformed: ") + what); }

/// Steps over the value of a field that is not looked at.
void skip_value(Reader& reader, std::uint64_t key) {
    const std::uint64_t wire = key & 7;
    if (wire == 0) {
        read_varint(reader);
    } else if (wire == 2) {
        reader.view(read_varint(reader));
    } else if (wire == 1 || wire == 5) {
        reader.view(wire == 1 ? 8 : 4);
    } else {
        reader.fail();
    }
}

struct FileNode {
    PbNode node;
    UnixfsData data;
};

Result<FileNode> parse_node(ByteView block) {
    FileNode out;
    DVESP_ASSIGN(out.node, parse_dag_pb(block));
    if (!out.node.data.has_value()) return malformed("a node without data");
    DVESP_ASSIGN(out.data, parse_unixfs(*out.node.data));
    return out;
}

/// What a file's node says of its size, after checking that its parts add up to it.
Result<std::uint64_t> checked_bytes(const FileNode& file, std::uint64_t bytes_max) {
    if (file.data.kind != UnixfsKind::file && file.data.kind != UnixfsKind::raw) return malformed("it is no file");
    if (file.data.child_bytes.size() != file.node.links.size()) return malformed("its sizes are not one for each link");
    std::uint64_t sum = file.data.data.has_value() ? file.data.data->size() : 0;
    for (const std::uint64_t bytes : file.data.child_bytes) {
        // Empty parts would let a small block lead to any number of others.
        if (bytes == 0 || bytes > bytes_max || sum + bytes > bytes_max)
            return malformed("a part is empty, or the file too large");
        sum += bytes;
    }
    if (file.data.file_bytes.value_or(sum) != sum) return malformed("its parts do not add up to its size");
    return sum;
}

}  // namespace

std::vector<std::uint8_t> encode_unixfs(const UnixfsData& data) {
    Writer out;
    write_varint(out, key_kind);
    write_varint(out, static_cast<std::uint64_t>(data.kind));
    if (data.data.has_value()) {
        write_varint(out, key_data);
        write_varint(out, data.data->size());
        out.raw(*data.data);
    }
    if (data.file_bytes.has_value()) {
        write_varint(out, key_file_bytes);
        write_varint(out, *data.file_bytes);
    }
    for (const std::uint64_t bytes : data.child_bytes) {
        write_varint(out, key_child_bytes);
        write_varint(out, bytes);
    }
    return std::move(out.bytes());
}

Result<UnixfsData> parse_unixfs(ByteView bytes) {
    Reader reader(bytes);
    UnixfsData out;
    bool has_kind = false;
    while (!reader.at_end() && reader.ok()) {
        const std::uint64_t key = read_varint(reader);
        if (key == key_kind) {
            const std::uint64_t kind = read_varint(reader);
            if (kind > static_cast<std::uint64_t>(UnixfsKind::shard)) return malformed("its kind is unknown");
            out.kind = static_cast<UnixfsKind>(kind);
            has_kind = true;
        } else if (key == key_data) {
            const ByteView data = reader.view(read_varint(reader));
            out.data.emplace(data.begin(), data.end());
        } else if (key == key_file_bytes) {
            out.file_bytes = read_varint(reader);
        } else if (key == key_child_bytes) {
            out.child_bytes.push_back(read_varint(reader));
        } else {
            skip_value(reader, key);
        }
    }
    if (!reader.ok() || !has_kind) return malformed("its data ends early, or does not say its kind");
    return out;
}

void FileTreeBuilder::add(const Cid& cid, std::uint64_t bytes) { push(0, {cid, bytes, bytes}); }

void FileTreeBuilder::push(std::size_t level, FileTree child) {
    if (levels_.size() == level) levels_.emplace_back();
    if (levels_[level].size() == unixfs_links_max) push(level + 1, close_node(levels_[level]));
    levels_[level].push_back(std::move(child));
}

FileTree FileTreeBuilder::close_node(std::vector<FileTree>& children) {
    PbNode node;
    UnixfsData data;
    FileTree tree;
    for (FileTree& child : children) {
        tree.file_bytes += child.file_bytes;
        tree.total_bytes += child.total_bytes;
        data.child_bytes.push_back(child.file_bytes);
        node.links.push_back({std::move(child.cid), std::string(), child.total_bytes});
    }
    children.clear();
    data.file_bytes = tree.file_bytes;
    node.data = encode_unixfs(data);
    std::vector<std::uint8_t> block = encode_dag_pb(node);
    tree.cid = cid_of(codec_dag_pb, block);
    tree.total_bytes += block.size();
    sink_(tree.cid, std::move(block));
    return tree;
}

FileTree FileTreeBuilder::finish() {
    DVESP_ASSERT(!levels_.empty());
    for (std::size_t level = 0;; ++level) {
        if (level + 1 == levels_.size() && levels_[level].size() == 1) {
            FileTree root = std::move(levels_[level].front());
            levels_.clear();
            return root;
        }
        push(level + 1, close_node(levels_[level]));
    }
}

FileWalk::FileWalk(Cid root, std::uint64_t bytes_max, Sink sink) : bytes_max_(bytes_max), sink_(std::move(sink)) {
    waiting_.push_back({std::move(root), std::nullopt, 0});
}

Result<void> FileWalk::feed(ByteView block) {
    DVESP_ASSERT(!done());
    if (!waiting_.back().cid.names(block)) {
        return fail(ErrorCode::integrity, "a block is not the one that its CID " + to_text(waiting_.back().cid) + " names");
    }
    return feed_checked(block);
}

Result<void> FileWalk::feed_checked(ByteView block) {
    DVESP_ASSERT(!done());
    const Waiting at = std::move(waiting_.back());
    waiting_.pop_back();
    if (at.cid.codec == codec_raw) return feed_leaf(block, at);
    if (at.cid.codec == codec_dag_pb) return feed_node(block, at);
    return fail(ErrorCode::corruption,
                "a file has a block of codec " + std::to_string(at.cid.codec) + ", neither raw nor dag-pb");
}

Result<void> FileWalk::feed_leaf(ByteView block, const Waiting& at) {
    if (at.file_bytes.value_or(block.size()) != block.size()) return malformed("a leaf has another size than its parent says");
    if (block.size() > bytes_max_ - bytes_) return malformed("the file is larger than expected");
    bytes_ += block.size();
    return block.empty() ? Result<void>() : sink_(block);
}

Result<void> FileWalk::feed_node(ByteView block, const Waiting& at) {
    DVESP_ASSIGN(FileNode file, parse_node(block));
    DVESP_ASSIGN(const std::uint64_t bytes, checked_bytes(file, bytes_max_));
    if (at.file_bytes.value_or(bytes) != bytes) return malformed("a node has another size than its parent says");
    if (bytes > bytes_max_ - bytes_) return malformed("the file is larger than expected");
    if (at.depth == depth_max) return malformed("the tree is too deep");
    for (std::size_t index = file.node.links.size(); index-- > 0;) {
        waiting_.push_back({std::move(file.node.links[index].cid), file.data.child_bytes[index], at.depth + 1});
    }
    if (!file.data.data.has_value() || file.data.data->empty()) return {};
    bytes_ += file.data.data->size();
    return sink_(*file.data.data);
}

Result<std::vector<PbLink>> parse_directory(ByteView block) {
    DVESP_ASSIGN(FileNode directory, parse_node(block));
    if (directory.data.kind == UnixfsKind::shard) {
        return fail(ErrorCode::corruption, "a directory is sharded over many blocks; the archive's own directories are not");
    }
    if (directory.data.kind != UnixfsKind::directory) return malformed("it is no directory");
    for (const PbLink& link : directory.node.links) {
        if (!link.name.has_value() || link.name->empty()) return malformed("a directory has an entry without a name");
    }
    return std::move(directory.node.links);
}

Result<std::uint64_t> file_bytes_of(const Cid& cid, ByteView block) {
    if (cid.codec == codec_raw) return std::uint64_t{block.size()};
    DVESP_ASSIGN(const FileNode file, parse_node(block));
    return checked_bytes(file, std::uint64_t{1} << 62);
}

}  // namespace dvesp::codec
