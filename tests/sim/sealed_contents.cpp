/// tests/sim/sealed_contents.cpp - what the disk below an encrypted store shows: no id, no vector, no metadata, no name of a
/// collection; and under another key nothing opens. The same search finds all of them in a store that is not encrypted.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>

#include "node/encrypting_files.hpp"
#include "sim/aged_store.hpp"
#include "sim/arguments.hpp"
#include "sim/world.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t seeds_default = 3;
/// Shorter texts turn up by chance in a few megabytes of noise.
constexpr std::size_t needle_bytes = 6;

ByteView front_of(ByteView bytes) { return bytes.first(std::min(bytes.size(), std::size_t{16})); }

/// Pieces of every row that the store holds, and of the names of collections.
std::vector<std::string> needles_of(const AgedStore& aged) {
    std::set<std::string> needles;
    const auto add = [&](ByteView bytes) {
        const std::set<std::uint8_t> different(bytes.begin(), bytes.end());
        if (bytes.size() >= needle_bytes && different.size() > 2) needles.emplace(text_of(bytes));
    };
    for (const auto& [name, collection] : aged.state) {
        add(bytes_of(name));
        for (const auto& [id, row] : collection.rows) {
            add(front_of(bytes_of(id)));
            add(front_of(row.metadata));
            add(front_of({reinterpret_cast<const std::uint8_t*>(row.vector.data()), row.vector.size() * sizeof(float)}));
        }
    }
    add(bytes_of("DVEMAN1"));
    return {needles.begin(), needles.end()};
}

/// How many needles are somewhere in the files.
std::size_t count_found(const AgedStore& aged, const std::vector<std::string>& needles) {
    std::size_t found = 0;
    for (const std::string& needle : needles) {
        found += std::any_of(aged.files.begin(), aged.files.end(), [&](const auto& entry) {
            const std::string_view stored = text_of(entry.second.stored);
            const std::boyer_moore_horspool_searcher searcher(needle.begin(), needle.end());
            return std::search(stored.begin(), stored.end(), searcher) != stored.end();
        });
    }
    return found;
}

std::string open_with_another_key(const AgedStore& aged, std::uint64_t seed) {
    sim::Disk disk(seed);
    for (const char* directory : {store::segment_directory, store::log_directory}) {
        DVESP_ASSERT(disk.mount()->make_directory(directory).ok());
    }
    for (const auto& [path, file] : aged.files) disk.write_raw(path, 0, file.stored);
    const auto files = node::make_encrypting_files(disk.mount(), crypto::Key32(bytes_of("another key of 32 bytes, not it.")),
                                                   std::make_unique<sim::Random>(seed));
    sim::Clock clock;
    sim::Random random(seed);
    sim::Executor executor(seed, clock);
    const auto opened = store::Database::open({files.get(), &clock, &random, &executor}, aged.options);
    if (opened.ok()) return "another key opens the store";
    if (opened.error().code != ErrorCode::sealed) return "another key is reported as: " + opened.error().message;
    for (const auto& [path, file] : aged.files) {
        if (disk.contents(path) != file.stored) return "another key changed " + path;
    }
    return {};
}

void run_seed(std::uint64_t seed, Verdict& verdict) {
    for (const Content content : {Content::plain, Content::encrypted}) {
        AgedStore aged;
        std::string what = age_store(seed, content, aged);
        if (!what.empty()) return verdict.fail(seed, "making the store: " + what);
        const std::vector<std::string> needles = needles_of(aged);
        const std::size_t found = count_found(aged, needles);
        const bool is_plain = content == Content::plain;
        // A row need not lie there exactly as it was given.
        if (is_plain && found < needles.size() / 2) what = "the search itself finds too little to mean anything";
        if (!is_plain && found > 0) what = std::to_string(found) + " pieces of content lie readable on the disk";
        if (what.empty() && !is_plain) what = open_with_another_key(aged, seed);
        std::fprintf(stderr, "%s: %zu pieces of content, %zu on the disk\n", is_plain ? "plain" : "encrypted", needles.size(),
                     found);
        what.empty() ? verdict.pass() : verdict.fail(seed, what);
    }
}

int run(const Arguments& arguments) {
    Verdict verdict("sim_sealed_contents");
    for (std::uint64_t seed = arguments.seed_first; seed < arguments.seed_first + arguments.seed_count; ++seed) {
        run_seed(seed, verdict);
    }
    return verdict.finish();
}

}  // namespace
}  // namespace dvesp::test

int main(int argument_count, char** arguments) {
    return dvesp::test::run(dvesp::test::parse_arguments(argument_count, arguments, dvesp::test::seeds_default));
}
