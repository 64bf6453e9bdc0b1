/// tests/fuzz/index_file_fuzz.cpp - libFuzzer target: no index file makes a search crash or answer a row that is not there.
/// Input bytes: u8 kind (odd: graph) | u8 mode | file or sections. The file must say: segment 0, 16 rows of 4 coordinates.
#include "fuzz/fuzz_support.hpp"
#include "index/rerank.hpp"
#include "store/index_file.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

constexpr std::uint32_t rows = 16, dimension = 4;

struct Everyone final : index::RowPredicate {
    [[nodiscard]] bool accepts(std::uint32_t) const noexcept override { return true; }
};

/// Sixteen fixed vectors and their codes.
struct Fixture final : index::VectorSource {
    std::vector<float> values;
    index::Coding coding{false, std::vector<float>(dimension, 0.1F)};
    AlignedBuffer codes;

    Fixture() : values(std::size_t{rows} * dimension), codes(rows * coding.stride()) {
        std::vector<float> scratch(dimension);
        for (std::size_t at = 0; at < values.size(); ++at) values[at] = static_cast<float>(at % 7) - 2.5F;
        for (std::uint32_t row = 0; row < rows; ++row) {
            coding.encode(vector(row), index::norm(vector(row), dimension), codes.data() + row * coding.stride(),
                          scratch.data());
        }
    }
    [[nodiscard]] const float* vector(std::uint32_t row) const noexcept override {
        return values.data() + std::size_t{row} * dimension;
    }
};

void search(const store::IndexFile& file, const Fixture& fixture) {
    const Everyone everyone;
    index::SearchScratch scratch;
    const std::vector<float> query = {1, 0, -1, 2};
    for (const std::uint32_t effort : {1U, 3U, 100U, ~0U}) {
        if (file.is_graph()) {
            const auto graph = file.graph();
            if (!graph.ok()) return;
            const index::WalkQuery walked(*(*graph)->view.coding, query.data(), false);
            const index::GraphTask task{&walked, effort, &scratch};
            index::search_graph((*graph)->view, {&task, 1});
            for (const std::uint32_t row : scratch.found()) require(row < rows);
            index::ChosenRows chosen;
            index::choose_rows(scratch.found(), ~std::size_t{0}, everyone, fixture, dimension, chosen);
            require(index::rerank_chosen({file.metric(), query.data(), dimension}, chosen, 5).nearest.size() <= 5);
        } else {
            const auto ivf = file.ivf();
            if (!ivf.ok()) return;
            const index::IvfView& view = (*ivf)->view;
            const index::WalkQuery prepared(*view.coding, query.data(), false);
            const index::IvfTask task{query.data(), &prepared, false, effort, effort == 3 ? 1.1F : 0, 5, 8, nullptr, &scratch};
            index::search_ivf(view, {&task, 1});
            require(scratch.found().size() <= 8);
            for (const std::uint32_t row : scratch.found()) require(row < rows);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Fixture fixture;
    fuzz::Input input(data, size);
    const auto kind = input.byte() % 2 == 1 ? codec::FileKind::graph : codec::FileKind::ivf;
    const auto files = fuzz::files_with(fuzz::content_file(input, kind));
    const auto file = store::IndexFile::open(*files, Hash{}, Hash{}, rows, dimension);
    if (file.ok()) search(**file, fixture);
    return 0;
}
