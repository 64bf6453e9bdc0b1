/// node/cluster_answers.hpp - reading operations on one collection of a node's database, from request to reply.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "codec/rpc.hpp"
#include "store/cursor.hpp"
#include "store/database.hpp"

namespace dvesp::node {

/// Cursors of scrolls between two pages: each keeps its snapshot until it ends or nobody asks for a minute. @threads any
class CursorTable {
  public:
    struct Held {
        std::unique_ptr<store::Cursor> cursor;
        std::uint32_t shard = 0;
        std::uint64_t used_ns = 0;
    };
    /// @return the number of the cursor  @errors unavailable when too many are open
    Result<std::uint64_t> add(std::shared_ptr<Held> held, std::uint64_t now_ns);
    /// The cursor, taken out: one page at a time. @errors unavailable: it is gone
    Result<std::shared_ptr<Held>> take(std::uint64_t number);
    void give_back(std::uint64_t number, std::shared_ptr<Held> held, std::uint64_t now_ns);

  private:
    std::mutex mutex_;
    std::map<std::uint64_t, std::shared_ptr<Held>> held_;
    std::uint64_t next_ = 1;
};

struct ReadAnswer {
    Result<void> error;
    codec::Reply reply;
    std::shared_ptr<const void> keep;  ///< what the reply's views point into
};

/// search, get, count, scroll, read_index, describe. @threads any
[[nodiscard]] ReadAnswer answer_read(store::Database& database, CursorTable& cursors,
                                     const std::shared_ptr<store::Collection>& collection, const codec::Request& request);

}  // namespace dvesp::node
