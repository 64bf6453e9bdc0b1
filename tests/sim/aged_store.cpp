/// tests/sim/aged_store.cpp - makes a store with a past and reads its log frame by frame.
#include "sim/aged_store.hpp"

#include <array>
#include <set>

#include "codec/frame.hpp"
#include "codec/manifest.hpp"
#include "codec/segment_file.hpp"
#include "sim/checker.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint32_t collections_max = 3;
constexpr int lives = 4, operations_a_life = 45;

store::DatabaseOptions aging_options() {
    store::DatabaseOptions options;
    options.log.file_bytes = std::uint64_t{64} << 10;
    options.seal_rows = 60;
    options.index_rows_min = 40;
    options.unsealed_bytes_max = std::uint64_t{512} << 10;
    options.log_bytes_max = std::uint64_t{192} << 10;
    return options;
}

std::string live(Machine& machine, Workload& workload, bool is_last) {
    const auto started = machine.start();
    if (!started.ok()) return "start: " + started.error().message;
    for (int turn = 0; turn < operations_a_life; ++turn) {
        const Attempt attempt = workload.run(machine);
        if (!attempt.violation.empty()) return attempt.name + ": " + attempt.violation;
        if (!attempt.result.ok()) machine.settle_down();
        if (!attempt.result.ok() && attempt.result.error().code != ErrorCode::unavailable)
            return attempt.result.error().message;
        machine.executor().drain();
        if (workload.prng().chance(0.1)) machine.advance_ms(150);
    }
    if (is_last || workload.prng().chance(0.3)) {
        const auto closed = machine.close();
        return closed.ok() ? std::string() : "close: " + closed.error().message;
    }
    machine.power_cut();
    return {};
}

Homes find_homes(store::Database& database, const State& state) {
    Homes homes;
    for (const auto& [name, model] : state) {
        const auto collection = database.collection(name).value();
        const auto snapshot = collection->snapshot();
        for (const auto& [id, row] : model.rows) {
            const auto found = store::Collection::find(*snapshot, id).value();
            homes[{name, id}] = found.value().source->name();
        }
    }
    return homes;
}

/// Walks the frames of one life of a log file.
void find_live_bytes(const codec::LogFileEntry& entry, AgedFile& file) {
    const std::uint64_t limit = entry.end_log_seq == 0 ? file.bytes.size() : entry.end_offset;
    std::uint64_t offset = 0;
    std::uint64_t last_frame = 0;
    bool is_marker = false;
    while (offset < limit) {
        const auto frame = codec::parse_frame(ByteView(file.bytes).subspan(offset));
        if (!frame.ok() || frame->envelope.generation != entry.generation) break;
        last_frame = offset;
        is_marker = frame->head.kind == codec::FrameKind::marker;
        offset += frame->layout.padded;
    }
    file.live_end = offset;
    file.is_closed_log = entry.end_log_seq != 0;
    file.closing_marker = is_marker && entry.end_log_seq == 0 ? last_frame : offset;
}

/// A file as the store sees it and as it lies on the disk.
AgedFile read_file(sim::Disk& disk, ports::Files& files, const std::string& path, FileRole role) {
    AgedFile file;
    file.role = role;
    file.stored = disk.contents(path);
    const auto opened = files.open(path, ports::Access::buffered).value();
    file.bytes.resize(opened->size().value());
    DVESP_ASSERT(opened->read(0, file.bytes).value() == file.bytes.size());
    file.live_end = file.closing_marker = file.bytes.size();
    return file;
}

std::string take_image(Machine& machine, AgedStore& out) {
    sim::Disk& disk = machine.disk();
    const auto files = machine.mount();
    AgedFile manifest = read_file(disk, *files, store::manifest_path, FileRole::manifest);
    const auto parsed = codec::parse_manifest(manifest.bytes);
    if (!parsed.ok()) return parsed.error().message;
    out.files[store::manifest_path] = std::move(manifest);
    for (const codec::LogFileEntry& entry : parsed->manifest.log_files) {
        const std::string path = store::log_path(entry.number);
        find_live_bytes(entry, out.files[path] = read_file(disk, *files, path, FileRole::log));
    }
    for (const std::string& path : disk.paths()) {
        if (!path.starts_with(store::segment_directory)) continue;
        AgedFile file = read_file(disk, *files, path, FileRole::segment);
        const auto footer = codec::parse_footer(file.bytes);
        if (!footer.ok()) return path + ": " + footer.error().message;
        if (footer->kind != codec::FileKind::segment) {
            file.role = footer->kind == codec::FileKind::graph ? FileRole::graph : FileRole::ivf;
        }
        out.files[path] = std::move(file);
    }
    return {};
}

bool has_every_role(const AgedStore& store) {
    std::set<FileRole> roles;
    for (const auto& [path, file] : store.files) roles.insert(file.role);
    return roles.size() == role_count;
}

std::string age_once(std::uint64_t seed, Content content, AgedStore& out) {
    out.options = aging_options();
    out.content = content;
    Machine machine(seed, out.options, content);
    Workload workload(seed, collections_max);
    workload.keep_history();
    if (seed % 3 == 0) workload.want_large_indexes();
    for (int life = 0; life < lives; ++life) {
        std::string what = live(machine, workload, life + 1 == lives);
        if (!what.empty()) return what;
    }
    // Once more, so that what the last life left over is gone, and to look where every row is.
    const auto started = machine.start();
    if (!started.ok()) return "start: " + started.error().message;
    State found;
    std::string what = read_all(machine.database(), found);
    if (what.empty()) what = difference(workload.state(), found);
    if (what.empty()) what = check_verify(machine.database());
    if (!what.empty()) return what;
    out.state = workload.state();
    out.history = workload.history();
    out.homes = find_homes(machine.database(), out.state);
    const auto closed = machine.close();
    if (!closed.ok()) return "close: " + closed.error().message;
    return take_image(machine, out);
}

}  // namespace

const char* role_name(FileRole role) noexcept {
    constexpr std::array<const char*, role_count> names = {"manifest", "log", "segment", "graph", "ivf"};
    return names[static_cast<std::size_t>(role)];
}

std::string age_store(std::uint64_t seed, Content content, AgedStore& out) {
    constexpr std::uint64_t pasts_max = 100;
    for (std::uint64_t past = 0; past < pasts_max; ++past) {
        out = {};
        std::string what = age_once(seed * pasts_max + past, content, out);
        if (!what.empty() || has_every_role(out)) return what;
    }
    return "none of " + std::to_string(pasts_max) + " pasts left files of every kind";
}

}  // namespace dvesp::test
