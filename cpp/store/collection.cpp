/// store/collection.cpp - applies frames to the head, marks replaced rows dead, publishes snapshots.
#include "store/collection.hpp"

#include <algorithm>

#include "base/ids.hpp"

namespace dvesp::store {
namespace {

constexpr std::uint64_t seal_floats = std::uint64_t{16'384} * 384;  // docs/decisions/007
constexpr std::uint32_t seal_rows_min = 4096, seal_rows_max = 65'536;
constexpr std::size_t workspaces_max = 64;
constexpr std::uint64_t full_bytes_spare = std::uint64_t{4} << 20;
constexpr std::uint32_t center_rows_min = 32, center_rows_max = 1024;

}  // namespace

std::vector<Snapshot::Part> Snapshot::parts() const {
    std::vector<Part> out;
    if (head && head_rows > 0) out.push_back({head.get(), head_rows});
    for (auto frozen_head = frozen.rbegin(); frozen_head != frozen.rend(); ++frozen_head) {
        if (frozen_head->rows > 0) out.push_back({frozen_head->head.get(), frozen_head->rows});
    }
    for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
        if (segment->segment->rows() > 0) out.push_back({segment->segment.get(), segment->segment->rows()});
    }
    return out;
}

Collection::Collection(std::string name, std::uint32_t shard, std::uint64_t created_log_seq, const CollectionConfig& config)
    : name_(std::move(name)),
      shard_(shard),
      created_log_seq_(created_log_seq),
      config_(config),
      applied_log_seq_(created_log_seq),
      wanted_metrics_(1U << static_cast<std::uint32_t>(config.metric)) {
    auto first = std::make_shared<Snapshot>();
    first->seq = created_log_seq;
    snapshot_.set(std::move(first));
}

std::uint32_t Collection::seal_rows() const noexcept {
    return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(seal_floats / config_.dimension, seal_rows_min, seal_rows_max));
}

Result<std::optional<Location>> Collection::find(const Snapshot& snapshot, std::string_view id) {
    const std::uint64_t key = id_key(id);
    for (const Snapshot::Part& part : snapshot.parts()) {
        DVESP_ASSIGN(const std::uint32_t row, part.source->find(id, key, snapshot.seq, part.rows));
        if (row != index::no_row) return std::optional<Location>(Location{part.source, row});
    }
    return std::optional<Location>();
}

Result<std::vector<std::optional<Location>>> Collection::find_all(const Snapshot& snapshot,
                                                                  std::span<const std::string_view> ids) {
    struct Wanted {
        std::uint64_t key;
        std::size_t index;
    };
    std::vector<Wanted> wanted;
    wanted.reserve(ids.size());
    for (std::size_t index = 0; index < ids.size(); ++index) wanted.push_back({id_key(ids[index]), index});
    std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) { return a.key < b.key; });
    std::vector<std::optional<Location>> found(ids.size());
    for (const Snapshot::Part& part : snapshot.parts()) {
        std::size_t left = 0;
        for (const Wanted& one : wanted) {
            DVESP_ASSIGN(const std::uint32_t row, part.source->find(ids[one.index], one.key, snapshot.seq, part.rows));
            if (row == index::no_row) {
                wanted[left++] = one;
            } else {
                found[one.index] = Location{part.source, row};
            }
        }
        wanted.resize(left);
    }
    return found;
}

std::shared_ptr<Head> Collection::make_head(const Snapshot& snapshot, const Frame* first) const {
    const bool unit = config_.metric == Metric::cosine;
    std::vector<float> center(config_.dimension, 0.0F);
    const std::uint32_t count = first->view.head.kind == codec::FrameKind::put ? first->view.head.count : 0;
    if (count >= center_rows_min) {
        std::vector<const float*> rows;
        for (std::uint32_t row = 0; row < std::min(count, center_rows_max); ++row) rows.push_back(first->view.vector(row));
        center = index::mean_of_rows(rows, config_.dimension, unit);
    } else if (!snapshot.segments.empty()) {
        center = snapshot.segments.back().segment->coding().center();
    }
    return std::make_shared<Head>(std::make_shared<const index::Coding>(unit, std::move(center)),
                                  "the log (collection '" + name_ + "')");
}

void Collection::apply(const std::shared_ptr<const Frame>& frame, std::uint64_t log_seq, TaskRunner& runner) {
    const codec::FrameView& view = frame->view;
    const std::shared_ptr<const Snapshot> now = snapshot_.get();
    std::vector<Location> replaced;
    for (std::uint32_t row = 0; row < view.head.count; ++row) {
        const bool replaces = view.head.kind == codec::FrameKind::remove || view.version(row) > 1;
        if (!replaces) continue;
        const auto found = find(*now, view.id(row));
        if (!found.ok()) {
            set_damage(found.error().message);  // the frame is durable: its rows count, the replaced one cannot be told
        } else if (*found) {
            replaced.push_back(**found);
        }
    }
    const bool fresh_head = !now->head;
    std::shared_ptr<Head> head = fresh_head ? make_head(*now, frame.get()) : now->head;
    if (fresh_head) head_first_log_seq_ = log_seq;
    head->append(frame, runner);
    std::size_t dead = 0;
    for (const Location& location : replaced) {
        if (location.source->deaths.death(location.row) != 0) continue;  // a crafted frame may name an id twice
        location.source->deaths.kill(location.row, log_seq);
        ++dead;
    }
    last_shard_seq_ = view.head.seq;
    publish([&](Snapshot& next) {
        next.seq = log_seq;
        next.head = head;
        next.head_rows = head->rows();
        next.live_rows += view.head.kind == codec::FrameKind::put ? view.head.count : 0;
        next.live_rows -= dead;
    });
}

void Collection::replace(Snapshot content, std::uint64_t log_seq, std::uint64_t shard_seq) {
    publish([&](Snapshot& next) { next = std::move(content); });
    head_first_log_seq_ = 0;
    applied_log_seq_ = log_seq;
    applied_shard_seq_ = shard_seq;
    last_shard_seq_ = shard_seq;
    unreadable_segments.clear();
    const std::scoped_lock lock(mutex_);
    damage_.clear();
}

bool Collection::freeze_head() {
    const std::shared_ptr<const Snapshot> now = snapshot_.get();
    if (!now->head || now->head->empty()) return false;
    publish([&](Snapshot& next) {
        next.frozen.push_back({now->head, now->head_rows, now->seq, last_shard_seq_, head_first_log_seq_});
        next.head.reset();
        next.head_rows = 0;
    });
    head_first_log_seq_ = 0;
    return true;
}

void Collection::freeze_full_head(std::uint32_t asked_rows, std::uint32_t coming) {
    const std::shared_ptr<const Snapshot> now = snapshot_.get();
    if (!now->head) return;
    const std::uint32_t full_rows = asked_rows != 0 ? asked_rows : seal_rows();
    // Twice the vectors' bytes covers the padding of single-row frames and metadata.
    const std::uint64_t full_bytes = std::uint64_t{2} * full_rows * config_.dimension * sizeof(float) + full_bytes_spare;
    const bool full = now->head_rows >= full_rows || now->head->frame_bytes() >= full_bytes;
    if (full || now->head_rows + coming > Head::rows_max) freeze_head();
}

void Collection::set_applied(std::uint64_t log_seq, std::uint64_t shard_seq) noexcept {
    applied_log_seq_ = log_seq;
    applied_shard_seq_ = shard_seq;
    last_shard_seq_ = std::max(last_shard_seq_, shard_seq);
}

std::uint64_t Collection::first_unsealed_log_seq() const {
    const std::shared_ptr<const Snapshot> now = snapshot_.get();
    return now->frozen.empty() ? head_first_log_seq_.load() : now->frozen.front().first_log_seq;
}

std::string Collection::damage() const {
    const std::scoped_lock lock(mutex_);
    return damage_;
}

void Collection::set_damage(std::string message, ErrorCode code) {
    const std::scoped_lock lock(mutex_);
    if (!damage_.empty()) return;
    damage_ = std::move(message);
    damage_code_ = code;
}

bool Collection::is_shredded() const {
    const std::scoped_lock lock(mutex_);
    return !damage_.empty() && damage_code_ == ErrorCode::sealed;
}

Result<void> Collection::check_whole() const {
    const std::scoped_lock lock(mutex_);
    if (!damage_.empty()) return fail(damage_code_, damage_);
    return {};
}

std::unique_ptr<SearchWorkspace> Collection::take_workspace() {
    {
        const std::scoped_lock lock(mutex_);
        if (!workspaces_.empty()) {
            auto workspace = std::move(workspaces_.back());
            workspaces_.pop_back();
            return workspace;
        }
    }
    return std::make_unique<SearchWorkspace>();
}

void Collection::give_workspace(std::unique_ptr<SearchWorkspace> workspace) {
    const std::scoped_lock lock(mutex_);
    if (workspaces_.size() < workspaces_max) workspaces_.push_back(std::move(workspace));
}

bool Collection::want_metric(Metric metric) noexcept {
    const std::uint32_t bit = 1U << static_cast<std::uint32_t>(metric);
    return (wanted_metrics_.load(std::memory_order_relaxed) & bit) == 0 && (wanted_metrics_.fetch_or(bit) & bit) == 0;
}

bool Collection::wants_metric(Metric metric) const noexcept {
    return (wanted_metrics_.load(std::memory_order_relaxed) & (1U << static_cast<std::uint32_t>(metric))) != 0;
}

std::uint64_t Collection::unsealed_bytes() const {
    const std::shared_ptr<const Snapshot> now = snapshot_.get();
    std::uint64_t bytes = now->head ? now->head->frame_bytes() : 0;
    for (const FrozenHead& frozen : now->frozen) bytes += frozen.head->frame_bytes();
    return bytes;
}

}  // namespace dvesp::store
