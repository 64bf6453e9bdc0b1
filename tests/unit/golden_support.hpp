/// tests/unit/golden_support.hpp - writes a small store that uses every part of the format, and checks one against its notes.
/// The notes (expected.txt) are taken when a store is written, so later changes of this program cannot bend the check.
#pragma once

#include <bit>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "codec/byte_io.hpp"
#include "os/files.hpp"
#include "unit/store_support.hpp"

namespace dvesp::test {

/// A store on the real file system under simulated time, randomness and background work.
class GoldenStore {
  public:
    explicit GoldenStore(const std::string& directory)
        : files_(os::make_files(directory, {.allow_direct = false})), random_(42), executor_(43, clock_) {
        store::DatabaseOptions options;
        options.log.file_bytes = 32 << 10;
        options.index_rows_min = 64;
        auto opened = store::Database::open({files_.get(), &clock_, &random_, &executor_}, options);
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? "" : opened.error().message));
        database_ = std::move(*opened);
    }
    store::Database& operator*() { return *database_; }
    store::Database* operator->() { return database_.get(); }

  private:
    std::unique_ptr<ports::Files> files_;
    sim::Clock clock_;
    sim::Random random_;
    sim::Executor executor_;
    std::unique_ptr<store::Database> database_;
};

inline std::string hex(ByteView bytes) { return bytes.empty() ? "-" : to_hex(bytes); }
inline std::string hex(const std::vector<float>& values) {
    return hex(ByteView(reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(float)));
}
inline std::string hex(std::string_view text) { return hex(bytes_of(text)); }
inline Blob unhex(const std::string& text) {
    Blob out(text == "-" ? 0 : text.size() / 2);
    REQUIRE((text == "-" || from_hex(text, out)));
    return out;
}
inline std::vector<float> floats_of(const Blob& bytes) {
    std::vector<float> out(bytes.size() / sizeof(float));
    for (std::size_t at = 0; at < out.size(); ++at)
        out[at] = std::bit_cast<float>(codec::load<std::uint32_t>(bytes.data() + 4 * at));
    return out;
}

inline const std::vector<Json>& golden_filters() {
    static const std::vector<Json> filters = {
        Json(JsonMap{{"n", Json(JsonMap{{"$gte", 3}, {"$lt", 7}})}}),
        Json(JsonMap{{"tags", "red"}}),
        Json(JsonMap{{"nested.deep", Json(JsonMap{{"$exists", true}})}}),
        Json(JsonMap{
            {"$or", Json(JsonList{Json(JsonMap{{"t", Json(JsonMap{{"$contains", "long"}})}}), Json(JsonMap{{"n", 1}})})}}),
        Json(JsonMap{{"big", (std::uint64_t{1} << 53) + 1}}),
        Json(JsonMap{{"none", Json()}}),
    };
    return filters;
}

/// A record whose metadata has every kind of value somewhere.
inline Record golden_record(Prng& prng, std::string id, std::uint32_t dimension) {
    Record out = make_record(prng, std::move(id), dimension);
    const std::uint64_t kind = prng.below(8);
    JsonMap fields = {{"n", static_cast<std::int64_t>(prng.below(10))}};
    if (kind == 0) fields.emplace_back("tags", Json(JsonList{"red", 5, Json(), 1.5}));
    if (kind == 1) fields.emplace_back("nested", Json(JsonMap{{"deep", true}, {"er", Json(JsonMap{{"x", -7}})}}));
    if (kind == 2) fields.emplace_back("t", Json(std::string(250, 'x') + "long"));
    if (kind == 3) fields.emplace_back("big", Json((std::uint64_t{1} << 53) + prng.below(2)));
    if (kind == 4) fields.emplace_back("none", Json());
    if (kind == 5) fields.emplace_back("nested.deep", Json("\xc3\xa9\xe6\xb0\xb4"));
    if (kind == 6) fields.emplace_back("real", Json(-0.0));
    out.metadata = kind == 7 ? Blob() : to_cbor(Json(std::move(fields)));
    return out;
}

inline std::vector<Record> golden_records(Prng& prng, const char* prefix, std::uint64_t count, std::uint32_t dimension) {
    std::vector<Record> out;
    for (std::uint64_t index = 0; index < count; ++index)
        out.push_back(golden_record(prng, numbered(prefix, index), dimension));
    return out;
}

/// Fills an empty store: segments, index files, dead rows in the manifest and in the log, rows only in the log.
inline void fill_golden(GoldenStore& golden) {
    Prng prng(7);
    const auto create = [&](const char* name, std::uint32_t dimension, store::Metric metric, store::IndexKind kind) {
        store::CollectionConfig config;
        config.dimension = dimension;
        config.metric = metric;
        config.index = kind;
        config.degree_half = 4;
        config.ef_construction = 40;
        config.list_count = kind == store::IndexKind::ivf ? 8 : 0;
        REQUIRE(golden->create_collection(name, config, false).ok());
    };
    create("graph", 6, store::Metric::cosine, store::IndexKind::hnsw);
    create("lists", 5, store::Metric::dot_product, store::IndexKind::ivf);
    create("flat", 3, store::Metric::l2, store::IndexKind::flat);
    create("gone", 2, store::Metric::l2, store::IndexKind::flat);
    REQUIRE(put(*golden, "graph", golden_records(prng, "g", 70, 6)).ok());
    REQUIRE(upsert(*golden, "graph", golden_records(prng, "g", 5, 6)).ok());
    REQUIRE(put(*golden, "lists", golden_records(prng, "l", 66, 5)).ok());
    REQUIRE(put(*golden, "gone", golden_records(prng, "x", 3, 2)).ok());
    REQUIRE(golden->compact("graph").ok());
    REQUIRE(golden->compact("lists").ok());
    REQUIRE(remove_ids(*golden, "graph", {"g10", "g11"}).ok());
    REQUIRE(golden->flush("graph").ok());  // now the manifest says that they are dead
    REQUIRE(remove_ids(*golden, "lists", {"l3"}).ok());
    REQUIRE(upsert(*golden, "graph", {golden_record(prng, "g20", 6)}).ok());
    REQUIRE(put(*golden, "flat", golden_records(prng, "f", 12, 3)).ok());
    REQUIRE(remove_ids(*golden, "flat", {"f2"}).ok());
    REQUIRE(golden->drop_collection("gone").ok());
    REQUIRE(golden->close().ok());
}

inline const std::vector<std::pair<std::string, std::uint32_t>>& golden_collections() {
    static const std::vector<std::pair<std::string, std::uint32_t>> collections = {{"flat", 3}, {"graph", 6}, {"lists", 5}};
    return collections;
}

/// What a reader of the store must find, one fact a line.
inline void write_notes(const std::string& directory, const std::string& path) {
    GoldenStore golden(directory);
    std::ofstream out(path);
    Prng prng(8);
    for (const auto& [name, dimension] : golden_collections()) {
        const auto rows = contents(*golden, name);
        out << "count " << name << " " << rows.size() << "\n";
        for (const auto& [id, row] : rows) {
            out << "row " << name << " " << hex(std::string_view(id)) << " " << row.version << " " << hex(row.vector) << " "
                << hex(row.metadata) << " " << hex(row.parent) << "\n";
        }
        for (std::size_t filter = 0; filter <= golden_filters().size(); ++filter) {
            const auto query = make_record(prng, "q", dimension).vector;
            store::SearchOptions options;
            options.exact = true;
            options.metric = static_cast<store::Metric>(filter % 3);
            const bool filtered = filter < golden_filters().size();
            const Blob bytes = filtered ? to_cbor(golden_filters()[filter]) : Blob();
            const auto wanted = filtered ? parsed(golden_filters()[filter]) : store::ParsedFilter();
            out << "exact " << name << " " << filter % 3 << " " << hex(query) << " " << hex(bytes);
            for (const auto& [id, distance] : search(*golden, name, query, options, filtered ? &wanted : nullptr)) {
                out << " " << id << " " << std::bit_cast<std::uint32_t>(distance);
            }
            out << "\n";
        }
    }
}

class GoldenCheck {
  public:
    GoldenCheck(GoldenStore& golden, const std::string& notes_path) : golden_(golden), notes_(notes_path) {
        REQUIRE(notes_.is_open());
    }
    void run() {
        for (std::string line; std::getline(notes_, line); ++lines_) {
            std::istringstream words(line);
            std::string kind, name;
            words >> kind >> name;
            CAPTURE(line.substr(0, 60));
            if (kind == "count") {
                check_count(name, words);
            } else if (kind == "row") {
                check_row(name, words);
            } else {
                REQUIRE(kind == "exact");
                check_search(name, words);
            }
        }
        REQUIRE(lines_ > 100);
        CHECK(golden_->collection_names().size() == golden_collections().size());
        check_verifies(*golden_);
    }

  private:
    void check_count(const std::string& name, std::istringstream& words) {
        std::size_t count = 0;
        words >> count;
        CHECK(contents(*golden_, name).size() == count);
    }
    void check_row(const std::string& name, std::istringstream& words) {
        std::string id, vector, metadata, parent;
        Stored wanted;
        words >> id >> wanted.version >> vector >> metadata >> parent;
        wanted.vector = floats_of(unhex(vector));
        wanted.metadata = unhex(metadata);
        wanted.parent = unhex(parent);
        const Blob id_bytes = unhex(id);
        const auto found = get(*golden_, name, std::string(text_of(id_bytes)));
        REQUIRE(found.has_value());
        CHECK(*found == wanted);
    }
    void check_search(const std::string& name, std::istringstream& words) {
        std::uint32_t metric = 0;
        std::string query_hex, filter_hex, id;
        words >> metric >> query_hex >> filter_hex;
        const auto query = floats_of(unhex(query_hex));
        const Blob bytes = unhex(filter_hex);
        store::ParsedFilter filter;
        if (!bytes.empty()) filter = {store::parse_filter(bytes).value(), bytes};
        store::SearchOptions options;
        options.metric = static_cast<store::Metric>(metric);
        options.exact = true;
        const auto found = search(*golden_, name, query, options, bytes.empty() ? nullptr : &filter);
        std::size_t at = 0;
        for (std::uint32_t bits = 0; words >> id >> bits; ++at) {
            REQUIRE(at < found.size());
            CHECK(found[at].first == id);
            CHECK(found[at].second == doctest::Approx(static_cast<double>(std::bit_cast<float>(bits))).epsilon(1e-5));
        }
        CHECK(found.size() == at);
    }

    GoldenStore& golden_;
    std::ifstream notes_;
    std::size_t lines_ = 0;
};

}  // namespace dvesp::test
