/// bin/node_snapshots.cpp - listing and writing.
#include "bin/node_snapshots.hpp"

#include <algorithm>
#include <filesystem>

#include "os/cluster_snapshot.hpp"
#include "store/database.hpp"

namespace dvesp::bin {
namespace {

namespace fs = std::filesystem;

Error no_directory() {
    return fail(ErrorCode::unavailable, "this node keeps no snapshots: start it with --snapshots DIR, or call snapshot(path)");
}

}  // namespace

Result<std::vector<std::string>> NodeSnapshots::names() const {
    if (directory_.empty()) return no_directory();
    std::vector<std::string> out;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory_, error)) {
        const bool is_whole = fs::exists(entry.path() / store::manifest_path, error);
        const std::string name = entry.path().filename().string();
        if (is_whole && name.find(".new-") == std::string::npos) out.push_back(name);
    }
    std::sort(out.begin(), out.end());
    return out;
}

Result<std::uint64_t> NodeSnapshots::make(const std::string& name) {
    if (directory_.empty()) return no_directory();
    const std::unique_lock lock(writing_, std::try_to_lock);
    if (!lock.owns_lock()) return fail(ErrorCode::unavailable, "this node writes another snapshot; ask again when it is done");
    progress_.rows = 0;
    progress_.rows_total = 0;
    DVESP_TRY(os::write_cluster_snapshot(store_, (fs::path(directory_) / name).string(), progress_));
    return progress_.rows.load();
}

}  // namespace dvesp::bin
