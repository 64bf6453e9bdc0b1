/// node/vault_scan.hpp - reads one data file of a vault: what is whole, what was never promised, what is damaged.
/// Bytes and rules: docs/formats/vault.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "codec/vault_record.hpp"
#include "ports/files.hpp"

namespace dvesp::node {

inline constexpr const char* vault_data_directory = "data";
[[nodiscard]] std::string vault_data_path(std::uint32_t number);

struct VaultRecord {
    std::uint64_t offset = 0;
    codec::VaultHeader header;
    [[nodiscard]] std::uint64_t end() const noexcept { return offset + codec::vault_header_bytes + header.length; }
};

struct VaultDamage {
    std::uint64_t first = 0;
    std::uint64_t end = 0;
};

struct VaultScan {
    std::vector<VaultRecord> records;  ///< puts and tombstones in the order of the file
    std::vector<VaultDamage> damages;  ///< what was durable once and cannot be read: headers, so nobody knows of which ids
    std::uint64_t end = 0;             ///< behind the last record, and in front of the mark of the end
    std::uint64_t durable = 0;         ///< what the file says of itself: the highest `durable` of all whole headers
    std::uint64_t size = 0;            ///< of the file, or the caller's limit
    std::uint64_t sequence = 0;        ///< the highest of all that count
    bool is_marked = false;            ///< the last record is a marker: a next one would be of no use
    bool is_ended = false;             ///< the mark of the end is there
    bool is_torn = false;              ///< something lies behind `end` that was never promised
    bool is_unreadable = false;        ///< the disk refused some bytes, twice
};

/// What the caller knows of a file that this process writes itself; of others the file must say it.
struct VaultScanLimits {
    std::uint64_t end = UINT64_MAX;
    std::uint64_t durable = 0;
};

/// Reads the headers of all records, and the bytes of those that nothing proves durable: the file may end in a torn write.
/// @errors  none of damaged bytes; io_failed when the size cannot be had    @cost  O(records), and O(bytes) of small records
Result<VaultScan> scan_vault_file(ports::File& file, std::uint64_t generation, std::uint32_t number,
                                  VaultScanLimits limits = {});

enum class VaultRead : std::uint8_t { whole, damaged, refused };
/// Reads the record at `place` and checks both sums, its id and its length.
/// @param into  gets the bytes; nothing is to be believed of it unless the answer is `whole`
/// @return      damaged: the bytes are not what was written; refused: the disk failed to read, twice
VaultRead read_vault_record(ports::File& file, std::uint64_t generation, std::uint64_t offset, const codec::FragmentId& id,
                            std::uint32_t length, std::vector<std::uint8_t>& into);

}  // namespace dvesp::node
