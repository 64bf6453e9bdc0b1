/// tests/cluster_sim/story_clients.cpp - what the clients of a story do, and what they remember of it.
#include "cluster_sim/rows.hpp"
#include "cluster_sim/story.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t ns_per_ms = 1'000'000;
constexpr int keys = 6, group_rows = 5;
constexpr int clients_count = 4;  // the probe is one more

Outcome outcome_of(const Result<node::RemoteAnswer>& answer) {
    if (answer.ok()) return answer->reply.status == codec::WriteStatus::failed ? Outcome::not_done : Outcome::done;
    return answer.error().code == ErrorCode::timeout ? Outcome::unknown : Outcome::not_done;
}

std::vector<std::string> group_ids() {
    std::vector<std::string> ids;
    for (int row = 0; row < group_rows; ++row) ids.push_back("g" + std::to_string(row));
    return ids;
}

}  // namespace

bool Story::prepare(node::RemoteStore& store) {
    std::vector<std::string> ids;
    for (int key = 0; key < keys; ++key) ids.push_back("k" + std::to_string(key));
    const std::vector<std::string> group = group_ids();
    ids.insert(ids.end(), group.begin(), group.end());
    return outcome_of(put(store, ids, next_value_, true, codec::Level::quorum)) == Outcome::done;
}

void Story::client(int number, node::RemoteStore& store) {
    while (!is_over_) {
        const std::string key = "k" + std::to_string(prng_.below(keys));
        const std::uint64_t choice = prng_.below(100);
        ++tally_.operations;
        if (choice < 35) {
            change(number, store, key);
        } else if (choice < 60) {
            look(number, store, key, prng_.chance(0.15) ? codec::Level::all : codec::Level::quorum);
        } else if (choice < 70) {
            look(number, store, key, codec::Level::one);
        } else if (choice < 78) {
            write_group(store);
        } else if (choice < 86) {
            read_group(store);
        } else if (choice < 93) {
            insert_row(store);
        } else if (choice < 96) {
            insert_at_one(store);
        } else if (choice < 99) {
            delete_row(store);
        } else {
            remake(store);
        }
        world_.sleep((1 + prng_.below(prng_.chance(0.7) ? 40 : 400)) * ns_per_ms);
    }
}

void Story::change(int number, node::RemoteStore& store, const std::string& key) {
    const std::uint64_t value = ++next_value_;
    const Row row(value);
    codec::Request request = request_of(store, codec::Op::update, prng_.chance(0.1) ? codec::Level::all : codec::Level::quorum);
    request.ids.emplace_back(key);
    request.metadata.emplace_back(row.metadata);
    request.vectors = row.vector;
    request.count = 1;
    request.dimension = dimension;
    request.set(codec::flag_has_ids);
    request.set(codec::flag_has_metadata);
    request.set(codec::flag_has_vectors);
    Operation operation{Kind::write, Outcome::done, number, world_.now_ns(), 0, 0, value};
    const auto answer = store.write(request);
    operation.end_ns = world_.now_ns();
    operation.outcome = outcome_of(answer);
    if (operation.outcome == Outcome::done) operation.version = answer->reply.version;
    tally_.acknowledged += operation.outcome == Outcome::done ? 1 : 0;
    tally_.unknown += operation.outcome == Outcome::unknown ? 1 : 0;
    trace("client " + std::to_string(number) + " change " + key + " to " + std::to_string(value) + ": version " +
          std::to_string(operation.version) + " " + (answer.ok() ? "" : answer.error().message));
    strong_[key].push_back(operation);
    if (operation.outcome == Outcome::done) session_[key].push_back(operation);
}

void Story::look(int number, node::RemoteStore& store, const std::string& key, codec::Level level) {
    codec::Request request = request_of(store, codec::Op::get, level);
    request.ids.emplace_back(key);
    Operation operation{Kind::read, Outcome::done, number, world_.now_ns(), 0, 0, 0};
    const auto answer = store.read(request);
    operation.end_ns = world_.now_ns();
    if (!answer.ok()) return;
    if (answer->reply.ids.size() != 1) return note_violation(key + ": the row is gone");
    operation.version = answer->reply.versions[0];
    operation.value = value_of(answer->reply, 0);
    if (operation.value == 0) return note_violation(key + ": metadata and vector of one row disagree");
    if (operation.value == 1) operation.value = 0;  // as it was made, before the history begins
    if (level != codec::Level::one) strong_[key].push_back(operation);
    session_[key].push_back(operation);
}

void Story::write_group(node::RemoteStore& store) {
    const auto answer = put(store, group_ids(), ++next_value_, false, codec::Level::quorum);
    tally_.acknowledged += outcome_of(answer) == Outcome::done ? 1 : 0;
}

void Story::read_group(node::RemoteStore& store) {
    const std::vector<std::string> ids = group_ids();
    codec::Request request = request_of(store, codec::Op::get, prng_.chance(0.5) ? codec::Level::quorum : codec::Level::one);
    request.ids.assign(ids.begin(), ids.end());
    const auto answer = store.read(request);
    if (!answer.ok()) return;
    if (answer->reply.ids.size() != ids.size())
        return note_violation("rows of a batch are gone: " + std::to_string(answer->reply.ids.size()) + " of them at " +
                              answer->address + ", level " + std::to_string(static_cast<int>(request.level)) + ", index " +
                              std::to_string(answer->reply.index & 0xFFFFFFFFFF));
    for (std::size_t row = 1; row < ids.size(); ++row) {
        if (value_of(answer->reply, row) != value_of(answer->reply, 0)) return note_violation("a batch is seen in part");
    }
}

void Story::insert_row(node::RemoteStore& store) {
    std::vector<std::string> ids;
    store.draw_ids(static_cast<std::uint32_t>(1 + prng_.below(20)), ids);
    const auto answer = put(store, ids, ++next_value_, true, prng_.chance(0.2) ? codec::Level::all : codec::Level::quorum);
    if (outcome_of(answer) != Outcome::done) return;
    ++tally_.acknowledged;
    kept_.insert(ids.begin(), ids.end());
}

void Story::insert_at_one(node::RemoteStore& store) {
    std::vector<std::string> ids;
    store.draw_ids(2, ids);
    const auto answer = put(store, ids, ++next_value_, true, codec::Level::one);
    if (outcome_of(answer) == Outcome::done) kept_by_one_.insert(ids.begin(), ids.end());
}

void Story::delete_row(node::RemoteStore& store) {
    if (kept_.empty()) return;
    const std::string id = *std::next(kept_.begin(), static_cast<std::ptrdiff_t>(prng_.below(kept_.size())));
    codec::Request request = request_of(store, codec::Op::remove, codec::Level::quorum);
    request.ids.emplace_back(id);
    request.set(codec::flag_has_ids);
    const auto answer = store.write(request);
    if (outcome_of(answer) == Outcome::done) deleted_.insert(id);
    if (outcome_of(answer) == Outcome::unknown) doubtful_.insert(id);
}

/// A collection that comes and goes, with some rows in it; what counts is that nodes live through it.
void Story::remake(node::RemoteStore& store) {
    codec::Request drop = request_of(store, codec::Op::drop, codec::Level::quorum);
    drop.collection = "d";
    if (prng_.chance(0.5)) static_cast<void>(store.change(drop).ok());
    const Row row(++next_value_);
    codec::Request request = request_of(store, codec::Op::write, codec::Level::quorum);
    std::vector<std::string> ids;
    store.draw_ids(1, ids);
    request.collection = "d";
    request.ids.emplace_back(ids[0]);
    request.metadata.emplace_back(row.metadata);
    request.vectors = row.vector;
    request.count = 1;
    request.dimension = dimension;
    for (const auto flag : {codec::flag_has_ids, codec::flag_has_metadata, codec::flag_has_vectors, codec::flag_fresh_ids}) {
        request.set(flag);
    }
    static_cast<void>(store.write(request).ok());
}

/// In peace every key can be changed again.
void Story::probe() {
    world_.run_client([this](node::RemoteStore& store) {
        for (int key = 0; key < keys; ++key) {
            const std::string name = "k" + std::to_string(key);
            const std::uint64_t before = tally_.acknowledged;
            change(clients_count, store, name);
            probed_ += tally_.acknowledged > before ? 1 : 0;
        }
    });
}

}  // namespace dvesp::test
