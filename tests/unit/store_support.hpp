/// tests/unit/store_support.hpp - what tests of the store share: a simulated machine, small rows, one-line requests.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "node/memory_files.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"
#include "store/database.hpp"
#include "unit/json_model.hpp"

namespace dvesp::test {

using Blob = std::vector<std::uint8_t>;

/// A log of small files, so that tests rotate them; nothing is sealed or built but when a test says so.
inline store::DatabaseOptions small_options() {
    store::DatabaseOptions options;
    options.log.file_bytes = 64 << 10;
    return options;
}

/// One simulated machine; databases opened on it must go before it.
class Machine {
  public:
    explicit Machine(std::uint64_t seed = 1, bool in_memory = false)
        : disk(seed), random(seed), executor(seed, clock), memory_(in_memory ? node::make_memory_files() : nullptr) {}

    sim::Disk disk;
    sim::Clock clock;
    sim::Random random;
    sim::Executor executor;

    Result<std::unique_ptr<store::Database>> try_open(const store::DatabaseOptions& options = small_options()) {
        if (!memory_) mounts_.push_back(disk.mount());
        ports::Files* files = memory_ ? memory_.get() : mounts_.back().get();
        return store::Database::open({files, &clock, &random, &executor}, options);
    }
    std::unique_ptr<store::Database> open(const store::DatabaseOptions& options = small_options()) {
        auto opened = try_open(options);
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? "" : opened.error().message));
        return std::move(*opened);
    }
    /// The process ends without a close and the next one opens the store.
    std::unique_ptr<store::Database> reopen_after_kill(std::unique_ptr<store::Database>& database) {
        disk.end_process();
        database.reset();
        return open();
    }
    /// Lets background work run: what is due now and what becomes due within `ms`.
    void settle(std::uint64_t ms = 0) {
        executor.drain();
        clock.advance_ms(ms);
        executor.drain();
    }

  private:
    std::unique_ptr<ports::Files> memory_;
    std::vector<std::unique_ptr<ports::Files>> mounts_;
};

struct Record {
    std::string id;
    std::vector<float> vector;
    Blob metadata;
};

inline Record make_record(Prng& prng, std::string id, std::uint32_t dimension) {
    Record out{std::move(id), std::vector<float>(dimension), {}};
    for (float& value : out.vector) value = static_cast<float>(prng.unit() * 2 - 1);
    out.metadata =
        to_cbor(Json(JsonMap{{"n", static_cast<std::int64_t>(prng.below(10))}, {"t", numbered("x", prng.below(5))}}));
    return out;
}
inline std::vector<Record> make_records(Prng& prng, const char* prefix, std::uint32_t count, std::uint32_t dimension) {
    std::vector<Record> out;
    for (std::uint32_t index = 0; index < count; ++index) out.push_back(make_record(prng, numbered(prefix, index), dimension));
    return out;
}

inline Result<store::WriteReply> put(store::Database& database, const std::string& collection,
                                     const std::vector<Record>& records, store::WriteMode mode = store::WriteMode::insert) {
    std::vector<float> vectors;
    std::vector<std::string_view> ids;
    std::vector<ByteView> metadata;
    for (const Record& record : records) {
        vectors.insert(vectors.end(), record.vector.begin(), record.vector.end());
        ids.push_back(record.id);
        metadata.emplace_back(record.metadata);
    }
    store::WriteRequest request;
    request.collection = collection;
    request.mode = mode;
    request.vectors = vectors.data();
    request.count = static_cast<std::uint32_t>(records.size());
    request.dimension = records.empty() ? 1 : static_cast<std::uint32_t>(records.front().vector.size());
    request.ids = ids;
    request.metadata = metadata;
    return database.write(request);
}
inline Result<store::WriteReply> upsert(store::Database& database, const std::string& collection,
                                        const std::vector<Record>& records) {
    return put(database, collection, records, store::WriteMode::upsert);
}

inline Result<store::DeleteReply> remove_ids(store::Database& database, const std::string& collection,
                                             const std::vector<std::string>& ids) {
    const std::vector<std::string_view> views(ids.begin(), ids.end());
    store::DeleteRequest request;
    request.collection = collection;
    request.ids = views;
    request.has_ids = true;
    return database.remove(request);
}

inline store::ParsedFilter parsed(const Json& filter) {
    const Blob bytes = to_cbor(filter);
    return {store::parse_filter(bytes).value(), bytes};
}

/// A stored row, copied out.
struct Stored {
    std::uint64_t version = 0;
    std::vector<float> vector;
    Blob metadata;
    Blob parent;
    bool operator==(const Stored&) const = default;
};

inline Stored copy_of(const store::RowView& row, std::uint32_t dimension) {
    return {row.version, std::vector<float>(row.vector, row.vector + dimension), Blob(row.metadata.begin(), row.metadata.end()),
            Blob(row.parent.begin(), row.parent.end())};
}

/// Every row of a snapshot by id, read through a cursor.
inline std::map<std::string, Stored> contents(std::shared_ptr<const store::Snapshot> snapshot, std::uint32_t dimension) {
    auto cursor = store::Cursor::open(std::move(snapshot), std::nullopt, std::nullopt, store::OnDamage::raise).value();
    std::map<std::string, Stored> out;
    std::string previous;
    while (true) {
        const auto rows = cursor->next(7).value();
        if (rows.empty()) return out;
        for (const store::RowView& row : rows) {
            REQUIRE((out.empty() || previous < row.id));  // by rising id, each once
            previous = row.id;
            out.emplace(std::string(row.id), copy_of(row, dimension));
        }
    }
}
inline std::map<std::string, Stored> contents(store::Database& database, const std::string& collection) {
    const auto found = database.collection(collection).value();
    return contents(found->snapshot(), found->config().dimension);
}

inline std::optional<Stored> get(store::Database& database, const std::string& collection, const std::string& id) {
    const auto found = database.collection(collection).value();
    const auto snapshot = found->snapshot();
    const auto location = store::Collection::find(*snapshot, id).value();
    if (!location) return std::nullopt;
    return copy_of(location->source->row(location->row).value(), found->config().dimension);
}

inline std::vector<std::pair<std::string, float>> search(store::Database& database, const std::string& collection,
                                                         const std::vector<float>& query,
                                                         const store::SearchOptions& options = {},
                                                         const store::ParsedFilter* filter = nullptr) {
    const auto found = database.collection(collection).value();
    const auto prepared = store::SnapshotSearch::prepare(*found, found->snapshot(), options, filter).value();
    std::vector<std::pair<std::string, float>> out;
    std::vector<store::Hit> hits;
    REQUIRE(prepared->search(query.data(), {&hits, 1}).ok());
    for (const store::Hit& hit : hits) out.emplace_back(hit.id, hit.distance);
    return out;
}

inline void check_verifies(store::Database& database) {
    const auto problems = database.verify("").value();
    CAPTURE(problems.size());
    CHECK_MESSAGE(problems.empty(), (problems.empty() ? "" : problems.front()));
}

}  // namespace dvesp::test
