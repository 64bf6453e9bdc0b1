/// tests/sim/writers.cpp - draws, predicts and performs the operations of the writers.
#include "sim/writers.hpp"

#include <algorithm>

#include "base/prng.hpp"
#include "codec/cbor.hpp"

namespace dvesp::test {
namespace {

namespace cbor = codec::cbor;

constexpr std::uint64_t ids_a_writer = 80;
constexpr std::uint64_t text_bytes_max = 300;

Row draw_row(Prng& prng, std::uint32_t writer) {
    Row row;
    row.vector.resize(writer_dimension);
    for (float& value : row.vector) value = static_cast<float>(prng.unit() * 2 - 1);
    codec::Writer out;
    cbor::write_map(out, 2);
    cbor::write_text(out, "writer");
    cbor::write_unsigned(out, writer);
    cbor::write_text(out, "text");
    cbor::write_text(out, std::string(prng.below(text_bytes_max), 'x'));
    row.metadata = std::move(out.bytes());
    return row;
}

OperationKind draw_kind(Prng& prng) {
    const std::uint64_t choice = prng.below(1000);
    if (choice < 350) return OperationKind::insert_fresh;
    if (choice < 500) return OperationKind::insert;
    if (choice < 750) return OperationKind::upsert;
    if (choice < 880) return OperationKind::update;
    if (choice < 980) return OperationKind::remove;
    return choice < 995 ? OperationKind::flush : OperationKind::compact;
}

}  // namespace

std::string writer_collection(std::uint32_t writer) { return writer % 2 == 0 ? "even" : "odd"; }

store::CollectionConfig writer_config(const std::string& collection) {
    store::CollectionConfig config;
    config.dimension = writer_dimension;
    config.metric = collection == "even" ? store::Metric::cosine : store::Metric::l2;
    config.index = collection == "even" ? store::IndexKind::hnsw : store::IndexKind::ivf;
    config.degree_half = 8;
    config.ef_construction = 32;
    return config;
}

Operation draw_operation(std::uint64_t life_seed, std::uint32_t writer, std::uint32_t number) {
    Prng prng(life_seed * 1'000'003 + writer * 7919 + number * 104'729ULL);
    Operation operation;
    operation.kind = draw_kind(prng);
    operation.collection = writer_collection(writer);
    const bool is_upkeep = operation.kind == OperationKind::flush || operation.kind == OperationKind::compact;
    if (is_upkeep) return operation;
    const std::uint64_t count = operation.kind == OperationKind::update ? 1 : 1 + prng.below(prng.chance(0.1) ? 60 : 10);
    for (std::uint64_t index = 0; index < count; ++index) {
        if (operation.kind != OperationKind::insert_fresh) {
            std::string id(1, static_cast<char>('a' + writer));
            id += std::to_string(prng.below(ids_a_writer));
            if (std::find(operation.ids.begin(), operation.ids.end(), id) != operation.ids.end()) continue;
            operation.ids.push_back(std::move(id));
        }
        if (operation.kind != OperationKind::remove) operation.rows.push_back(draw_row(prng, writer));
    }
    return operation;
}

namespace {

/// What `operation` does to a store that holds `state`; empty when it changes nothing.
Plan plan_of(const Operation& operation, const State& state) {
    const auto& rows = state.at(operation.collection).rows;
    Step step;
    step.collection = operation.collection;
    for (std::size_t index = 0; index < std::max(operation.ids.size(), operation.rows.size()); ++index) {
        const std::string id = operation.ids.empty() ? std::string() : operation.ids[index];
        const auto known = rows.find(id);
        const bool is_known = known != rows.end();
        if (operation.kind == OperationKind::remove) {
            if (is_known) step.changes.emplace_back(id, std::nullopt);
            continue;
        }
        if (operation.kind == OperationKind::insert && is_known) return {};
        if (operation.kind == OperationKind::update && !is_known) return {};
        Row row = operation.rows[index];
        row.version = is_known ? known->second.version + 1 : 1;
        step.changes.emplace_back(id, std::move(row));
    }
    return step.changes.empty() ? Plan() : Plan{std::move(step)};
}

/// Which writer a row belongs to.
std::uint32_t writer_of(const Row& row) {
    const auto value = cbor::find(row.metadata, "writer");
    if (!value) return writers_max;
    codec::Reader reader(*value);
    return static_cast<std::uint32_t>(cbor::read(reader).magnitude);
}

Acknowledgement put(store::Database& database, const Operation& operation) {
    std::vector<float> vectors;
    std::vector<ByteView> metadata;
    for (const Row& row : operation.rows) {
        vectors.insert(vectors.end(), row.vector.begin(), row.vector.end());
        metadata.emplace_back(row.metadata);
    }
    const std::vector<std::string_view> ids(operation.ids.begin(), operation.ids.end());
    store::WriteRequest request;
    request.collection = operation.collection;
    request.mode = operation.kind == OperationKind::upsert ? store::WriteMode::upsert : store::WriteMode::insert;
    request.vectors = vectors.data();
    request.count = static_cast<std::uint32_t>(operation.rows.size());
    request.dimension = writer_dimension;
    request.ids = ids;
    request.metadata = metadata;
    const auto reply = database.write(request);
    if (!reply.ok()) return {reply.error(), {}};
    return {{}, operation.ids.empty() ? reply->ids : std::vector<std::string>()};
}

Result<void> update(store::Database& database, const Operation& operation) {
    const Row& row = operation.rows.front();
    store::UpdateRequest request;
    request.collection = operation.collection;
    request.id = operation.ids.front();
    request.vector = row.vector.data();
    request.dimension = writer_dimension;
    request.metadata = row.metadata;
    const auto reply = database.update(request);
    return reply.ok() ? Result<void>() : reply.error();
}

Result<void> remove(store::Database& database, const Operation& operation) {
    const std::vector<std::string_view> ids(operation.ids.begin(), operation.ids.end());
    store::DeleteRequest request;
    request.collection = operation.collection;
    request.ids = ids;
    request.has_ids = true;
    const auto reply = database.remove(request);
    return reply.ok() ? Result<void>() : reply.error();
}

}  // namespace

Acknowledgement perform(store::Database& database, const Operation& operation) {
    if (operation.kind == OperationKind::update) return {update(database, operation), {}};
    if (operation.kind == OperationKind::remove) return {remove(database, operation), {}};
    if (operation.kind == OperationKind::flush) return {database.flush(operation.collection), {}};
    if (operation.kind == OperationKind::compact) return {database.compact(operation.collection), {}};
    return put(database, operation);
}

WriterLedger::WriterLedger() {
    for (std::uint32_t writer = 0; writer < writers_max; ++writer) {
        states_[writer][writer_collection(writer)].config = writer_config(writer_collection(writer));
    }
}

void WriterLedger::begin(std::uint32_t writer, const Operation& operation) {
    plans_[writer] = plan_of(operation, states_[writer]);
}

std::string WriterLedger::acknowledge(std::uint32_t writer, const Operation& operation,
                                      const std::vector<std::string>& drawn_ids) {
    Plan& plan = plans_[writer];
    const bool may_be_refused = operation.kind == OperationKind::insert || operation.kind == OperationKind::update;
    if (plan.empty() && may_be_refused) return "an operation that had to be refused was acknowledged";
    for (std::size_t index = 0; index < drawn_ids.size(); ++index) plan.front().changes[index].first = drawn_ids[index];
    for (const Step& step : plan) apply_step(states_[writer], step);
    plan.clear();
    return {};
}

std::string WriterLedger::refuse(std::uint32_t writer, const Operation& operation, ErrorCode code) {
    const bool had_to_be = (operation.kind == OperationKind::insert && code == ErrorCode::id_exists) ||
                           (operation.kind == OperationKind::update && code == ErrorCode::id_not_found);
    const bool is_expected = code == ErrorCode::unavailable || (plans_[writer].empty() && had_to_be);
    plans_[writer].clear();
    return is_expected ? std::string() : "a writer was refused: " + std::string(error_info(code).name);
}

std::string WriterLedger::settle_all(const State& found) {
    std::array<State, writers_max> parts;
    for (std::uint32_t writer = 0; writer < writers_max; ++writer) {
        parts[writer][writer_collection(writer)].config = writer_config(writer_collection(writer));
    }
    for (const auto& [name, collection] : found) {
        for (const auto& [id, row] : collection.rows) {
            const std::uint32_t writer = writer_of(row);
            if (writer >= writers_max || writer_collection(writer) != name) return "the row '" + id + "' belongs to nobody";
            parts[writer][name].rows[id] = row;
        }
    }
    for (std::uint32_t writer = 0; writer < writers_max; ++writer) {
        if (!plans_[writer].empty()) ++(difference(states_[writer], parts[writer]).empty() ? gone_ : kept_);
        std::string what = settle(states_[writer], plans_[writer], parts[writer]);
        if (!what.empty()) return "writer " + std::to_string(writer) + ": " + what;
        plans_[writer].clear();
    }
    return {};
}

}  // namespace dvesp::test
