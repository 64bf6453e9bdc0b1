/// archive/ipfs_upload.cpp - plans a file's blocks and wraps them for `dag/import`.
#include "archive/ipfs_upload.hpp"

#include <algorithm>

#include "codec/car.hpp"

namespace dvesp::archive {
namespace {

using Piece = ports::HttpCall::Piece;

/// Collects the pieces of bodies; memory that stands side by side becomes one piece.
class BodyWriter {
  public:
    explicit BodyWriter(std::string boundary) { parts_.boundary = std::move(boundary); }

    /// Begins a body. @param root what its CAR names
    void begin(const codec::Cid& root) {
        parts_.bodies.emplace_back();
        memory("--" + parts_.boundary +
               "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"blocks.car\"\r\n"
               "Content-Type: application/vnd.ipld.car\r\n\r\n");
        memory(codec::encode_car_header(std::span(&root, 1)));
        bytes_ = 0;
    }
    void end() { memory("\r\n--" + parts_.boundary + "--\r\n"); }
    void memory(ByteView bytes) {
        std::vector<Piece>& body = parts_.bodies.back();
        if (body.empty() || body.back().source != nullptr) body.emplace_back();
        body.back().bytes.insert(body.back().bytes.end(), bytes.begin(), bytes.end());
        bytes_ += bytes.size();
    }
    void memory(const std::string& text) { memory(bytes_of(text)); }
    void part(ports::ByteSource& source, std::uint64_t offset, std::uint64_t length) {
        if (length == 0) return;
        parts_.bodies.back().push_back({{}, &source, offset, length});
        bytes_ += length;
    }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
    CarParts take() { return std::move(parts_); }

  private:
    CarParts parts_;
    std::uint64_t bytes_ = 0;  ///< of this body
};

}  // namespace

Result<FilePlan> plan_file(ports::ByteSource& content) {
    FilePlan plan;
    codec::FileTreeBuilder tree([&plan](const codec::Cid& cid, std::vector<std::uint8_t> block) {
        plan.nodes.push_back({cid, std::move(block)});
    });
    Sha256 whole;
    whole.start();
    const std::uint64_t size = content.size();
    std::vector<std::uint8_t> chunk(static_cast<std::size_t>(std::min<std::uint64_t>(size, codec::unixfs_chunk_bytes)));
    std::uint64_t offset = 0;
    do {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(chunk.size(), size - offset));
        const MutableBytes bytes = MutableBytes(chunk).first(count);
        DVESP_TRY(content.read(offset, bytes));
        whole.update(bytes);
        plan.leaves.push_back({codec::cid_of(codec::codec_raw, bytes), offset, count});
        tree.add(plan.leaves.back().cid, count);
        offset += count;
    } while (offset < size);
    plan.root = tree.finish();
    plan.sha256 = whole.finish();
    return plan;
}

CarParts car_parts(const FilePlan& plan, ports::ByteSource& content) {
    // No content can hold its own hash, so the boundary stands nowhere in it.
    BodyWriter out("dvesp-" + to_hex(plan.root.cid.digest));
    out.begin(plan.root.cid);
    const auto section = [&](const codec::Cid& cid, std::uint64_t bytes) {
        if (out.bytes() + bytes > car_bytes_max) {
            out.end();
            out.begin(plan.root.cid);
        }
        out.memory(codec::encode_car_section(cid, bytes));
    };
    for (const FilePlan::Leaf& leaf : plan.leaves) {
        section(leaf.cid, leaf.bytes);
        out.part(content, leaf.offset, leaf.bytes);
    }
    for (const FilePlan::Node& node : plan.nodes) {
        section(node.cid, node.block.size());
        out.memory(node.block);
    }
    out.end();
    return out.take();
}

}  // namespace dvesp::archive
