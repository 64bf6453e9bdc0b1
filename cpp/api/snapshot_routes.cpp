/// api/snapshot_routes.cpp - snapshots of the cluster that this node keeps: their names, and making one.
#include "api/json_writer.hpp"
#include "api/replies.hpp"
#include "api/routes.hpp"

namespace dvesp::api {

Routes::Answer Routes::list_snapshots(const Call&) const {
    DVESP_ASSIGN(const std::vector<std::string> names, reports_.snapshots());
    JsonWriter out;
    out.open('{').key("snapshots").open('[');
    for (const std::string& name : names) out.text(name);
    out.close(']').close('}');
    return json_response(std::move(out.out()));
}

Routes::Answer Routes::make_snapshot(const Call& call) const {
    DVESP_ASSIGN(const Document document, parse_document(call.http.body));
    DVESP_ASSIGN(const std::string name, snapshot_name(document));
    DVESP_ASSIGN(const std::uint64_t records, reports_.snapshot(name));
    JsonWriter out;
    out.open('{').key("status").text("success").key("name").text(name).key("records").number(records).close('}');
    return json_response(std::move(out.out()));
}

}  // namespace dvesp::api
