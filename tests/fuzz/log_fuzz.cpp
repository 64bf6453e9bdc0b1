/// tests/fuzz/log_fuzz.cpp - libFuzzer target: recovery of a log that looks like anything.
/// Input bytes: u8 mode | frames. Frames that are written here have fitting checksums unless one is told to be damaged.
/// Mode even: Log::recover, an append, and a second recovery that must find the same frames and the new one.
/// Mode odd: bodies are raw input under fitting checksums, and a whole database is opened over them.
#include <algorithm>
#include <array>
#include <cstring>

#include "fuzz/fuzz_support.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"
#include "store/database.hpp"
#include "store/frame_maker.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

constexpr std::uint64_t generation = 77;
constexpr std::uint64_t file_bytes = 64 << 10;

struct BuiltLog {
    fuzz::Bytes bytes = fuzz::Bytes(file_bytes, 0);
    std::uint64_t offset = 0;
    std::uint64_t log_seq = 1;
    std::uint32_t prev_crc = 0;

    void put(MutableBytes frame, const codec::FrameLayout& layout, fuzz::Input& input) {
        const std::uint8_t how = input.byte();
        codec::Envelope envelope{generation, log_seq, log_seq - 1, prev_crc};
        if ((how & 1) != 0) envelope.log_seq += input.byte() % 5;
        if ((how & 2) != 0) envelope.durable_log_seq = input.byte() % 12;
        if ((how & 4) != 0) envelope.prev_crc ^= 1;
        if ((how & 8) != 0) envelope.generation += 1;
        const std::uint32_t crc = codec::store_envelope(frame, envelope, layout, codec::columns_crc(frame, layout));
        if ((how & 16) != 0) frame[input.u16() % layout.padded] ^= input.byte();
        if ((how & 32) == 0) std::memcpy(bytes.data() + offset, frame.data(), layout.padded);  // else: never written
        offset += layout.padded;
        if ((how & 64) == 0) {
            prev_crc = crc;
            ++log_seq;
        }
    }
    [[nodiscard]] bool fits(std::uint64_t padded) const { return offset + padded <= file_bytes; }
};

/// A put, a tombstone or a marker with up to three short rows.
void add_ordinary_frame(BuiltLog& log, fuzz::Input& input) {
    const std::uint8_t shape = input.byte();
    std::vector<std::string> ids;
    for (std::uint32_t row = 0; row < shape % 4U; ++row)
        ids.push_back(std::string(1, static_cast<char>('a' + input.byte() % 26)));
    const float vector[2] = {1, 2};
    std::vector<store::FrameRow> rows;
    const bool tombstones = shape % 8 >= 4;
    for (const std::string& id : ids) rows.push_back({id, 1, {}, tombstones ? nullptr : vector, {}});
    const auto kind = rows.empty() ? codec::FrameKind::marker : (tombstones ? codec::FrameKind::remove : codec::FrameKind::put);
    dvesp::SerialRunner serial;
    const auto frame = store::make_frame({kind, static_cast<std::uint32_t>(1 + input.byte() % 2), 2, {}, {}}, rows, serial);
    codec::store_body_head(frame->buffer.bytes(), frame->view.head);
    if (log.fits(frame->view.layout.padded)) log.put(frame->buffer.bytes(), frame->view.layout, input);
}

/// Body and columns as they come; lengths, and mostly shapes, are made to agree, so that the parser lets them in.
void add_raw_frame(BuiltLog& log, fuzz::Input& input) {
    codec::BodyHead head;
    head.shard = input.byte() % 4;
    head.kind = static_cast<codec::FrameKind>(1 + input.byte() % 5);
    head.has_vectors = input.byte() % 8 == 0 ? head.kind != codec::FrameKind::put : head.kind == codec::FrameKind::put;
    head.seq = input.byte() % 8;
    head.hlc = input.u16();
    head.count = input.byte() % 6;
    head.dimension = input.byte() % 6;
    head.ids_bytes = std::min<std::uint64_t>(input.byte(), std::uint64_t{head.count} * 512);
    head.metadata_bytes = head.count == 0 ? 0 : input.u16() % 2000U;
    const codec::FrameLayout layout(head);
    if (!log.fits(layout.padded)) return;
    AlignedBuffer buffer(layout.padded);
    const ByteView columns = input.take(input.u16() % (layout.padded - codec::frame_head_bytes));
    if (!columns.empty()) std::memcpy(buffer.data() + codec::frame_head_bytes, columns.data(), columns.size());
    codec::store_body_head(buffer.bytes(), head);
    log.put(buffer.bytes(), layout, input);
}

codec::LogFileEntry entry_of(fuzz::Input& input, const BuiltLog& log) {
    codec::LogFileEntry entry{1, generation, file_bytes, 0, 0, 1};
    if (input.byte() % 4 == 0) {
        entry.end_log_seq = input.byte() % 12;
        entry.end_offset = entry.end_log_seq == 0 ? 0 : std::min<std::uint64_t>(log.offset, std::uint64_t{input.byte()} * 4096);
    }
    return entry;
}

void check(const store::LogRecovery& recovery) {
    std::uint64_t previous = 0;
    for (const store::RecoveredFrame& found : recovery.frames) {
        require(found.log_seq > previous);
        previous = found.log_seq;
        for (const store::LogDamage& damage : recovery.damages) {
            require(found.log_seq < damage.first_log_seq || found.log_seq > damage.last_log_seq);
        }
    }
}

void recover_twice(sim::Disk& disk, const codec::LogFileEntry& entry, std::uint64_t applied) {
    const auto files = disk.mount();
    sim::Random random(1);
    store::LogOptions options;
    options.file_bytes = file_bytes;
    std::vector<codec::LogFileEntry> entries;
    std::uint64_t next_number = 2;
    std::size_t before = 0;
    std::uint64_t last = 0;
    {
        store::Log log(*files, random, options);
        const auto recovery = log.recover({entry}, 2, applied);
        require(recovery.ok());
        check(*recovery);
        before = recovery->frames.size();
        const float vector[2] = {3, 4};
        dvesp::SerialRunner serial;
        const auto frame = store::make_frame({codec::FrameKind::put, 1, 2, {}, {}}, {{"new", 1, {}, vector, {}}}, serial);
        codec::store_body_head(frame->buffer.bytes(), frame->view.head);
        std::array<store::Frame*, 1> frames = {frame.get()};
        const auto persist = [&] {
            entries = log.entries();
            next_number = log.next_log_number();
            return Result<void>();
        };
        entries = log.entries();
        require(log.append(frames, persist).ok());
        last = log.last_log_seq();
        require(recovery->frames.empty() || last > recovery->frames.back().log_seq);
    }
    store::Log log(*files, random, options);
    const auto recovery = log.recover(entries, next_number, applied);
    require(recovery.ok());
    check(*recovery);
    require(!recovery->frames.empty() && recovery->frames.back().log_seq == last);
    require(recovery->frames.size() == before + 1);
}

void open_database(sim::Disk& disk, const codec::LogFileEntry& entry) {
    codec::Manifest manifest;
    manifest.next_log_number = 2;
    manifest.log_files = {entry};
    disk.write_raw("manifest", 0, codec::encode_manifest(manifest));
    const auto files = disk.mount();
    sim::Clock clock;
    sim::Random random(1);
    sim::Executor executor(1, clock);
    const auto opened = store::Database::open({files.get(), &clock, &random, &executor}, {});
    if (!opened.ok()) return;
    const auto names = (*opened)->collection_names();
    for (const std::string& name : names) {
        const auto collection = (*opened)->collection(name).value();
        auto cursor = store::Cursor::open(collection->snapshot(), std::nullopt, std::nullopt, store::OnDamage::skip);
        if (cursor.ok()) static_cast<void>((*cursor)->next(100).ok());
    }
    static_cast<void>((*opened)->flush("").ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const bool raw = input.byte() % 2 == 1;
    const std::uint64_t applied = raw ? 0 : input.byte() % 6;
    BuiltLog log;
    const std::uint8_t ending = input.byte();
    for (int count = 0; count < 14 && !input.empty(); ++count) {
        if (raw) {
            add_raw_frame(log, input);
        } else {
            add_ordinary_frame(log, input);
        }
    }
    fuzz::Input last(&ending, 1);
    const codec::LogFileEntry entry = entry_of(last, log);
    sim::Disk disk(1);
    const auto files = disk.mount();
    for (const char* directory : {"", store::segment_directory, store::log_directory})
        require(files->make_directory(directory).ok());
    disk.write_raw(store::log_path(1), 0, log.bytes);
    if (raw) {
        open_database(disk, entry);
    } else {
        recover_twice(disk, entry, applied);
    }
    return 0;
}
