/// node/audit_scan.hpp - reads an audit log from its first record to its last whole one.
/// Bytes: docs/formats/audit.md (codec/audit.hpp).
#pragma once

#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "codec/audit.hpp"
#include "codec/merkle_proof.hpp"
#include "codec/note.hpp"
#include "ports/files.hpp"

namespace dvesp::node {

inline constexpr const char* audit_folder = "/audit";  ///< behind the path of the store
inline constexpr const char* audit_file = "log";
inline constexpr const char* witness_record = "audit-witness";  ///< of a device: sealed/audit_note.hpp, WitnessMemory

/// Walks the records of a file. @threads one    @cost reads 1 MiB at once
class AuditReader {
  public:
    /// @param offset where a record begins; audit_header_bytes for the first
    AuditReader(ports::File& file, std::uint64_t offset) : file_(file), offset_(offset) {}
    /// The next record, valid until the next call; nothing where there is no whole one.
    Result<std::optional<codec::AuditRecord>> next();
    /// Where the next record begins, or what is no record.
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

  private:
    ports::File& file_;
    std::uint64_t offset_;
    std::vector<std::uint8_t> buffer_;
    std::uint64_t buffer_offset_ = 0;
    bool is_at_end_ = false;
};

/// What a log says, all of it.
struct AuditState {
    codec::AuditHeader header;
    codec::AuditMarks marks;
    std::uint64_t end = codec::audit_header_bytes;  ///< behind the last whole record
    std::uint64_t file_bytes = 0;
    codec::TreeFrontier tree, base;                                ///< of all entries; of those before `since`
    std::vector<Hash> since;                                       ///< leaves
    std::optional<codec::Note> last;                               ///< the last checkpoint
    std::map<std::uint32_t, std::set<Hash>> joined;                ///< device (from 1) -> keys with which it cosigned
    std::set<std::pair<std::uint64_t, Hash>> restarts, conflicts;  ///< sizes and roots
};

using AuditVisitor = std::function<Result<void>(const codec::AuditRecord& record, const AuditState& state)>;

/// @errors corruption: no log, or a damaged header
[[nodiscard]] Result<AuditState> read_audit_header(ports::File& file);
/// Reads all records and checks that each checkpoint is that of the entries before it (signatures are the visitor's).
/// @param base_size  leaves before it go into `base`, later ones into `since`
/// @param visit      called behind each record; may be empty. Its error ends the scan.
/// @errors  corruption: a whole record that cannot be; io_failed    @cost O(bytes), one SHA-256 an entry
[[nodiscard]] Result<void> scan_audit(ports::File& file, AuditState& state, std::uint64_t base_size, const AuditVisitor& visit);

}  // namespace dvesp::node
