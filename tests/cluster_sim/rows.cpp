/// tests/cluster_sim/rows.cpp - one batch in, all rows out.
#include "cluster_sim/rows.hpp"

#include "codec/cbor.hpp"
#include "store/cursor.hpp"

namespace dvesp::test {

Row::Row(std::uint64_t value) : vector(dimension, 1.0F) {
    codec::Writer out;
    codec::cbor::write_map(out, 1);
    codec::cbor::write_text(out, "v");
    codec::cbor::write_unsigned(out, value);
    metadata = std::move(out.bytes());
    vector[0] = static_cast<float>(value);
}

std::uint64_t value_of(const codec::Reply& reply, std::size_t row) {
    const auto found = codec::cbor::find(reply.metadata[row], "v");
    if (!found) return 0;
    codec::Reader in(*found);
    const codec::cbor::Item item = codec::cbor::read(in);
    return static_cast<float>(item.magnitude) == reply.vectors[row * dimension] ? item.magnitude : 0;
}

codec::Request request_of(node::RemoteStore& store, codec::Op op, codec::Level level) {
    codec::Request request;
    request.op = op;
    request.level = level;
    request.collection = "c";
    request.timeout_ms = timeout_ms;
    store.draw_key(request);
    return request;
}

Result<node::RemoteAnswer> put(node::RemoteStore& store, const std::vector<std::string>& ids, std::uint64_t value,
                               bool is_fresh, codec::Level level) {
    const Row row(value);
    std::vector<float> vectors;
    codec::Request request = request_of(store, codec::Op::write, level);
    for (const std::string& id : ids) {
        request.ids.emplace_back(id);
        request.metadata.emplace_back(row.metadata);
        vectors.insert(vectors.end(), row.vector.begin(), row.vector.end());
    }
    request.count = static_cast<std::uint32_t>(ids.size());
    request.dimension = dimension;
    request.vectors = vectors;
    request.set(codec::flag_has_ids);
    request.set(codec::flag_has_metadata);
    request.set(codec::flag_has_vectors);
    request.set(codec::flag_upsert, !is_fresh);
    request.set(codec::flag_fresh_ids, is_fresh);
    return store.write(request);
}

std::string contents_of(const store::Collection& collection) {
    auto cursor = store::Cursor::open(collection.snapshot(), std::nullopt, std::nullopt, store::OnDamage::raise);
    if (!cursor.ok()) return "unreadable: " + cursor.error().message;
    std::string out;
    while (true) {
        const auto rows = (*cursor)->next(1000);
        if (!rows.ok()) return "unreadable: " + rows.error().message;
        if (rows->empty()) return out;
        for (const store::RowView& row : *rows) {
            out += row.id;
            out += ' ' + std::to_string(row.version) + ' ' + std::string(text_of(row.metadata)) + '\n';
            out.append(reinterpret_cast<const char*>(row.vector), collection.config().dimension * sizeof(float));
        }
    }
}

}  // namespace dvesp::test
