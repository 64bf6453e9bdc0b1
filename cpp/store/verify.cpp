/// store/verify.cpp - reads everything of a collection and compares it with everything that vouches for it.
#include <algorithm>

#include "codec/cbor.hpp"
#include "store/database.hpp"
#include "store/leaf_check.hpp"
#include "store/maintenance.hpp"

namespace dvesp::store {
namespace {

constexpr std::size_t problems_max = 1000;

class Verifier {
  public:
    explicit Verifier(std::vector<std::string>& problems) : problems_(problems) {}

    void file(const CheckedFile& file) {
        const std::size_t damaged = file.count_damaged_blocks();
        if (damaged > 0) add(file.name() + ": " + std::to_string(damaged) + " damaged blocks of 64 KiB");
        const std::string name = file.path().substr(file.path().rfind('/') + 1);
        if (to_hex(sha256(file.bytes())) != name) add(file.name() + ": the content does not match the name");
    }

    /// Every row against its leaf, every batch's leaves against its root.
    void source(const Source& source, std::uint32_t rows) {
        auto check = LeafCheck::of(source);
        if (!check.ok()) return add(check.error().message);
        for (std::size_t index = 0; index < check->batches().size(); ++index) {
            check_root(source, check->batches()[index], check->first_leaves()[index]);
        }
        for (std::uint32_t row = 0; row < rows && problems_.size() < problems_max; ++row) check_row(source, row, *check);
    }

    void index(const IndexedSegment& segment) {
        for (const auto& index_file : segment.indexes) {
            file(index_file->checked_file());
            if (!index_file->is_graph()) {
                const auto ivf = index_file->ivf();
                if (!ivf.ok()) {
                    add(ivf.error().message);
                } else {
                    check_lists(*index_file, (*ivf)->view, segment.segment->rows());
                }
                continue;
            }
            const auto graph = index_file->graph();
            if (!graph.ok()) {
                add(graph.error().message);
            } else {
                check_graph(*index_file, (*graph)->view, segment.segment->rows());
            }
        }
    }

    void add(std::string problem) {
        if (problems_.size() < problems_max) problems_.push_back(std::move(problem));
    }

  private:
    void check_root(const Source& source, const BatchView& batch, std::uint32_t first_leaf) {
        std::vector<Hash> leaves;
        for (std::uint32_t index = 0; index < batch.leaf_count && first_leaf + index < source.leaf_count(); ++index) {
            const auto leaf = source.leaf(first_leaf + index);
            if (!leaf.ok()) return add(leaf.error().message);
            leaves.push_back(*leaf);
        }
        if (codec::merkle_root(leaves) != batch.root)
            add(source.name() + ": the Merkle root of a batch does not match its leaves");
    }

    void check_row(const Source& source, std::uint32_t row, LeafCheck& check) {
        const auto view = check.row(row);
        if (!view.ok()) return add(view.error().message);
        if (!view->metadata.empty() && !codec::cbor::valid(view->metadata)) {
            add(source.name() + ": row " + std::to_string(row) + " has malformed metadata");
        }
    }

    void check_graph(const IndexFile& file, const index::GraphView& graph, std::uint32_t rows) {
        std::vector<bool> reached(rows, false);
        std::vector<std::uint32_t> stack(graph.entry_points.begin(), graph.entry_points.end());
        while (!stack.empty()) {
            const std::uint32_t row = stack.back();
            stack.pop_back();
            if (row >= rows) return add(file.checked_file().name() + ": a link points outside");
            if (reached[row]) continue;
            reached[row] = true;
            for (const std::uint32_t next : graph.links.subspan(std::size_t{row} * graph.degree, graph.degree)) {
                if (next != index::no_row) stack.push_back(next);
            }
        }
        const auto unreached = std::count(reached.begin(), reached.end(), false);
        if (unreached > 0) add(file.checked_file().name() + ": " + std::to_string(unreached) + " rows cannot be reached");
    }

    /// Loading checked that rows are inside and ends rise; every row must be listed, at most twice and never twice in one list.
    void check_lists(const IndexFile& file, const index::IvfView& ivf, std::uint32_t rows) {
        std::vector<std::uint32_t> last_list(rows, 0);
        std::vector<std::uint8_t> times(rows, 0);
        std::size_t at = 0;
        for (std::uint32_t list = 0; list < ivf.list_count(); ++list) {
            for (; at < ivf.list_ends[list]; ++at) {
                const std::uint32_t row = ivf.list_rows[at];
                if (times[row] == 2 || last_list[row] == list + 1)
                    return add(file.checked_file().name() + ": a row is listed twice");
                ++times[row];
                last_list[row] = list + 1;
            }
        }
        const auto missing = std::count(times.begin(), times.end(), 0);
        if (missing > 0) add(file.checked_file().name() + ": " + std::to_string(missing) + " rows are in no list");
    }

    std::vector<std::string>& problems_;
};

}  // namespace

Result<std::vector<std::string>> Database::verify(const std::string& name) {
    const std::shared_lock upkeep(upkeep_mutex_);
    Result<void> result;
    const auto targets = selected(name, result);
    if (!result.ok()) return result.error();
    std::vector<std::string> problems;
    Verifier verifier(problems);
    if (manifest_copy_damaged_) verifier.add(ports_.files->describe(manifest_path) + ": one of its two copies is damaged");
    for (const LogDamage& damage : log_damages_) verifier.add(damage.file + ": damaged");
    for (const std::string& damage : index_damages_) verifier.add(damage);
    for (const auto& collection : targets) {
        const std::string damage = collection->damage();
        if (!damage.empty()) verifier.add(damage);
        // Heads are verified as they are sealed; freezing this one makes its batches complete.
        exclusively([&] { return collection->damage().empty() && collection->freeze_head(); });
        const auto snapshot = collection->snapshot();
        for (const FrozenHead& frozen : snapshot->frozen) verifier.source(*frozen.head, frozen.rows);
        for (const IndexedSegment& segment : snapshot->segments) {
            verifier.file(segment.segment->checked_file());
            verifier.source(*segment.segment, segment.segment->rows());
            const auto ids = segment.segment->verify_ids();
            if (!ids.ok()) verifier.add(ids.error().message);
            verifier.index(segment);
        }
    }
    maintenance_->wake();
    return problems;
}

}  // namespace dvesp::store
