/// tests/sim/checker.cpp - scrolls, counts, gets, searches and verifies.
#include "sim/checker.hpp"

#include <cmath>
#include <limits>

#include "store/cursor.hpp"
#include "store/query.hpp"

namespace dvesp::test {
namespace {

constexpr std::size_t page_rows = 100;
constexpr std::uint64_t lookups = 4, searches = 2;
constexpr double distance_gap_max = 1e-4;

std::string read_collection(store::Database& database, const std::string& name, CollectionModel& out) {
    const auto collection = database.collection(name);
    if (!collection.ok()) return collection.error().message;
    if (const std::string damage = (*collection)->damage(); !damage.empty())
        return "collection '" + name + "' is damaged: " + damage;
    out.config = (*collection)->config();
    auto cursor = store::Cursor::open((*collection)->snapshot(), std::nullopt, std::nullopt, store::OnDamage::raise);
    if (!cursor.ok()) return cursor.error().message;
    while (true) {
        const auto rows = (*cursor)->next(page_rows);
        if (!rows.ok()) return rows.error().message;
        if (rows->empty()) return {};
        for (const store::RowView& view : *rows) {
            const bool is_new = out.rows.emplace(view.id, row_of(view, out.config.dimension)).second;
            if (!is_new) return "collection '" + name + "': row '" + std::string(view.id) + "' was read twice";
        }
    }
}

double exact_distance(store::Metric metric, const std::vector<float>& a, const std::vector<float>& b) {
    double dot = 0, square_a = 0, square_b = 0, gap = 0;
    for (std::size_t at = 0; at < a.size(); ++at) {
        const double x = a[at], y = b[at];
        dot += x * y, square_a += x * x, square_b += y * y, gap += (x - y) * (x - y);
    }
    if (metric == store::Metric::l2) return std::sqrt(gap);
    return metric == store::Metric::dot_product ? -dot : 1 - dot / std::sqrt(square_a * square_b);
}

const Row& random_row(const CollectionModel& model, Prng& prng) {
    auto at = model.rows.begin();
    std::advance(at, prng.below(model.rows.size()));
    return at->second;
}

std::string check_hits(const std::string& name, const CollectionModel& model, const std::vector<float>& query, SearchKind kind,
                       const std::vector<store::Hit>& hits) {
    const std::string where = "collection '" + name + "', " + (kind == SearchKind::exact ? "exact" : "default") + " search: ";
    double nearest = std::numeric_limits<double>::infinity();
    for (const auto& [id, row] : model.rows)
        nearest = std::min(nearest, exact_distance(model.config.metric, query, row.vector));
    if (hits.empty()) return where + "no hits in " + std::to_string(model.rows.size()) + " rows";
    for (const store::Hit& hit : hits) {
        const auto row = model.rows.find(std::string(hit.id));
        if (row == model.rows.end()) return where + "the hit '" + std::string(hit.id) + "' is no row";
        const double distance = exact_distance(model.config.metric, query, row->second.vector);
        if (std::abs(distance - static_cast<double>(hit.distance)) > distance_gap_max) return where + "a wrong distance";
    }
    const bool is_exact = kind == SearchKind::exact;
    if (is_exact && static_cast<double>(hits.front().distance) > nearest + distance_gap_max)
        return where + "missed the nearest row";
    return {};
}

std::string check_lookup(const store::Collection& collection, const std::string& id, const Row* expected) {
    const auto snapshot = collection.snapshot();
    const auto found = store::Collection::find(*snapshot, id);
    if (!found.ok()) return found.error().message;
    const std::string where = "collection '" + collection.name() + "', get '" + id + "': ";
    if (expected == nullptr) return *found ? where + "a deleted row was found" : std::string();
    if (!*found) return where + "the row was not found";
    const auto view = (*found)->source->row((*found)->row);
    if (!view.ok()) return where + view.error().message;
    return same_row(row_of(*view, collection.config().dimension), *expected) ? std::string() : where + "another row came back";
}

std::string check_collection(store::Collection& collection, const CollectionModel& model,
                             const std::vector<std::string>& absent, Prng& prng) {
    const auto count = store::count_rows(*collection.snapshot(), nullptr);
    if (!count.ok()) return count.error().message;
    if (*count != model.rows.size()) {
        return "collection '" + collection.name() + "': count() says " + std::to_string(*count) + " instead of " +
               std::to_string(model.rows.size());
    }
    for (std::uint64_t turn = 0; turn < lookups; ++turn) {
        std::string what;
        if (!absent.empty()) {
            const std::string& id = absent[prng.below(absent.size())];
            const auto row = model.rows.find(id);
            what = check_lookup(collection, id, row == model.rows.end() ? nullptr : &row->second);
        }
        if (what.empty() && !model.rows.empty()) {
            auto row = model.rows.begin();
            std::advance(row, prng.below(model.rows.size()));
            what = check_lookup(collection, row->first, &row->second);
        }
        if (!what.empty()) return what;
    }
    for (std::uint64_t turn = 0; turn < searches && !model.rows.empty(); ++turn) {
        const auto kind = prng.chance(0.6) ? SearchKind::exact : static_cast<SearchKind>(prng.below(3));
        const auto answer = check_search(collection, model, random_row(model, prng).vector, kind);
        if (!answer.ok()) return answer.error().message;
        if (!answer->empty()) return *answer;
    }
    return {};
}

}  // namespace

Result<std::string> check_search(store::Collection& collection, const CollectionModel& model, const std::vector<float>& query,
                                 SearchKind kind) {
    store::SearchOptions options;
    options.top_k = 5;
    options.metric = model.config.metric;
    options.exact = kind == SearchKind::exact;
    if (kind == SearchKind::by_index) {
        options.ef = 16;
        options.nprobe = 2;
    }
    DVESP_ASSIGN(const auto search, store::SnapshotSearch::prepare(collection, collection.snapshot(), options, nullptr));
    std::vector<store::Hit> hits;
    DVESP_TRY(search->search(query.data(), {&hits, 1}));
    return check_hits(collection.name(), model, query, kind, hits);
}

Row row_of(const store::RowView& view, std::uint32_t dimension) {
    return {{view.vector, view.vector + dimension}, {view.metadata.begin(), view.metadata.end()}, view.version};
}

std::string read_all(store::Database& database, State& out) {
    for (const std::string& name : database.collection_names()) {
        std::string what = read_collection(database, name, out[name]);
        if (!what.empty()) return what;
    }
    return {};
}

std::string check_answers(store::Database& database, const State& state, const std::vector<std::string>& absent, Prng& prng) {
    for (const auto& [name, model] : state) {
        const auto collection = database.collection(name);
        if (!collection.ok()) return collection.error().message;
        std::string what = check_collection(**collection, model, absent, prng);
        if (!what.empty()) return what;
    }
    return {};
}

std::string check_verify(store::Database& database) {
    const auto problems = database.verify("");
    if (!problems.ok()) return "verify: " + problems.error().message;
    return problems->empty() ? std::string()
                             : "verify found " + std::to_string(problems->size()) + " problems, first: " + problems->front();
}

}  // namespace dvesp::test
