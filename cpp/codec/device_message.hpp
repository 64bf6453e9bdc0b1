/// codec/device_message.hpp - what a sealed store asks of a device on a node and what it answers, as bytes.
/// Bytes: docs/formats/device.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "codec/vault_record.hpp"

namespace dvesp::codec {

inline constexpr std::size_t device_request_bytes_max = std::size_t{72} << 20;
inline constexpr std::size_t device_answer_bytes_max = std::size_t{80} << 20;
inline constexpr std::uint32_t device_ids_max = 65'536;                   ///< of one request or one page
inline constexpr std::size_t device_answer_bytes = std::size_t{8} << 20;  ///< a `get` takes no further item behind them
inline constexpr std::size_t device_record_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t device_name_bytes_max = 64;
inline constexpr std::uint32_t device_stores_max = 256;
inline constexpr std::uint32_t device_sentences_max = 1000;
inline constexpr std::size_t device_sentence_bytes_max = 1000;

enum class DeviceOp : std::uint8_t {
    stores = 1,
    create = 2,
    attach = 3,
    release = 4,
    ping = 5,
    put = 6,
    get = 7,
    remove = 8,
    contains = 9,
    list = 10,
    put_record = 11,
    record = 12,
    verify = 13,
};

using Id16 = std::array<std::uint8_t, 16>;

/// Something to keep; the bytes are the sender's, or part of the received message.
struct DeviceItem {
    FragmentId id{};
    std::uint8_t kind = 1;
    ByteView bytes;
};

/// One request. Which members count follows from `op`; the others are empty.
struct DeviceRequest {
    DeviceOp op = DeviceOp::stores;
    std::uint8_t kind = 0;
    Id16 store{};
    Id16 session{};
    Id16 device{};                    ///< of create
    std::vector<DeviceItem> items;    ///< of put
    std::vector<FragmentId> ids;      ///< of get, remove, contains
    std::optional<FragmentId> after;  ///< of list
    std::string_view name;            ///< of put_record and record
    ByteView bytes;                   ///< of put_record
};
[[nodiscard]] std::vector<std::uint8_t> encode_device_request(const DeviceRequest& request);
/// The views of what it gives point into `bytes`. @errors invalid_argument
[[nodiscard]] Result<DeviceRequest> parse_device_request(ByteView bytes);

struct DevicePlace {
    Id16 store{};
    Id16 device{};
};
/// One answer to `op`.
struct DeviceReply {
    bool is_last = false;
    Id16 device{};                               ///< of attach and ping
    std::vector<DevicePlace> places;             ///< of stores
    std::vector<std::optional<ByteView>> found;  ///< of get; of record one
    std::vector<bool> here;                      ///< of contains
    std::vector<FragmentId> ids;                 ///< of list
    std::vector<std::string> sentences;          ///< of verify
};
[[nodiscard]] std::vector<std::uint8_t> encode_device_reply(DeviceOp op, const DeviceReply& reply);
[[nodiscard]] std::vector<std::uint8_t> encode_device_error(const Error& error);
/// The views point into `bytes`. @errors what the node said; unavailable: the answer is malformed
[[nodiscard]] Result<DeviceReply> parse_device_reply(DeviceOp op, ByteView bytes);

}  // namespace dvesp::codec
