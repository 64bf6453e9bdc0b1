/// tests/sim/workload.cpp - draws batches, predicts their effect, sends them.
#include "sim/workload.hpp"

#include <algorithm>

#include "codec/cbor.hpp"

namespace dvesp::test {
namespace {

namespace cbor = codec::cbor;

constexpr std::uint64_t group_count = 12;
constexpr std::size_t deleted_ids_max = 64;

/// The group of a row, or group_count when it has none.
std::uint64_t group_of(const Bytes& metadata) {
    const auto value = cbor::find(metadata, "g");
    if (!value) return group_count;
    codec::Reader reader(*value);
    return cbor::read(reader).magnitude;
}

/// g++ 12 warns of an overlap that cannot be when a literal is put before a number's text, so this appends.
std::string numbered(char letter, std::uint64_t number) {
    std::string name(1, letter);
    name += std::to_string(number);
    return name;
}

store::ParsedFilter parsed_filter(const Bytes& bytes) { return {store::parse_filter(bytes).value(), bytes}; }

}  // namespace

Bytes group_filter(std::uint64_t group) {
    codec::Writer out;
    cbor::write_map(out, 1);
    cbor::write_text(out, "g");
    cbor::write_unsigned(out, group);
    return std::move(out.bytes());
}

/// The columns of one request.
struct Workload::Batch {
    std::vector<std::string> ids;
    std::vector<std::string_view> id_views;
    std::vector<float> vectors;
    std::vector<Bytes> metadata;
    std::vector<ByteView> metadata_views;
    std::uint32_t dimension = 0;

    void add(std::string id, const Row& row) {
        ids.push_back(std::move(id));
        vectors.insert(vectors.end(), row.vector.begin(), row.vector.end());
        metadata.push_back(row.metadata);
        dimension = static_cast<std::uint32_t>(row.vector.size());
    }
};

std::string Workload::pick_collection() {
    auto at = state_.begin();
    std::advance(at, prng_.below(state_.size()));
    return at->first;
}

std::string Workload::pick_id(const std::string& collection, double known_share) {
    const auto& rows = state_.at(collection).rows;
    if (!rows.empty() && prng_.chance(known_share)) {
        auto at = rows.lower_bound(numbered('k', prng_.below(400)));
        return at == rows.end() ? rows.begin()->first : at->first;
    }
    return numbered('k', prng_.below(400));
}

std::vector<float> Workload::draw_vector(std::uint32_t dimension) {
    std::vector<float> vector(dimension);
    for (float& value : vector) value = static_cast<float>(prng_.unit() * 2 - 1);
    return vector;
}

Bytes Workload::draw_metadata() {
    if (prng_.chance(0.1)) return {};
    codec::Writer out;
    cbor::write_map(out, 2);
    cbor::write_text(out, "g");
    cbor::write_unsigned(out, prng_.below(group_count));
    cbor::write_text(out, "text");
    cbor::write_text(out, std::string(prng_.below(prng_.chance(0.02) ? 6000 : 40), 'x'));
    return std::move(out.bytes());
}

store::CollectionConfig Workload::draw_config() {
    store::CollectionConfig config;
    config.dimension = static_cast<std::uint32_t>(4 + prng_.below(13));
    config.metric = static_cast<store::Metric>(prng_.below(3));
    config.index = static_cast<store::IndexKind>(prng_.below(3));
    config.degree_half = 4;
    config.ef_construction = 16;
    config.list_count = static_cast<std::uint32_t>(prng_.below(2) * 6);
    if (wants_large_indexes_) {
        config.degree_half = 128;  // about 1 KiB of links a row
        if (config.index == store::IndexKind::ivf) config.dimension = 320, config.list_count = 60;
    }
    return config;
}

void Workload::finish(Attempt& attempt) {
    if (!attempt.result.ok()) return;
    for (const Step& step : attempt.plan) {
        for (const auto& [id, row] : step.changes) {
            if (!row && deleted_ids_.size() < deleted_ids_max) deleted_ids_.push_back(id);
            if (row && keeps_history_) history_[{step.collection, id}].push_back(*row);
        }
        apply_step(state_, step);
    }
    attempt.plan.clear();
}

Attempt Workload::run(Machine& machine) {
    if (state_.empty()) return create(machine);
    const std::string collection = pick_collection();
    const std::uint64_t choice = prng_.below(100);
    const auto count = static_cast<std::uint32_t>(1 + prng_.below(prng_.chance(0.2) ? 60 : 12));
    if (choice < 26) return put(machine, collection, false, false, count);
    if (choice < 40) return put(machine, collection, false, true, count);
    if (choice < 58) return put(machine, collection, true, true, count);
    if (choice < 70) return update(machine, collection);
    if (choice < 79) return remove_ids(machine, collection);
    if (choice < 83) return remove_filtered(machine, collection);
    if (choice < 86 && state_.size() < collections_max_) return prng_.chance(0.5) ? create(machine) : auto_create(machine);
    if (choice < 87 && state_.size() > 1) return drop(machine, collection);
    if (choice < 92) return upkeep(machine);
    return put(machine, collection, true, prng_.chance(0.5), count);
}

Attempt Workload::insert(Machine& machine, const std::string& collection, std::uint32_t count) {
    return put(machine, collection, false, false, count);
}

Attempt Workload::put(Machine& machine, const std::string& collection, bool is_upsert, bool with_ids, std::uint32_t count) {
    Attempt attempt;
    attempt.name = std::string(is_upsert ? "upsert" : "insert") + (with_ids ? " with ids" : "") + " into " + collection;
    const CollectionModel& model = state_.at(collection);
    Batch batch;
    Step step;
    step.collection = collection;
    bool is_refused = false;
    for (std::uint32_t index = 0; index < count; ++index) {
        std::string id = with_ids ? pick_id(collection, is_upsert ? 0.6 : 0.05) : std::string();
        if (with_ids && std::find(batch.ids.begin(), batch.ids.end(), id) != batch.ids.end()) continue;
        Row row{draw_vector(model.config.dimension), draw_metadata(), 1};
        const auto known = model.rows.find(id);
        const bool is_known = known != model.rows.end();
        const bool repeats = is_known && !is_upsert && prng_.chance(0.7);  // an insert that was done before
        if (repeats) row = known->second;
        batch.add(id, row);
        if (repeats) continue;
        is_refused = is_refused || (is_known && !is_upsert);
        if (is_known) row.version = known->second.version + 1;
        step.changes.emplace_back(std::move(id), std::move(row));
    }
    if (!is_refused && !step.changes.empty()) attempt.plan.push_back(std::move(step));
    attempt = send(machine, collection, is_upsert, with_ids, batch, std::move(attempt));
    if (is_refused) {
        if (attempt.result.ok()) attempt.violation = "an insert over other content was accepted";
        if (!attempt.result.ok() && attempt.result.error().code == ErrorCode::id_exists) attempt.result = {};
    }
    finish(attempt);
    return attempt;
}

Attempt Workload::send(Machine& machine, const std::string& collection, bool is_upsert, bool with_ids, Batch& batch,
                       Attempt attempt) {
    for (const std::string& id : batch.ids) batch.id_views.emplace_back(id);
    for (const Bytes& bytes : batch.metadata) batch.metadata_views.emplace_back(bytes);
    store::WriteRequest request;
    request.collection = collection;
    request.mode = is_upsert ? store::WriteMode::upsert : store::WriteMode::insert;
    request.vectors = batch.vectors.data();
    request.count = static_cast<std::uint32_t>(batch.ids.size());
    request.dimension = batch.dimension;
    if (with_ids) request.ids = batch.id_views;
    request.metadata = batch.metadata_views;
    request.timeout_ms = timeout_ms_;
    const auto reply = machine.database().write(request);
    if (!reply.ok()) {
        attempt.result = reply.error();
        return attempt;
    }
    if (reply->ids.size() != batch.ids.size()) attempt.violation = "the reply has another number of ids";
    if (!with_ids && attempt.violation.empty()) {
        auto& changes = attempt.plan.back().changes;
        for (std::size_t index = 0; index < changes.size(); ++index) changes[index].first = reply->ids[index];
    }
    return attempt;
}

Attempt Workload::create(Machine& machine) {
    Step step;
    step.kind = Step::Kind::create;
    do step.collection = numbered('c', prng_.below(2 * collections_max_));
    while (state_.contains(step.collection));
    step.config = draw_config();
    Attempt attempt{
        "create " + step.collection, {step}, machine.database().create_collection(step.collection, step.config, false), {}};
    finish(attempt);
    return attempt;
}

Attempt Workload::auto_create(Machine& machine) {
    Step creation;
    creation.kind = Step::Kind::create;
    do creation.collection = numbered('c', prng_.below(2 * collections_max_));
    while (state_.contains(creation.collection));
    creation.config.dimension = static_cast<std::uint32_t>(4 + prng_.below(13));
    Step rows;
    rows.collection = creation.collection;
    Batch batch;
    for (int index = 0; index < 5; ++index) {
        const Row row{draw_vector(creation.config.dimension), draw_metadata(), 1};
        batch.add({}, row);
        rows.changes.emplace_back(std::string(), row);
    }
    Attempt attempt{"insert into the new " + creation.collection, {creation, rows}, {}, {}};
    attempt = send(machine, creation.collection, false, false, batch, std::move(attempt));
    finish(attempt);
    return attempt;
}

Attempt Workload::update(Machine& machine, const std::string& collection) {
    const CollectionModel& model = state_.at(collection);
    const std::string id = pick_id(collection, 0.95);
    const auto known = model.rows.find(id);
    Row row = known == model.rows.end() ? Row{} : known->second;
    store::UpdateRequest request;
    request.collection = collection;
    request.id = id;
    request.timeout_ms = timeout_ms_;
    std::vector<float> vector = draw_vector(model.config.dimension);
    const Bytes metadata = draw_metadata();
    if (prng_.chance(0.6)) {
        request.vector = vector.data();
        request.dimension = model.config.dimension;
        row.vector = vector;
    }
    if (prng_.chance(0.6)) request.metadata = row.metadata = metadata;
    if (prng_.chance(0.3)) request.if_version = row.version + prng_.below(2);
    const bool conflicts = request.if_version && *request.if_version != row.version;
    ++row.version;
    Attempt attempt;
    attempt.name = "update " + id + " of " + collection;
    const bool is_refused = known == model.rows.end() || conflicts;
    if (!is_refused) attempt.plan.push_back({Step::Kind::rows, collection, {}, {{id, row}}});
    const auto reply = machine.database().update(request);
    if (!reply.ok()) attempt.result = reply.error();
    if (reply.ok() && (is_refused || reply->version != row.version))
        attempt.violation = "an update answered with a wrong version";
    const ErrorCode expected = known == model.rows.end() ? ErrorCode::id_not_found : ErrorCode::version_conflict;
    if (!reply.ok() && is_refused && reply.error().code == expected) attempt.result = {};
    finish(attempt);
    return attempt;
}

Attempt Workload::remove_ids(Machine& machine, const std::string& collection) {
    Attempt attempt;
    attempt.name = "delete ids of " + collection;
    Step step;
    step.collection = collection;
    std::vector<std::string> ids;
    for (std::uint64_t count = 1 + prng_.below(prng_.chance(0.1) ? 80 : 8); count > 0; --count) {
        ids.push_back(pick_id(collection, 0.8));
        const bool is_known = state_.at(collection).rows.contains(ids.back());
        const bool is_repeated = std::find(ids.begin(), ids.end() - 1, ids.back()) != ids.end() - 1;
        if (is_known && !is_repeated) step.changes.emplace_back(ids.back(), std::nullopt);
    }
    const std::vector<std::string_view> views(ids.begin(), ids.end());
    store::DeleteRequest request;
    request.collection = collection;
    request.ids = views;
    request.has_ids = true;
    request.timeout_ms = timeout_ms_;
    const std::size_t expected = step.changes.size();
    if (expected > 0) attempt.plan.push_back(std::move(step));
    const auto reply = machine.database().remove(request);
    if (!reply.ok()) attempt.result = reply.error();
    if (reply.ok() && reply->deleted != expected) attempt.violation = "a delete counted wrongly";
    finish(attempt);
    return attempt;
}

Attempt Workload::remove_filtered(Machine& machine, const std::string& collection) {
    Attempt attempt;
    attempt.name = "delete by filter from " + collection;
    const std::uint64_t group = prng_.below(group_count);
    Step step;
    step.collection = collection;
    for (const auto& [id, row] : state_.at(collection).rows) {
        if (group_of(row.metadata) == group) step.changes.emplace_back(id, std::nullopt);
    }
    const store::ParsedFilter filter = parsed_filter(group_filter(group));
    store::DeleteRequest request;
    request.collection = collection;
    request.filter = &filter;
    request.timeout_ms = timeout_ms_;
    const std::size_t expected = step.changes.size();
    if (expected > 0) attempt.plan.push_back(std::move(step));
    const auto reply = machine.database().remove(request);
    if (!reply.ok()) attempt.result = reply.error();
    if (reply.ok() && reply->deleted != expected) attempt.violation = "a delete by filter counted wrongly";
    finish(attempt);
    return attempt;
}

Attempt Workload::drop(Machine& machine, const std::string& collection) {
    Attempt attempt{
        "drop " + collection, {{Step::Kind::drop, collection, {}, {}}}, machine.database().drop_collection(collection), {}};
    finish(attempt);
    return attempt;
}

Attempt Workload::upkeep(Machine& machine) {
    Attempt attempt;
    const std::string target = prng_.chance(0.5) ? pick_collection() : std::string();
    if (prng_.chance(0.5)) {
        attempt.name = "flush " + target;
        attempt.result = machine.database().flush(target);
    } else {
        attempt.name = "compact " + target;
        attempt.result = machine.database().compact(target);
    }
    return attempt;
}

}  // namespace dvesp::test
