/// tests/sim/aged_store.hpp - a closed store with a past, as bytes, with what it holds and which of its bytes mean something.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/machine.hpp"
#include "sim/workload.hpp"

namespace dvesp::test {

enum class FileRole : std::uint8_t { manifest, log, segment, graph, ivf };
inline constexpr std::size_t role_count = 5;
[[nodiscard]] const char* role_name(FileRole role) noexcept;

struct AgedFile {
    FileRole role = FileRole::manifest;
    Bytes bytes;   ///< as the store sees them
    Bytes stored;  ///< as they lie on the disk
    /// Of a log file: bytes from here on hold no frame of its present life (never written, or left by an earlier life).
    std::uint64_t live_end = 0;
    /// Of the last log file: where the closing marker starts; what it vouches for is whole without it. Else live_end.
    std::uint64_t closing_marker = 0;
    bool is_closed_log = false;  ///< the manifest says where its last frame ends
};

/// Where the newest version of a row is: a described path, or a text that begins with "the log".
using Homes = std::map<std::pair<std::string, std::string>, std::string>;

struct AgedStore {
    std::map<std::string, AgedFile> files;  ///< all that the manifest names, and the manifest
    State state;
    Workload::History history;
    Homes homes;
    store::DatabaseOptions options;
    Content content = Content::plain;
};

/// Ages a store by operations, crashes and closes, then closes it in an orderly way. It has files of every role.
/// @param out  what it became  @return what went wrong on the way; empty = nothing
[[nodiscard]] std::string age_store(std::uint64_t seed, Content content, AgedStore& out);

}  // namespace dvesp::test
