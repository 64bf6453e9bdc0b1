/// api/routes.cpp - who may ask, which handler answers, and the reports of the node.
#include "api/routes.hpp"

#include <algorithm>
#include <array>

#include "api/openapi.hpp"
#include "api/replies.hpp"
#include "api/target.hpp"

namespace dvesp::api {
namespace {

/// Whether `path` (with `{name}`) has these segments; the collection goes into `name`.
bool matches(std::string_view path, const std::vector<std::string>& segments, std::string& name) {
    std::size_t at = 0;
    path.remove_prefix(1);
    while (at < segments.size()) {
        const std::size_t end = std::min(path.find('/'), path.size());
        const std::string_view wanted = path.substr(0, end);
        const bool is_name = wanted == "{name}";
        if (is_name ? segments[at].empty() : wanted != segments[at]) return false;
        if (is_name) name = segments[at];
        ++at;
        if (end == path.size()) return at == segments.size();
        path.remove_prefix(end + 1);
    }
    return false;
}

/// Whether a header such as Accept or Content-Type names a media type.
bool names_type(std::string_view header, std::string_view type) {
    const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
    return std::search(header.begin(), header.end(), type.begin(), type.end(), same) != header.end();
}

}  // namespace

std::span<const Routes::Route> Routes::table() {
    static constexpr std::array<Route, 25> routes = {{
        {{"GET", "/v1/collections"}, &Routes::list_collections},
        {{"POST", "/v1/collections"}, &Routes::create_collection},
        {{"GET", "/v1/collections/{name}"}, &Routes::describe},
        {{"DELETE", "/v1/collections/{name}"}, &Routes::drop_collection},
        {{"POST", "/v1/collections/{name}/vectors/insert"}, &Routes::insert},
        {{"POST", "/v1/collections/{name}/vectors/upsert"}, &Routes::upsert},
        {{"POST", "/v1/collections/{name}/vectors/update"}, &Routes::update},
        {{"POST", "/v1/collections/{name}/vectors/delete"}, &Routes::remove},
        {{"POST", "/v1/collections/{name}/vectors/get"}, &Routes::get},
        {{"POST", "/v1/collections/{name}/vectors/scroll"}, &Routes::scroll},
        {{"POST", "/v1/collections/{name}/vectors/count"}, &Routes::count},
        {{"POST", "/v1/collections/{name}/search"}, &Routes::search},
        {{"POST", "/v1/collections/{name}/search_batch"}, &Routes::search_batch},
        {{"POST", "/v1/collections/{name}/flush"}, &Routes::flush},
        {{"POST", "/v1/collections/{name}/compact"}, &Routes::compact},
        {{"POST", "/v1/collections/{name}/verify"}, &Routes::verify},
        {{"GET", "/v1/cluster/status"}, &Routes::cluster_status},
        {{"GET", "/v1/revocations"}, &Routes::revocations},
        {{"POST", "/v1/revocations"}, &Routes::revoke},
        {{"GET", "/v1/snapshots"}, &Routes::list_snapshots},
        {{"POST", "/v1/snapshots"}, &Routes::make_snapshot},
        {{"GET", "/v1/status"}, &Routes::status},
        {{"GET", "/v1/health"}, &Routes::health},
        {{"GET", "/v1/openapi.json"}, &Routes::openapi},
        {{"GET", "/metrics"}, &Routes::metrics},
    }};
    return routes;
}

std::vector<RouteName> Routes::names() {
    std::vector<RouteName> out;
    for (const Route& route : table()) out.push_back(route.name);
    return out;
}

Routes::Routes(node::RemoteStore& store, ports::Random& random, ports::Clock& clock, NodeReports reports,
               std::optional<TokenList> tokens)
    : store_(store), random_(random), clock_(clock), reports_(std::move(reports)), tokens_(std::move(tokens)) {}

bool Routes::admits(const ports::HttpRequest& request, bool is_trusted) const {
    if (tokens_ && tokens_->accepts(request.authorization)) return true;
    // A browser shows certificates, and reaches loopback, for any page that asks; a token it does not have.
    return is_trusted && request.origin.empty();
}

ports::HttpResponse Routes::answer(const ports::HttpRequest& request, bool is_trusted) const {
    const Trace trace = continue_trace(request.traceparent, random_);
    ports::HttpResponse response;
    if (admits(request, is_trusted)) {
        response = dispatch(request, trace);
    } else if (is_trusted) {
        response = error_response(fail(ErrorCode::permission_denied, "requests of web pages need a bearer token"));
    } else {
        response = error_response(
            fail(ErrorCode::permission_denied, "show a client certificate, or a token of the node: Authorization: Bearer ..."),
            401);
        response.headers.emplace_back("WWW-Authenticate", "Bearer");
    }
    response.headers.emplace_back("traceparent", format_traceparent(trace));
    return response;
}

ports::HttpResponse Routes::dispatch(const ports::HttpRequest& request, const Trace& trace) const {
    const auto segments = path_segments(request.target);
    if (!segments.ok()) return error_response(segments.error());
    Call call{request, {}, trace};
    call.takes_binary = names_type(request.content_type, binary_type);
    const bool wants_json = names_type(request.accept, "application/json");
    call.gives_binary = names_type(request.accept, binary_type) || (call.takes_binary && !wants_json);
    std::string allowed;
    for (const Route& route : table()) {
        if (!matches(route.name.path, *segments, call.collection)) continue;
        if (route.name.method == request.method) {
            const auto checked = call.collection.empty() ? Result<void>() : store::check_collection_name(call.collection);
            if (!checked.ok()) return error_response(checked.error());
            auto answered = (this->*route.handler)(call);
            return answered.ok() ? std::move(*answered) : error_response(answered.error());
        }
        allowed += (allowed.empty() ? "" : ", ") + std::string(route.name.method);
    }
    if (allowed.empty()) {
        return error_response(fail(ErrorCode::invalid_argument, "there is no such route; see /v1/openapi.json"), 404);
    }
    ports::HttpResponse response =
        error_response(fail(ErrorCode::invalid_argument, "this route takes " + allowed + " alone"), 405);
    response.headers.emplace_back("Allow", allowed);
    return response;
}

Routes::Answer Routes::cluster_status(const Call&) const { return json_response(reports_.status()); }

Routes::Answer Routes::status(const Call&) const {
    std::string text = reports_.status();
    const std::string details = reports_.details();
    DVESP_ASSERT(text.ends_with('}') && details.starts_with('{'));
    text.back() = ',';
    return json_response(text + details.substr(1));
}

Routes::Answer Routes::health(const Call&) const {
    const bool is_ready = reports_.is_ready();
    return json_response(is_ready ? R"({"status":"ok"})" : R"({"status":"starting"})", is_ready ? 200 : 503);
}

Routes::Answer Routes::metrics(const Call&) const {
    ports::HttpResponse response = json_response(reports_.metrics());
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return response;
}

Routes::Answer Routes::openapi(const Call&) const { return json_response(openapi_text()); }

}  // namespace dvesp::api
