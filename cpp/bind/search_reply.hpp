/// bind/search_reply.hpp - the answer of a search as arrays that share the native buffer.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <vector>

#include "codec/rpc.hpp"
#include "node/embedded_store.hpp"

namespace dvesp::bind {

struct SearchArguments {
    std::string collection;
    const float* queries = nullptr;  ///< float32 [count, dimension]
    std::size_t count = 0;
    std::uint32_t dimension = 0;
    store::SearchOptions options;
    bool metric_given = false;
    bool include_vectors = true;
    const store::ParsedFilter* filter = nullptr;
};

/// Results of q queries. Plain memory, filled without the GIL, handed out as arrays.
class SearchReply {
  public:
    /// Runs the search. @errors as store::SnapshotSearch; invalid_argument and dimension_mismatch for the queries
    static Result<std::shared_ptr<SearchReply>> run(node::EmbeddedStore& store, const SearchArguments& arguments);
    /// The same from a node's answer. @pre its shape was checked by codec::parse_reply
    static std::shared_ptr<SearchReply> from_remote(const codec::Reply& reply, double time_ms, std::string level);
    static void define(pybind11::module_& module);

  private:
    Result<void> unseal(node::EmbeddedStore& store, const store::Collection& collection, std::size_t first,
                        const std::vector<std::vector<store::Hit>>& hits);
    Result<void> fill(std::size_t query, const std::vector<store::Hit>& hits);

    std::size_t count_ = 0;
    std::uint32_t top_k_ = 0;
    std::uint32_t dimension_ = 0;
    bool with_vectors_ = false;
    double time_ms_ = 0;
    std::uint32_t nodes_queried_ = 1;
    bool is_partial_ = false;           ///< the store was being restored
    std::string level_;                 ///< that was reached; empty = the one that was asked for
    std::vector<float> distances_;      ///< [count, top_k]
    std::unique_ptr<float[]> vectors_;  ///< [count, top_k, dimension] or nothing
    /// Values of one query's hits, one behind the other.
    struct Values {
        std::string bytes;
        std::vector<std::size_t> ends;

        void add(std::string_view value) {
            bytes.append(value);
            ends.push_back(bytes.size());
        }
        [[nodiscard]] std::string_view at(std::size_t index) const noexcept {
            const std::size_t start = index == 0 ? 0 : ends[index - 1];
            return std::string_view(bytes).substr(start, ends[index] - start);
        }
    };
    std::vector<Values> ids_;  ///< [count]
    std::vector<Values> metadata_;
};

}  // namespace dvesp::bind
