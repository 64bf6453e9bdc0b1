/// api/revocation_routes.cpp - which certificates are revoked, and taking more of them.
/// Whoever is admitted may bring entries: they count because the CA signed them, not because of who brings them.
#include "api/json_writer.hpp"
#include "api/replies.hpp"
#include "api/routes.hpp"

namespace dvesp::api {

Routes::Answer Routes::revocations(const Call&) const {
    JsonWriter out;
    out.open('{').key("revocations").open('[');
    for (const auto& bytes : reports_.revocations()) {
        DVESP_ASSIGN(const codec::Revocation entry, codec::parse_revocation(bytes));
        out.open('{').key("serial").text(to_hex(entry.serial)).key("reason").text(codec::reason_name(entry.reason));
        out.key("revoked_at_s").number(entry.revoked_at_s).key("entry").text(to_hex(bytes)).close('}');
    }
    out.close(']').close('}');
    return json_response(std::move(out.out()));
}

Routes::Answer Routes::revoke(const Call& call) const {
    DVESP_ASSIGN(Document document, parse_document(call.http.body));
    DVESP_ASSIGN(const std::vector<std::vector<std::uint8_t>> entries, revocation_entries(document));
    DVESP_ASSIGN(const std::size_t added, reports_.revoke(entries));
    JsonWriter out;
    out.open('{').key("status").text("success").key("added").number(added).close('}');
    return json_response(std::move(out.out()));
}

}  // namespace dvesp::api
