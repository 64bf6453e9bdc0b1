/// codec/rpc.hpp - what a client asks a node and what the node answers, as bytes. Bytes: docs/formats/rpc.md.
/// One layout serves every operation: a fixed head, columns, and the vectors last, aligned, so that neither side copies them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "codec/frame.hpp"

namespace dvesp::codec {

inline constexpr std::uint32_t rpc_magic = 0x31525644;  // "DVR1"
inline constexpr std::uint16_t rpc_version = 1;
inline constexpr std::size_t rpc_head_bytes = 24;
inline constexpr std::uint64_t rpc_bytes_max = std::uint64_t{2} << 30;  ///< of one message: 100,000 x 4096 float32 and metadata
inline constexpr const char* rpc_protocol = "dvesp-rpc/1";

enum class RpcKind : std::uint16_t { request = 1, reply = 2, peer = 3, device = 4 };

/// In front of every message on a connection.
struct RpcHead {
    RpcKind kind = RpcKind::request;
    std::uint64_t id = 0;  ///< a reply has the id of its request
    std::uint64_t bytes = 0;
};
void store_rpc_head(std::uint8_t* at, const RpcHead& head) noexcept;
/// @errors invalid_argument: another protocol, version or kind, or too long
[[nodiscard]] Result<RpcHead> parse_rpc_head(ByteView bytes);

enum class Op : std::uint8_t {
    hello = 1,  ///< reply: topology in `text`
    write = 2,
    update = 3,
    remove = 4,
    search = 5,
    get = 6,
    scroll = 7,
    count = 8,
    create = 9,
    drop = 10,
    describe = 11,
    flush = 12,
    compact = 13,
    verify = 14,
    status = 15,
    read_index = 16,  ///< reply: the commit index of the shard, confirmed by a majority
    join = 17,        ///< a node asks to be taken in
    fetch = 18,       ///< bytes of a content-addressed file
    merge = 19,       ///< since cluster format 2: a batch from a branch; config: 16 bytes of parent a row; reply: conflicts
};
inline constexpr std::uint8_t op_last = 19;

enum class Level : std::uint8_t { one = 1, quorum = 2, all = 3 };

/// Yes/no members of a request.
enum RequestFlag : std::uint32_t {
    flag_upsert = 1U << 0,
    flag_fresh_ids = 1U << 1,  ///< the client drew them for this batch: only a retry can meet them again
    flag_exist_ok = 1U << 2,
    flag_has_ids = 1U << 3,
    flag_has_metadata = 1U << 4,
    flag_has_filter = 1U << 5,
    flag_has_vectors = 1U << 6,
    flag_include_vectors = 1U << 7,
    flag_exact = 1U << 8,
    flag_has_metric = 1U << 9,
    flag_has_version = 1U << 10,
    flag_has_effort = 1U << 11,
    flag_has_probes = 1U << 12,
    flag_has_recall = 1U << 13,
    flag_has_after = 1U << 14,
    flag_skip_damage = 1U << 15,
    flag_detail = 1U << 16,
    flag_one_page = 1U << 17,  ///< of a scroll: the node keeps nothing open behind the page
};

/// One request; the views point into the sender's memory or into the received bytes.
struct Request {
    Op op = Op::hello;
    Level level = Level::quorum;
    std::uint8_t metric = 0;
    std::uint32_t flags = 0;
    std::uint32_t timeout_ms = 5000;
    std::uint32_t count = 0;  ///< rows or queries
    std::uint32_t dimension = 0;
    std::uint32_t top_k = 0;  ///< also the rows of one page of a scroll
    std::uint32_t effort = 0;
    std::uint32_t probes = 0;
    float recall = 0;
    std::uint64_t version = 0;        ///< if_version
    std::uint64_t session_index = 0;  ///< session_token: the answer must know the shard up to here
    BatchId batch_id{};
    Salt salt{};
    std::array<std::uint8_t, 16> trace{};
    std::string_view collection;
    std::string_view text;  ///< `after` of a scroll, the path of a fetch, what a join brings
    ByteView filter;        ///< CBOR
    ByteView config;        ///< CBOR, of a collection
    std::vector<std::string_view> ids;
    std::vector<ByteView> metadata;
    std::span<const float> vectors;  ///< [count, dimension]

    [[nodiscard]] bool has(RequestFlag flag) const noexcept { return (flags & flag) != 0; }
    void set(RequestFlag flag, bool on = true) noexcept { flags = on ? flags | flag : flags & ~std::uint32_t{flag}; }
};

enum class WriteStatus : std::uint8_t { success = 0, partial = 1, failed = 2 };

/// One answer. `code` 0 = done, else a number of errors.def.
struct Reply {
    std::uint16_t code = 0;
    WriteStatus status = WriteStatus::success;
    bool is_leader_hint = false;  ///< not done here: ask `hint` (empty: ask again later)
    std::uint32_t nodes_queried = 0;
    std::uint32_t queries = 0;
    std::uint32_t top_k = 0;
    std::uint32_t dimension = 0;
    bool has_vectors = false;
    double time_ms = 0;
    std::uint64_t timestamp_ms = 0;
    std::uint64_t version = 0;
    std::uint64_t count = 0;
    std::uint64_t index = 0;  ///< session_token: what was written or read is known from here on
    Hash root{};
    std::string_view message;
    std::string_view hint;
    ByteView bytes;  ///< JSON of reports, bytes of files
    std::vector<std::string_view> nodes;
    std::vector<std::uint32_t> counts;  ///< hits of each query
    std::vector<std::string_view> ids;
    std::vector<std::uint64_t> versions;
    std::vector<ByteView> metadata;
    std::vector<float> distances;
    std::span<const float> vectors;
};

/// Where a session stands: an index of one group. Of another group (the collection was dropped and made again) it says nothing.
[[nodiscard]] constexpr std::uint64_t session_token(std::uint64_t group, std::uint64_t index) noexcept {
    return group << 40 | (index & ((std::uint64_t{1} << 40) - 1));
}
[[nodiscard]] constexpr std::uint64_t index_in_session(std::uint64_t token, std::uint64_t group) noexcept {
    return token >> 40 == group ? token & ((std::uint64_t{1} << 40) - 1) : 0;
}

/// A message ready to send: `head`, then `tail` (the vectors, in the sender's memory).
struct EncodedMessage {
    std::vector<std::uint8_t> head;
    ByteView tail;
    [[nodiscard]] std::size_t size() const noexcept { return head.size() + tail.size(); }
};

[[nodiscard]] EncodedMessage encode_request(const Request& request);
/// @param bytes must start at an address that is a multiple of 64; the request's views point into it
/// @errors invalid_argument
[[nodiscard]] Result<Request> parse_request(ByteView bytes);
[[nodiscard]] EncodedMessage encode_reply(const Reply& reply);
/// As parse_request. @errors unavailable: the peer does not speak our protocol
[[nodiscard]] Result<Reply> parse_reply(ByteView bytes);

/// The answer that says that something failed.
[[nodiscard]] Reply reply_of(const Error& error);
/// The error inside a reply with a code.
[[nodiscard]] Error error_of(const Reply& reply);

}  // namespace dvesp::codec
