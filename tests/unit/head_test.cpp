/// tests/unit/head_test.cpp - heads, their id tables and death tables against ordinary maps, old bounds included.
#include "store/head.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "base/ids.hpp"
#include "index/flat_scan.hpp"
#include "store/frame_maker.hpp"
#include "unit/index_support.hpp"
#include "unit/json_model.hpp"

namespace store = dvesp::store;
using dvesp::id_key;
using dvesp::Prng;
using dvesp::index::no_row;
using store::DeathTable;
using store::Frame;
using store::Head;
using store::IdTable;

namespace {

constexpr std::uint32_t dimension = 4;

std::shared_ptr<const dvesp::index::Coding> plain_coding() {
    return std::make_shared<const dvesp::index::Coding>(false, std::vector<float>(dimension, 0.0F));
}

/// A frame with these ids; vectors and versions count on.
std::shared_ptr<Frame> frame_of(const std::vector<std::string>& ids, std::uint64_t version, bool tombstones = false) {
    std::vector<std::vector<float>> vectors;
    std::vector<store::FrameRow> rows;
    for (std::size_t row = 0; row < ids.size(); ++row) {
        vectors.push_back({static_cast<float>(version), static_cast<float>(row), 1, 2});
    }
    for (std::size_t row = 0; row < ids.size(); ++row) {
        rows.push_back({ids[row], version, {}, tombstones ? nullptr : vectors[row].data(), {}});
    }
    dvesp::SerialRunner serial;
    return store::make_frame(
        {tombstones ? dvesp::codec::FrameKind::remove : dvesp::codec::FrameKind::put, 1, dimension, {}, {}}, rows, serial);
}

}  // namespace

TEST_CASE("id_table_agrees_with_a_map_while_it_grows") {
    Prng prng(1);
    IdTable table;
    std::vector<std::string> names;
    std::map<std::string, std::uint32_t> model;
    const auto key_of = [&](std::uint32_t row) { return id_key(names[row]); };
    for (std::uint32_t row = 0; row < 20'000; ++row) {
        names.push_back(dvesp::test::numbered("id", prng.below(8000)));
        const auto same = [&](std::uint32_t other) { return names[other] == names[row]; };
        const std::uint32_t replaced = table.put(id_key(names[row]), row, same, key_of);
        const auto known = model.find(names[row]);
        REQUIRE(replaced == (known == model.end() ? no_row : known->second));
        model[names[row]] = row;
        const std::string probe = dvesp::test::numbered("id", prng.below(9000));
        const auto wanted = model.find(probe);
        const std::uint32_t found = table.find(id_key(probe), [&](std::uint32_t other) { return names[other] == probe; });
        REQUIRE(found == (wanted == model.end() ? no_row : wanted->second));
    }
}

TEST_CASE("id_table_keeps_ids_apart_that_share_a_key") {
    IdTable table;
    const auto key_of = [](std::uint32_t) { return std::uint64_t{42}; };
    for (std::uint32_t row = 0; row < 500; ++row) {
        CHECK(table.put(
                  42, row, [](std::uint32_t) { return false; }, key_of) == no_row);
    }
    for (std::uint32_t row = 0; row < 500; ++row) {
        CHECK(table.find(42, [&](std::uint32_t other) { return other == row; }) == row);
    }
}

TEST_CASE("death_table_agrees_with_a_map_of_deaths") {
    Prng prng(2);
    DeathTable table(20'000);
    std::map<std::uint32_t, std::uint64_t> model;
    for (int round = 0; round < 5000; ++round) {
        const auto row = static_cast<std::uint32_t>(prng.below(20'000));
        if (!model.contains(row)) {
            const std::uint64_t seq = 1 + prng.below(1000);
            table.kill(row, seq);
            model[row] = seq;
        }
        const auto probe = static_cast<std::uint32_t>(prng.below(20'000));
        const std::uint64_t at = prng.below(1001);
        const auto death = model.find(probe);
        REQUIRE(table.death(probe) == (death == model.end() ? 0 : death->second));
        REQUIRE(table.alive_at(probe, at) == (death == model.end() || death->second > at));
        REQUIRE(table.count() == model.size());
    }
}

TEST_CASE("head_finds_at_every_old_bound_what_it_found_then") {
    Prng prng(3);
    Head head(plain_coding(), "test");
    dvesp::SerialRunner serial;
    struct Moment {
        std::uint32_t bound;
        std::uint64_t seq;
        std::map<std::string, std::uint32_t> alive;
    };
    std::vector<Moment> moments;
    std::map<std::string, std::uint32_t> alive;
    std::uint64_t seq = 1;
    for (int batch = 0; batch < 300; ++batch) {
        ++seq;
        std::map<std::string, bool> chosen;
        for (std::uint64_t count = 1 + prng.below(40); count > 0; --count)
            chosen[dvesp::test::numbered("k", prng.below(400))] = true;
        std::vector<std::string> ids;
        for (const auto& [id, flag] : chosen) ids.push_back(id);
        const bool tombstones = prng.chance(0.2);
        const std::uint32_t first = head.rows();
        head.append(frame_of(ids, seq, tombstones), serial);
        for (std::size_t row = 0; row < ids.size(); ++row) {
            const auto old = alive.find(ids[row]);
            if (old != alive.end()) head.deaths.kill(old->second, seq);
            if (tombstones) {
                alive.erase(ids[row]);
            } else {
                alive[ids[row]] = first + static_cast<std::uint32_t>(row);
            }
        }
        if (batch % 10 == 0) moments.push_back({head.rows(), seq, alive});
    }
    for (const Moment& moment : moments) {
        for (int id = 0; id < 400; ++id) {
            const std::string name = dvesp::test::numbered("k", static_cast<std::uint64_t>(id));
            const auto wanted = moment.alive.find(name);
            const std::uint32_t found = head.find(name, id_key(name), moment.seq, moment.bound).value();
            REQUIRE(found == (wanted == moment.alive.end() ? no_row : wanted->second));
        }
    }
}

TEST_CASE("head_reads_back_rows_leaves_and_batches") {
    Head head(plain_coding(), "test");
    dvesp::SerialRunner serial;
    std::vector<std::shared_ptr<Frame>> frames;
    for (std::uint64_t batch = 0; batch < 60; ++batch) {
        std::vector<std::string> ids;
        for (std::uint64_t row = 0; row < batch * 5; ++row) ids.push_back(dvesp::test::numbered("r", batch * 1000 + row));
        frames.push_back(frame_of(ids, batch + 1, batch % 7 == 3));
        head.append(frames.back(), serial);
    }
    REQUIRE(head.batch_count() == frames.size());
    std::uint32_t row = 0;
    std::uint32_t leaf = 0;
    for (std::uint32_t batch = 0; batch < frames.size(); ++batch) {
        const auto& view = frames[batch]->view;
        const auto stored = head.batch(batch).value();
        CHECK(stored.root == view.head.merkle_root);
        CHECK(stored.leaf_count == view.head.count);
        for (std::uint32_t position = 0; position < view.head.count; ++position, ++leaf) {
            REQUIRE(head.leaf(leaf).value() == frames[batch]->leaves()[position]);
            if (!view.head.has_vectors) continue;
            const auto read = head.row(row).value();
            REQUIRE(read.id == view.id(position));
            REQUIRE(read.version == view.version(position));
            REQUIRE(read.vector == view.vector(position));
            REQUIRE(head.leaf_index(row).value() == leaf);
            REQUIRE(head.row_leaf(row).value() == frames[batch]->leaves()[position]);
            ++row;
        }
    }
    CHECK(row == head.rows());
    CHECK(leaf == head.leaf_count());
}

TEST_CASE("head_readers_see_whole_rows_while_the_writer_appends") {
    Head head(plain_coding(), "test");
    dvesp::SerialRunner serial;
    std::atomic<std::uint32_t> published{0};
    std::atomic<bool> wrong{false};
    std::thread reader([&] {
        std::uint32_t bound = 0;
        while (bound < 20'000) {
            bound = published.load(std::memory_order_acquire);
            for (std::uint32_t row = 0; row < bound; row += 1 + bound / 50) {
                const std::string name = dvesp::test::numbered("r", row);
                const auto read = head.row(row);
                if (!read.ok() || read->id != name || head.find(name, id_key(name), 1, bound).value() != row) wrong = true;
            }
        }
    });
    for (std::uint64_t first = 0; first < 20'000; first += 100) {
        std::vector<std::string> ids;
        for (std::uint64_t row = first; row < first + 100; ++row) ids.push_back(dvesp::test::numbered("r", row));
        head.append(frame_of(ids, 1), serial);
        published.store(head.rows(), std::memory_order_release);
    }
    reader.join();
    CHECK_FALSE(wrong);
}

TEST_CASE("head_and_frame_of_a_large_batch_are_the_same_whoever_takes_the_pieces") {
    /// Takes the pieces from the last to the first, as if helpers had been quicker.
    class Backwards final : public dvesp::TaskRunner {
      public:
        [[nodiscard]] std::size_t parallelism() const noexcept override { return 2; }
        void run(std::size_t count, const std::function<void(std::size_t)>& piece) override {
            pieces += count;
            while (count > 0) piece(--count);
        }
        std::size_t pieces = 0;
    };
    std::vector<std::string> ids;
    std::vector<float> vectors;
    Prng prng(9);
    constexpr std::uint32_t count = 5000, wide = 96;
    for (std::uint32_t row = 0; row < count; ++row) ids.push_back(dvesp::test::numbered("r", row));
    for (std::uint32_t at = 0; at < count * wide; ++at) vectors.push_back(static_cast<float>(prng.unit()) - 0.5F);
    std::vector<store::FrameRow> rows;
    for (std::uint32_t row = 0; row < count; ++row) rows.push_back({ids[row], 1, {}, vectors.data() + row * wide, {}});
    const store::FrameSpec spec{dvesp::codec::FrameKind::put, 1, wide, {}, {}};
    Backwards backwards;
    dvesp::SerialRunner serial;
    const auto one = store::make_frame(spec, rows, serial), other = store::make_frame(spec, rows, backwards);
    CHECK(one->leaves() == other->leaves());
    CHECK(one->columns_crc == other->columns_crc);
    CHECK(one->view.head.merkle_root == other->view.head.merkle_root);
    const auto coding = std::make_shared<const dvesp::index::Coding>(true, std::vector<float>(wide, 0.01F));
    Head first(coding, "first"), second(coding, "second");
    first.append(one, serial);
    second.append(other, backwards);
    CHECK(backwards.pieces > 20);
    std::vector<float> query(vectors.begin(), vectors.begin() + wide);
    const dvesp::index::CodedQuery coded(*coding, dvesp::index::Metric::cosine, query.data(), dvesp::index::Margin::rigorous);
    for (std::uint32_t row = 0; row < count; ++row) {
        REQUIRE(std::equal(first.vector(row), first.vector(row) + wide, second.vector(row)));
        REQUIRE(first.find(ids[row], id_key(ids[row]), 1, count).value() == row);
        REQUIRE(second.find(ids[row], id_key(ids[row]), 1, count).value() == row);
    }
    // The same codes: scans of both keep the same candidates and find the same rows at the same distances.
    const auto nearest = [&](const Head& head) {
        const dvesp::test::EveryRow everything;
        dvesp::index::FlatScan scan(coded, 50, everything);
        REQUIRE(head.scan(scan, count).ok());
        return scan.finish(head);
    };
    const auto of_first = nearest(first), of_second = nearest(second);
    REQUIRE(of_first.nearest.size() == 50);
    for (std::size_t place = 0; place < 50; ++place) {
        CHECK(of_first.nearest[place].row == of_second.nearest[place].row);
        CHECK(of_first.nearest[place].distance == of_second.nearest[place].distance);
    }
}

TEST_CASE("filter_answers_are_evaluated_once_and_forgotten_with_their_filter") {
    store::FilterMemory memory(20'000);
    const auto bytes = [](std::uint8_t number) { return std::vector<std::uint8_t>{1, 2, number}; };
    int evaluated = 0;
    const auto ask = [&](std::uint8_t filter, std::uint32_t row) {
        return memory.answers_of(bytes(filter))->passes(row, [&] {
            ++evaluated;
            return row % (filter + 2U) == 0;
        });
    };
    for (int pass = 0; pass < 3; ++pass) {
        for (std::uint8_t filter = 0; filter < 8; ++filter) {
            for (std::uint32_t row = 0; row < 20'000; row += 7) REQUIRE(ask(filter, row) == (row % (filter + 2U) == 0));
        }
    }
    const int rows = (20'000 + 6) / 7;
    CHECK(evaluated == 8 * rows);
    CHECK(ask(0, 0));  // the filter asked longest ago is the newest now
    CHECK(ask(8, 0));  // one more filter than are remembered: the second goes
    CHECK(ask(0, 14));
    CHECK(evaluated == 8 * rows + 1);
    CHECK(ask(1, 0));
    CHECK(evaluated == 8 * rows + 2);
    const auto kept = memory.answers_of(bytes(3));
    const auto huge = memory.answers_of(std::vector<std::uint8_t>(5000, 1));
    CHECK(huge != memory.answers_of(std::vector<std::uint8_t>(5000, 1)));  // too long to be remembered
    CHECK(kept == memory.answers_of(bytes(3)));
}
