/// api/requests.hpp - bodies of requests as codec::Request: types, ranges and names checked; no cluster is needed for it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/document.hpp"
#include "api/values.hpp"
#include "codec/revocation.hpp"
#include "codec/rpc.hpp"
#include "store/types.hpp"

namespace dvesp::api {

inline constexpr std::uint64_t timeout_ms_max = 2'147'483'647;  ///< as in Python
inline constexpr std::uint32_t results_max = 1'000'000;         ///< queries x top_k, as docs/formats/rpc.md bounds a reply
inline constexpr std::string_view binary_type = "application/x-dvesp";

/// A request and the memory that its views point into. Movable: all of it is on the heap.
struct Asked {
    Document document;
    std::shared_ptr<AlignedBuffer> bytes;  ///< of a binary body
    EncodedRows metadata;
    std::vector<std::uint8_t> filter;
    std::vector<std::uint8_t> config;
    std::vector<std::string> texts;
    codec::Request request;  ///< without collection, batch_id and trace
};

/// All: @errors invalid_argument, naming the member; @threads any
/// Ids that are left out stay out: the caller draws them.
[[nodiscard]] Result<Asked> insert_request(Document document);
[[nodiscard]] Result<Asked> upsert_request(Document document);
[[nodiscard]] Result<Asked> update_request(Document document);
[[nodiscard]] Result<Asked> delete_request(Document document);
[[nodiscard]] Result<Asked> get_request(Document document);
[[nodiscard]] Result<Asked> scroll_request(Document document);
[[nodiscard]] Result<Asked> count_request(Document document);
[[nodiscard]] Result<Asked> search_request(Document document);
[[nodiscard]] Result<Asked> search_batch_request(Document document);
/// flush, compact and verify take a timeout_ms at most; a day when it is left out.
[[nodiscard]] Result<Asked> upkeep_request(Document document, codec::Op op);

/// The entries of POST /v1/revocations: well-formed, their signatures not checked. At most codec::revocations_max.
[[nodiscard]] Result<std::vector<std::vector<std::uint8_t>>> revocation_entries(const Document& document);

/// The name of POST /v1/snapshots: 1..64 letters, digits, '.', '-', '_', none of them a leading dot: it becomes a directory's.
[[nodiscard]] Result<std::string> snapshot_name(const Document& document);

struct NewCollection {
    std::string name;
    store::CollectionConfig config;
    Asked asked;
};
[[nodiscard]] Result<NewCollection> create_request(Document document);

/// The bytes of docs/formats/rpc.md. @param collection of the path; the request names it too, or none
/// @errors invalid_argument: malformed, another operation than `op`, metadata or a filter that is none
[[nodiscard]] Result<Asked> binary_request(ByteView body, codec::Op op, std::string_view collection);

}  // namespace dvesp::api
