/// api/collection_routes.cpp - making, describing and dropping collections, and their upkeep.
#include "api/json_writer.hpp"
#include "api/replies.hpp"
#include "api/routes.hpp"

namespace dvesp::api {
namespace {

constexpr std::uint32_t question_timeout_ms = 5000;

std::string report_text(const std::vector<std::string>& problems) {
    JsonWriter out;
    out.open('{').key("ok").boolean(problems.empty()).key("problems").open('[');
    for (const std::string& problem : problems) out.text(problem);
    out.close(']').close('}');
    return std::move(out.out());
}

}  // namespace

Routes::Answer Routes::list_collections(const Call&) const {
    DVESP_ASSIGN(const codec::Topology topology, store_.topology(question_timeout_ms));
    JsonWriter out;
    out.open('{').key("collections").open('[');
    for (const auto& [name, group] : topology.by_name) out.text(name);
    out.close(']').close('}');
    return json_response(std::move(out.out()));
}

Routes::Answer Routes::create_collection(const Call& call) const {
    DVESP_ASSIGN(Document document, parse_document(call.http.body));
    DVESP_ASSIGN(NewCollection made, create_request(std::move(document)));
    prepare(call, made.asked);
    made.asked.request.collection = made.name;
    DVESP_TRY(store_.change(made.asked.request));
    return json_response(collection_text(made.name, made.config, made.asked.request.count, nullptr));
}

Routes::Answer Routes::describe(const Call& call) const {
    DVESP_ASSIGN(const codec::Topology topology, store_.topology(question_timeout_ms));
    Asked asked;
    asked.request.op = codec::Op::describe;
    prepare(call, asked);
    DVESP_ASSIGN(const node::RemoteAnswer answer, store_.read(asked.request));
    const codec::ShardInfo* shard = topology.shard_of(call.collection);
    if (shard == nullptr) return fail(ErrorCode::unavailable, "the collection was just made; ask again");
    DVESP_ASSIGN(const store::CollectionConfig config, store::parse_config(shard->config));
    return json_response(collection_text(call.collection, config, shard->replicas.size(), &answer.reply));
}

Routes::Answer Routes::drop_collection(const Call& call) const {
    Asked asked;
    asked.request.op = codec::Op::drop;
    prepare(call, asked);
    DVESP_TRY(store_.change(asked.request));
    return json_response(R"({"status":"success"})");
}

Routes::Answer Routes::upkeep(const Call& call, codec::Op op) const {
    DVESP_ASSIGN(Document document, parse_document(call.http.body));
    DVESP_ASSIGN(Asked asked, upkeep_request(std::move(document), op));
    prepare(call, asked);
    DVESP_ASSIGN(const auto answers, store_.everywhere(asked.request));
    std::vector<std::string> problems;
    for (const node::RemoteAnswer& answer : answers) {
        for (const std::string_view problem : answer.reply.nodes) {
            problems.push_back(answer.address + ": " + std::string(problem));
        }
    }
    return json_response(report_text(problems));
}

Routes::Answer Routes::flush(const Call& call) const { return upkeep(call, codec::Op::flush); }
Routes::Answer Routes::compact(const Call& call) const { return upkeep(call, codec::Op::compact); }
Routes::Answer Routes::verify(const Call& call) const { return upkeep(call, codec::Op::verify); }

}  // namespace dvesp::api
