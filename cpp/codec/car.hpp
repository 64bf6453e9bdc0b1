/// codec/car.hpp - blocks one behind the other with their CIDs, as IPFS nodes and gateways hand them over.
/// Source: ipld.io, CARv1: varint | header in DAG-CBOR, then varint | CID | block.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "codec/dag_pb.hpp"

namespace dvesp::codec {

inline constexpr std::size_t car_header_bytes_max = 4096;
inline constexpr std::size_t car_roots_max = 32;

/// What a CAR begins with. @pre 1 <= roots.size() <= car_roots_max
[[nodiscard]] std::vector<std::uint8_t> encode_car_header(std::span<const Cid> roots);
/// What stands in front of a block of `block_bytes`.
[[nodiscard]] std::vector<std::uint8_t> encode_car_section(const Cid& cid, std::uint64_t block_bytes);

/// Takes a CAR apart as it comes; every block was compared with its CID before anybody sees it. Holds one section at most.
class CarReader {
  public:
    using BlockSink = std::function<Result<void>(const Cid&, ByteView)>;
    explicit CarReader(BlockSink sink) : sink_(std::move(sink)) {}

    /// @errors corruption: no CARv1, or a section over its bound; integrity: a block is not what its CID names; those of the
    /// sink.
    ///         After an error the reader is of no further use.
    Result<void> feed(ByteView bytes);
    /// @errors corruption: it ended inside a section, or before its header
    [[nodiscard]] Result<void> finish() const;
    [[nodiscard]] const std::vector<Cid>& roots() const noexcept { return roots_; }

  private:
    /// Takes the bytes of a section's length; true when it is whole.
    Result<bool> take_length(ByteView& bytes);
    Result<void> take_section(ByteView section);
    Result<void> take_header(ByteView header);

    BlockSink sink_;
    std::vector<Cid> roots_;
    bool has_header_ = false;
    std::vector<std::uint8_t> length_;  ///< a length that is not whole yet
    std::uint64_t wanted_ = 0;          ///< bytes of the section that is being read; 0 = its length comes first
    std::vector<std::uint8_t> section_;
};

}  // namespace dvesp::codec
