/// index/coded_rows.cpp - coding of all rows, and whether 4 bits rank them well enough.
#include "index/coded_rows.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "index/calibration.hpp"
#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

constexpr std::size_t rows_per_piece = 256;
/// 4-bit codes serve when so many of the ten nearest rows stand among the first rows by code, over all rows.
constexpr std::uint32_t ranked_questions = 64, ranked_rows_enough = 40;
constexpr double ranked_recall_min = 0.985;

Error damaged() { return fail(ErrorCode::corruption, "a vector is damaged"); }

/// Whether the true neighbours of held-out rows stand near the front when all rows are ranked by their codes.
Result<bool> ranks_well(const CodedRows& coded, const Coding& coding, Metric metric, const CodeView& codes,
                        const VectorSource& vectors, const HeldOut& held_out) {
    const std::uint32_t question_count = std::min(held_out.count, ranked_questions);
    std::vector<std::uint32_t> everyone(codes.rows);
    std::iota(everyone.begin(), everyone.end(), 0U);
    std::vector<float> scores(codes.rows);
    std::uint64_t wanted = 0;
    std::uint64_t near = 0;
    const NotHeldOut predicate(held_out);
    for (std::uint32_t index = 0; index < question_count; ++index) {
        const float* vector = vectors.vector(index * held_out.step);
        if (vector == nullptr) return damaged();
        const CodedQuery query(coding, metric, vector, Margin::likely);
        FlatScan scan(query, calibration_top_k, predicate);
        scan.scan(codes.codes, 0, codes.rows);
        const Reranked truth = scan.finish(vectors);
        if (truth.damaged) return damaged();
        WalkQuery(*coded.coding, vector, false)
            .score(*coded.coding, coded.codes.data(), coded.term_data(), everyone, scores.data());
        std::vector<float> ranked;
        for (std::uint32_t row = 0; row < codes.rows; ++row) {
            if (predicate.accepts(row)) ranked.push_back(scores[row]);
        }
        const std::size_t place = std::min<std::size_t>(ranked_rows_enough, ranked.size()) - 1;
        std::nth_element(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(place), ranked.end());
        for (const Neighbor& neighbor : truth.nearest) near += scores[neighbor.row] <= ranked[place] ? 1 : 0;
        wanted += truth.nearest.size();
    }
    return static_cast<double>(near) >= ranked_recall_min * static_cast<double>(wanted);
}

}  // namespace

Result<CodedRows> code_with(Metric metric, std::uint32_t bits, std::uint32_t dimension, std::uint32_t rows,
                            const VectorSource& vectors, TaskRunner& runner) {
    CodedRows coded;
    coded.coding = WalkCoding::train(metric, bits, dimension, rows, vectors);
    if (!coded.coding) return damaged();
    const WalkCoding& coding = *coded.coding;
    coded.codes = AlignedBuffer::of_huge_pages(rows * coding.stride());
    if (coding.has_terms()) coded.terms.resize(rows);
    std::atomic<bool> whole{true};
    run_in_ranges(runner, rows, rows_per_piece, [&](std::size_t first, std::size_t last) {
        for (std::size_t row = first; row < last; ++row) {
            const float* vector = vectors.vector(static_cast<std::uint32_t>(row));
            if (vector == nullptr) {
                whole = false;
                return;
            }
            const float term = coding.encode(vector, coded.codes.data() + row * coding.stride());
            if (coding.has_terms()) coded.terms[row] = term;
        }
    });
    if (!whole) return damaged();
    return coded;
}

Result<CodedRows> code_rows(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                            const HeldOut& held_out, std::uint32_t bits, TaskRunner& runner) {
    const std::uint32_t dimension = coding.dimension();
    // Up to 64 coordinates, 8 bits take no more room than 4.
    const bool settled = bits != 0 || dimension <= kernels::code_block_bytes;
    const std::uint32_t first_bits = bits != 0 ? bits : (settled ? 8 : 4);
    DVESP_ASSIGN(CodedRows coded, code_with(metric, first_bits, dimension, codes.rows, vectors, runner));
    if (settled || held_out.count == 0) return coded;
    DVESP_ASSIGN(const bool enough, ranks_well(coded, coding, metric, codes, vectors, held_out));
    if (enough) return coded;
    coded = {};
    return code_with(metric, 8, dimension, codes.rows, vectors, runner);
}

}  // namespace dvesp::index
