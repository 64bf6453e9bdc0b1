/// api/record_routes.cpp - writing, reading and searching records.
#include <algorithm>

#include "api/json_writer.hpp"
#include "api/replies.hpp"
#include "api/routes.hpp"

namespace dvesp::api {
namespace {

/// A write that is stored nowhere, and one that nobody knows of, are errors to HTTP; both name the ids to ask for.
ports::HttpResponse write_response(const Result<node::RemoteAnswer>& done, const codec::Request& request,
                                   std::string (*text)(const codec::Reply&)) {
    if (!done.ok()) {
        const bool is_unknown = error_info(done.error().code).outcome == Outcome::maybe_done;
        return error_response(done.error(), 0, is_unknown ? std::span(request.ids) : std::span<const std::string_view>());
    }
    if (done->reply.status != codec::WriteStatus::failed) return json_response(text(done->reply));
    const Error error =
        fail(ErrorCode::unavailable, "status failed: the level was not reached and nothing is stored; try again");
    return error_response(error, 0, request.ids);
}

}  // namespace

void Routes::prepare(const Call& call, Asked& asked) const {
    codec::Request& request = asked.request;
    const auto is_zero = [](const auto& bytes) {
        return std::all_of(bytes.begin(), bytes.end(), [](auto byte) { return byte == 0; });
    };
    if (is_zero(request.batch_id)) store_.draw_key(request);  // binary clients may keep one over their retries
    request.collection = call.collection;
    request.trace = call.trace.id;
}

Result<Asked> Routes::asked_of(const Call& call, Maker maker, std::optional<codec::Op> binary) const {
    if (call.takes_binary && !binary) {
        return fail(ErrorCode::invalid_argument, "Content-Type: this route takes application/json alone");
    }
    if (call.takes_binary) {
        DVESP_ASSIGN(Asked asked, binary_request(call.http.body, *binary, call.collection));
        prepare(call, asked);
        return asked;
    }
    DVESP_ASSIGN(Document document, parse_document(call.http.body));
    DVESP_ASSIGN(Asked asked, maker(std::move(document)));
    prepare(call, asked);
    return asked;
}

Routes::Answer Routes::put(const Call& call, Asked asked) const {
    codec::Request& request = asked.request;
    if (!request.has(codec::flag_has_ids)) {
        store_.draw_ids(request.count, asked.texts);
        request.ids.assign(asked.texts.begin(), asked.texts.end());
        request.set(codec::flag_has_ids);
        request.set(codec::flag_fresh_ids);
    }
    auto done = store_.write(request);
    if (!done.ok() || done->reply.status == codec::WriteStatus::failed) return write_response(done, request, nullptr);
    if (!call.gives_binary) return json_response(insert_text(done->reply, request.ids));
    done->reply.ids = request.ids;
    return binary_response(done->reply);
}

Routes::Answer Routes::insert(const Call& call) const {
    DVESP_ASSIGN(Asked asked, asked_of(call, insert_request, codec::Op::write));
    asked.request.set(codec::flag_upsert, false);
    return put(call, std::move(asked));
}

Routes::Answer Routes::upsert(const Call& call) const {
    DVESP_ASSIGN(Asked asked, asked_of(call, upsert_request));
    return put(call, std::move(asked));
}

Routes::Answer Routes::update(const Call& call) const {
    DVESP_ASSIGN(const Asked asked, asked_of(call, update_request));
    return write_response(store_.write(asked.request), asked.request, update_text);
}

Routes::Answer Routes::remove(const Call& call) const {
    DVESP_ASSIGN(const Asked asked, asked_of(call, delete_request));
    return write_response(store_.write(asked.request), asked.request, delete_text);
}

Routes::Answer Routes::get(const Call& call) const {
    DVESP_ASSIGN(const Asked asked, asked_of(call, get_request));
    DVESP_ASSIGN(const node::RemoteAnswer answer, store_.read(asked.request));
    return json_response(records_text(answer.reply, asked.request.ids));
}

Routes::Answer Routes::scroll(const Call& call) const {
    DVESP_ASSIGN(const Asked asked, asked_of(call, scroll_request));
    DVESP_ASSIGN(const node::RemoteAnswer answer, store_.read(asked.request));
    return json_response(page_text(answer.reply, asked.request.top_k));
}

Routes::Answer Routes::count(const Call& call) const {
    DVESP_ASSIGN(const Asked asked, asked_of(call, count_request));
    DVESP_ASSIGN(const node::RemoteAnswer answer, store_.read(asked.request));
    return json_response(std::move(JsonWriter().open('{').key("count").number(answer.reply.count).close('}').out()));
}

Routes::Answer Routes::search_with(const Call& call, Maker maker, bool is_batch) const {
    const std::uint64_t started_ns = clock_.monotonic_ns();
    DVESP_ASSIGN(const Asked asked, asked_of(call, maker, codec::Op::search));
    if (!is_batch && asked.request.count != 1) {
        return fail(ErrorCode::invalid_argument, "query_vector: one query alone; search_batch takes more");
    }
    DVESP_ASSIGN(node::RemoteAnswer answer, store_.read(asked.request));
    SearchMetrics metrics;
    metrics.level_achieved = answer.is_level_reached ? asked.request.level : codec::Level::quorum;
    metrics.time_ms = static_cast<double>(clock_.monotonic_ns() - started_ns) / 1e6;
    if (!call.gives_binary) return json_response(search_text(answer.reply, metrics, is_batch));
    answer.reply.time_ms = metrics.time_ms;
    ports::HttpResponse response = binary_response(answer.reply);
    response.headers.emplace_back("dvesp-consistency-level", level_name(metrics.level_achieved));
    return response;
}

Routes::Answer Routes::search(const Call& call) const { return search_with(call, search_request, false); }
Routes::Answer Routes::search_batch(const Call& call) const { return search_with(call, search_batch_request, true); }

}  // namespace dvesp::api
