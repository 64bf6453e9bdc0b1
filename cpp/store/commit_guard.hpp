/// store/commit_guard.hpp - what must be durable elsewhere before a frame may be, such as the fragments of a sealed store.
#pragma once

#include <span>

#include "store/collection.hpp"

namespace dvesp::store {

/// A frame that is about to be written.
struct GuardedFrame {
    const Frame* frame = nullptr;
    const Collection* collection = nullptr;  ///< nullptr for catalog changes
    std::uint64_t shard_seq = 0;             ///< that the frame will have in its collection; 0 for catalog changes
    std::uint32_t copies = 1;                ///< out: how many places hold every row of it, the log not counted
};

/// @threads the committing thread, one at a time; the store holds its commit lock
class CommitGuard {
  public:
    virtual ~CommitGuard() = default;
    /// All frames of a group or none: after an error nothing of the group is written. @errors handed to every writer
    virtual Result<void> before_append(std::span<GuardedFrame> frames) = 0;
    /// They are durable. `is_written` false: the log refused them, and they do not exist.
    virtual void after_append(std::span<const GuardedFrame> frames, bool is_written) = 0;
    /// Readers see them now. Ends every group, also one that was refused.
    virtual void after_apply() = 0;
};

}  // namespace dvesp::store
