/// index/calibration.hpp - measures on held-out rows what recall an index reaches with how much effort.
#pragma once

#include <functional>
#include <optional>

#include "base/result.hpp"
#include "index/flat_scan.hpp"
#include "index/graph_builder.hpp"

namespace dvesp::index {

inline constexpr std::uint32_t calibration_top_k = 10;
/// More points are neither made nor read (docs/formats/segment.md).
inline constexpr std::size_t calibration_points_max = 256;

/// Every `step`-th row is held out: few enough to cost little, spread over the whole input.
struct HeldOut {
    std::uint32_t step = 0;  ///< 0: nothing is held out
    std::uint32_t count = 0;

    explicit HeldOut(std::uint32_t rows) noexcept;
    [[nodiscard]] bool contains(std::uint32_t row) const noexcept { return step != 0 && row % step == 0 && row / step < count; }
};

/// Accepts all rows but those held out.
class NotHeldOut final : public RowPredicate {
  public:
    explicit NotHeldOut(const HeldOut& held_out) : held_out_(held_out) {}
    [[nodiscard]] bool accepts(std::uint32_t row) const noexcept override { return !held_out_.contains(row); }

  private:
    const HeldOut& held_out_;
};

/// A held-out row that asks for its neighbours.
struct ProbeQuery {
    const float* vector = nullptr;  ///< float32 [dimension]
    const CodedQuery* coded = nullptr;
};

struct ProbeHits {
    std::vector<std::uint32_t> rows;  ///< the most promising first, if the index ranks them at all
    std::uint32_t distance_count = 0;
};

/// Runs one held-out query with one effort and reports which rows it would compute exactly.
using Probe = std::function<ProbeHits(const ProbeQuery& query, const Effort& effort)>;

/// Tries `efforts` (by rising effort, then rising slack) until recall is so high that more cannot matter, and keeps those that
/// no other one beats in recall and cost. @errors corruption when a vector cannot be read
[[nodiscard]] Result<std::vector<CalibrationPoint>> calibrate(const Coding& coding, Metric metric, const CodeView& codes,
                                                              const VectorSource& vectors, const HeldOut& held_out,
                                                              const std::vector<Effort>& efforts, const Probe& probe);

}  // namespace dvesp::index
