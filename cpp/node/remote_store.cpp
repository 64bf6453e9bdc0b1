/// node/remote_store.cpp - attempts until the deadline.
#include "node/remote_store.hpp"

#include <algorithm>

#include "base/ids.hpp"
#include "store/types.hpp"
#include "store/write.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint64_t pause_ms_first = 5, pause_ms_most = 100;
constexpr std::uint64_t attempt_ms_least = 2000;
constexpr int early_attempts_max = 50;

bool is_read(codec::Op op) {
    return op == codec::Op::search || op == codec::Op::get || op == codec::Op::scroll || op == codec::Op::count ||
           op == codec::Op::describe;
}

/// A batch that would be refused creates no collection.
Result<void> check_before_creating(const codec::Request& request, store::Metric metric) {
    store::WriteRequest write;
    write.vectors = request.vectors.data();
    write.count = request.count;
    write.dimension = request.dimension;
    SerialRunner alone;
    return store::check_vectors(write, metric, alone);
}

}  // namespace

/// What the attempts of one request have come to.
struct RemoteStore::Attempts {
    bool was_answered = false;
    bool may_be_done = false;
    std::uint64_t pause_ms = pause_ms_first;
    Error last = fail(ErrorCode::unavailable, "no node was asked");
    std::optional<Error> damage;  ///< a node could not look into its own data: another one may
};

RemoteStore::RemoteStore(std::unique_ptr<ports::Rpc> rpc, std::unique_ptr<ports::Random> random, std::vector<std::string> nodes)
    : rpc_(std::move(rpc)), random_(std::move(random)), router_(std::move(nodes)) {
    std::array<std::uint8_t, 4> drawn{};
    random_->fill(drawn);
    spread_ = drawn[0];
}

void RemoteStore::draw_key(codec::Request& request) {
    random_->fill(request.batch_id);
    random_->fill(request.salt);
}

void RemoteStore::draw_ids(std::uint32_t count, std::vector<std::string>& ids) {
    std::vector<std::uint8_t> bytes(std::size_t{count} * 16);
    random_->fill(bytes);
    ids.resize(count);
    for (std::uint32_t row = 0; row < count; ++row) {
        std::array<std::uint8_t, 16> drawn;
        std::copy_n(bytes.begin() + std::size_t{row} * 16, 16, drawn.begin());
        ids[row].resize(uuid_text_bytes);
        format_uuid4(drawn, ids[row].data());
    }
}

std::string RemoteStore::choose(const codec::Request& request, const std::string& key, std::uint32_t attempt) {
    const std::scoped_lock lock(mutex_);
    if (is_read(request.op) && request.level == codec::Level::one) {
        const auto replicas = router_.replicas(key);
        return replicas[(spread_ + attempt) % replicas.size()];
    }
    return router_.next(key, attempt);
}

Result<RemoteAnswer> RemoteStore::ask(const std::string& address, const codec::Request& request, std::uint64_t timeout_ms) {
    const codec::EncodedMessage encoded = codec::encode_request(request);
    RemoteAnswer out;
    DVESP_ASSIGN(out.bytes, rpc_->call(address, encoded.head, encoded.tail, timeout_ms));
    DVESP_ASSIGN(out.reply, codec::parse_reply(out.bytes.bytes()));
    out.address = address;
    return out;
}

Result<RemoteAnswer> RemoteStore::run(codec::Request& request, const std::string& key, bool is_write) {
    const std::uint64_t started = rpc_->now_ms();
    const std::uint64_t timeout_ms = request.timeout_ms;
    Attempts attempts;
    for (std::uint32_t attempt = 0;; ++attempt) {
        const std::uint64_t spent = rpc_->now_ms() - started;
        if (spent >= timeout_ms && attempt > 0) break;
        const std::uint64_t left = timeout_ms > spent ? timeout_ms - spent : 1;
        request.timeout_ms = static_cast<std::uint32_t>(left);
        const std::string address = choose(request, key, attempt);
        auto answer = ask(address, request, std::min(left, std::max(attempt_ms_least, left / 3)));
        if (!answer.ok()) {
            if (answer.error().code == ErrorCode::permission_denied) return answer.error();
            attempts.may_be_done = attempts.may_be_done || answer.error().code == ErrorCode::timeout;
            attempts.last = answer.error();
            const std::scoped_lock lock(mutex_);
            router_.take_failure(key, address);
        } else {
            attempts.was_answered = true;
            const codec::Reply& reply = answer->reply;
            const std::scoped_lock lock(mutex_);
            if (reply.is_leader_hint) {
                attempts.may_be_done = attempts.may_be_done || reply.count != 0;
                const auto before = router_.next(key, attempt);
                router_.take_hint(key, address, std::string(reply.hint));
                if (!reply.hint.empty() && reply.hint != before) continue;  // somebody knows better: ask there at once
                attempts.last = fail(ErrorCode::unavailable, "no majority of the nodes is there: nobody leads the shard");
            } else if (reply.code == static_cast<std::uint16_t>(ErrorCode::unavailable)) {
                attempts.last = codec::error_of(reply);
            } else if (is_write && reply.code == static_cast<std::uint16_t>(ErrorCode::corruption)) {
                attempts.last = codec::error_of(reply);  // it gives up its leadership: somebody else will answer
                attempts.damage = attempts.last;
                router_.take_failure(key, address);
            } else {
                if (request.level != codec::Level::one || is_write) router_.take_success(key, address);
                if (reply.code == 0 && reply.index > 0) router_.raise_session(key, reply.index);
                return answer;
            }
        }
        const std::uint64_t over = rpc_->now_ms() - started;
        if (over < timeout_ms) rpc_->pause(std::min(attempts.pause_ms, timeout_ms - over));
        attempts.pause_ms = std::min(2 * attempts.pause_ms, pause_ms_most);
    }
    request.timeout_ms = static_cast<std::uint32_t>(timeout_ms);
    if (is_write && attempts.may_be_done) {
        return fail(ErrorCode::timeout,
                    "no answer within timeout_ms; the batch may be stored or not: look, or repeat it with "
                    "the same ids (" +
                        attempts.last.message + ")");
    }
    if (attempts.damage) return *attempts.damage;
    if (is_write && attempts.was_answered) {
        RemoteAnswer refused;
        refused.reply.status = codec::WriteStatus::failed;
        return refused;
    }
    return fail(attempts.last.code == ErrorCode::timeout ? ErrorCode::timeout : ErrorCode::unavailable, attempts.last.message);
}

Result<RemoteAnswer> RemoteStore::write(codec::Request request) {
    const std::string key(request.collection);
    const std::uint64_t started = rpc_->now_ms();
    const std::uint32_t timeout_ms = request.timeout_ms;
    for (int round = 0;; ++round) {
        const std::uint64_t spent = rpc_->now_ms() - started;
        request.timeout_ms = timeout_ms > spent ? static_cast<std::uint32_t>(timeout_ms - spent) : 1;
        {
            const std::scoped_lock lock(mutex_);
            request.session_index = router_.session_index(key);  // a change sees what this client wrote before it, at ONE too
        }
        auto answer = run(request, key, true);
        if (!answer.ok()) return answer;
        if (answer->reply.code == 0) return answer;
        const bool is_missing = answer->reply.code == static_cast<std::uint16_t>(ErrorCode::collection_not_found);
        if (!is_missing || request.op != codec::Op::write || round > 2) return codec::error_of(answer->reply);
        store::CollectionConfig config;
        config.dimension = request.dimension;
        DVESP_TRY(check_before_creating(request, config.metric));
        const auto encoded = store::encode_config(config);
        codec::Request create;
        create.op = codec::Op::create;
        create.collection = request.collection;
        create.timeout_ms = request.timeout_ms;
        create.config = encoded;
        create.set(codec::flag_exist_ok);
        draw_key(create);
        const auto created = change(create);
        const bool is_there = created.ok() || created.error().code == ErrorCode::collection_exists;
        if (!is_there) return created.error();
    }
}

Result<RemoteAnswer> RemoteStore::merge(codec::Request request) {
    auto answer = run(request, std::string(request.collection), true);
    if (answer.ok() && answer->reply.code != 0) return codec::error_of(answer->reply);
    return answer;
}

Result<RemoteAnswer> RemoteStore::read(codec::Request request) {
    const std::string key(request.collection);
    if (request.level == codec::Level::all) return read_replicas(request, true);
    if (request.level == codec::Level::one) {
        const std::scoped_lock lock(mutex_);
        request.session_index = router_.session_index(key);
    }
    auto answer = run(request, key, false);
    if (!answer.ok() || answer->reply.code == 0) return answer;
    const bool is_damaged = answer->reply.code == static_cast<std::uint16_t>(ErrorCode::corruption);
    if (is_damaged && (request.op == codec::Op::search || request.op == codec::Op::get)) {  // others have it whole
        auto whole = read_replicas(request, false);
        if (whole.ok()) return whole;
    }
    return codec::error_of(answer->reply);
}

/// Whether replicas at one index owe the same answer: the rows are the same, the graphs that replicas build over them are not
/// (docs/decisions/012), nor is what a description says of segments.
bool is_comparable(const codec::Request& request) {
    const bool is_search = request.op == codec::Op::search;
    return request.op != codec::Op::describe && (!is_search || request.has(codec::flag_exact));
}

/// Two replicas at one index say the same. At different ones there is nothing to compare: somebody wrote in between.
bool agree(const codec::Reply& one, const codec::Reply& other) {
    return one.index != other.index || (one.counts == other.counts && one.ids == other.ids && one.versions == other.versions &&
                                        one.distances == other.distances && one.count == other.count);
}

/// Replicas at the index that a majority vouches for now, or later, until one has answered or all: where those disagree, ALL
/// is not what was reached.
Result<RemoteAnswer> RemoteStore::read_replicas(codec::Request request, bool asks_all) {
    const std::string key(request.collection);
    codec::Request question;
    question.op = codec::Op::read_index;
    question.collection = request.collection;
    question.timeout_ms = request.timeout_ms;
    const std::uint64_t started = rpc_->now_ms();
    DVESP_ASSIGN(const RemoteAnswer index, run(question, key, false));
    if (index.reply.code != 0) return codec::error_of(index.reply);
    std::vector<std::string> replicas;
    {
        const std::scoped_lock lock(mutex_);
        replicas = router_.replicas(key);
    }
    request.level = codec::Level::one;
    request.session_index = index.reply.index;
    std::optional<RemoteAnswer> best;
    std::uint32_t answered = 0;
    bool do_agree = true;
    Error last = fail(ErrorCode::unavailable, "no replica answered");
    for (const std::string& address : replicas) {
        const std::uint64_t spent = rpc_->now_ms() - started;
        const std::uint64_t left = request.timeout_ms > spent ? request.timeout_ms - spent : 1;
        auto answer = ask(address, request, std::min(left, std::max(attempt_ms_least, left / 3)));
        if (!answer.ok()) {
            last = answer.error();
        } else if (answer->reply.code != 0 || answer->reply.is_leader_hint) {
            last = answer->reply.code == 0 ? last : codec::error_of(answer->reply);
        } else {
            ++answered;
            const std::scoped_lock lock(mutex_);
            router_.raise_session(key, answer->reply.index);
            do_agree = do_agree && (!best || !is_comparable(request) || agree(best->reply, answer->reply));
            if (!best) best = std::move(*answer);
            if (!asks_all) break;
        }
    }
    if (!best) return last;
    if (!asks_all) {
        best->reply.nodes_queried = index.reply.nodes_queried;
        return std::move(*best);
    }
    best->reply.nodes_queried = answered;
    best->is_level_reached = answered == replicas.size() && do_agree;
    return std::move(*best);
}

Result<RemoteAnswer> RemoteStore::read_at(const std::string& address, const codec::Request& request) {
    DVESP_ASSIGN(RemoteAnswer answer, ask(address, request, request.timeout_ms));
    if (answer.reply.code != 0) return codec::error_of(answer.reply);
    return answer;
}

Result<RemoteAnswer> RemoteStore::change(codec::Request request) {
    DVESP_ASSIGN(RemoteAnswer answer, run(request, "", true));
    if (answer.reply.status == codec::WriteStatus::failed) {
        return fail(ErrorCode::unavailable, "no majority of the nodes is there; nothing was changed");
    }
    if (answer.reply.code != 0) return codec::error_of(answer.reply);
    DVESP_ASSIGN(const codec::TopologyView view, codec::parse_view(answer.reply.bytes));
    const std::scoped_lock lock(mutex_);
    router_.learn(view);
    if (request.op == codec::Op::drop || request.op == codec::Op::create) router_.forget(std::string(request.collection));
    return answer;
}

Result<codec::Topology> RemoteStore::topology(std::uint32_t timeout_ms) {
    codec::Request hello;
    hello.op = codec::Op::hello;
    hello.level = codec::Level::quorum;
    hello.timeout_ms = timeout_ms;
    DVESP_ASSIGN(const RemoteAnswer answer, run(hello, "", false));
    if (answer.reply.code != 0) return codec::error_of(answer.reply);
    DVESP_ASSIGN(const codec::TopologyView view, codec::parse_view(answer.reply.bytes));
    const std::scoped_lock lock(mutex_);
    router_.learn(view);
    return router_.topology();
}

/// A node that has just come back may not know the collection for a moment.
Result<RemoteAnswer> RemoteStore::ask_patiently(const std::string& address, const codec::Request& request) {
    for (int attempt = 0;; ++attempt) {
        auto answer = ask(address, request, request.timeout_ms);
        const bool is_early = answer.ok() && !request.collection.empty() &&
                              answer->reply.code == static_cast<std::uint16_t>(ErrorCode::collection_not_found);
        if (!is_early || attempt == early_attempts_max) return answer;
        rpc_->pause(pause_ms_most);
    }
}

Result<std::vector<RemoteAnswer>> RemoteStore::everywhere(codec::Request request) {
    DVESP_ASSIGN(const codec::Topology known, topology(request.timeout_ms));
    std::vector<std::string> addresses;
    if (!request.collection.empty() && known.shard_of(std::string(request.collection)) == nullptr) {
        return fail(ErrorCode::collection_not_found, "collection '" + std::string(request.collection) +
                                                         "' does not exist; insert into it or call create_collection first");
    }
    {
        const std::scoped_lock lock(mutex_);
        addresses = router_.replicas(std::string(request.collection));
    }
    std::vector<RemoteAnswer> answers;
    Error last = fail(ErrorCode::unavailable, "no node was asked");
    for (const std::string& address : addresses) {
        auto answer = ask_patiently(address, request);
        if (answer.ok() && answer->reply.code != 0) return codec::error_of(answer->reply);
        if (!answer.ok() && request.op == codec::Op::verify) return answer.error();  // nobody can say that it is whole
        if (!answer.ok()) {
            last = answer.error();  // what can be reached is flushed; the node does its own when it is back
        } else {
            answers.push_back(std::move(*answer));
        }
    }
    if (answers.empty()) return last;
    return answers;
}

}  // namespace dvesp::node
