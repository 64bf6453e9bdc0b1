/// node/branch_keeper.cpp - asks for conflicts, stores them as siblings, merges the rest.
#include "node/branch_keeper.hpp"

#include <algorithm>

#include "base/sha256.hpp"
#include "codec/cbor.hpp"
#include "store/types.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint32_t step_ms = 10'000;
constexpr std::string_view suffix = ".siblings";

codec::Request merge_of(const Branch& branch, std::vector<std::uint8_t>& parents) {
    const codec::FrameView& view = branch.frame->view;
    codec::Request request;
    request.op = codec::Op::merge;
    request.level = codec::Level::quorum;
    request.collection = branch.collection;
    request.timeout_ms = step_ms;
    request.batch_id = view.head.batch_id;
    request.salt = view.head.salt;
    request.count = view.head.count;
    request.dimension = view.head.dimension;
    for (std::uint32_t row = 0; row < view.head.count; ++row) {
        request.ids.push_back(view.id(row));
        request.metadata.push_back(view.metadata(row));
        const ByteView parent = view.parent(row);
        parents.insert(parents.end(), parent.begin(), parent.end());
    }
    request.config = parents;
    request.set(codec::flag_has_ids);
    request.set(codec::flag_has_metadata);
    request.set(codec::flag_has_vectors, view.head.has_vectors);
    if (view.head.has_vectors) request.vectors = {view.vector(0), std::size_t{view.head.count} * view.head.dimension};
    return request;
}

/// What a reviewer must know of a row that lost: whose it was, when it was written, and what it said.
std::vector<std::uint8_t> sibling_metadata(const Branch& branch, std::uint32_t row) {
    const codec::FrameView& view = branch.frame->view;
    codec::Writer out;
    codec::cbor::write_map(out, 6);
    codec::cbor::write_text(out, "id");
    codec::cbor::write_text(out, view.id(row));
    codec::cbor::write_text(out, "version");
    codec::cbor::write_unsigned(out, view.version(row));
    codec::cbor::write_text(out, "reason");
    codec::cbor::write_text(out, "displaced");
    codec::cbor::write_text(out, "deletes");
    codec::cbor::write_boolean(out, !view.head.has_vectors);
    codec::cbor::write_text(out, "timestamp_ms");
    codec::cbor::write_unsigned(out, view.head.hlc >> 16);
    codec::cbor::write_text(out, "metadata");
    const ByteView metadata = view.metadata(row);
    if (metadata.empty()) {
        codec::cbor::write_map(out, 0);
    } else {
        out.raw(metadata);
    }
    return std::move(out.bytes());
}

Result<std::vector<std::uint32_t>> conflicts_of(const codec::Reply& reply, std::uint32_t count) {
    codec::Reader in(reply.bytes);
    std::vector<std::uint32_t> rows;
    while (in.ok() && !in.at_end()) rows.push_back(in.number<std::uint32_t>());
    const bool fits = in.ok() && std::all_of(rows.begin(), rows.end(), [count](std::uint32_t row) { return row < count; });
    if (!fits) return fail(ErrorCode::unavailable, "the node's answer is malformed");
    return rows;
}

Result<void> make_siblings(RemoteStore& store, const std::string& name, std::uint32_t dimension) {
    store::CollectionConfig config;
    config.dimension = dimension;
    config.metric = store::Metric::l2;  // any vector is allowed, zeros too
    config.index = store::IndexKind::flat;
    const auto encoded = store::encode_config(config);
    codec::Request create;
    create.op = codec::Op::create;
    create.collection = name;
    create.timeout_ms = step_ms;
    create.config = encoded;
    create.set(codec::flag_exist_ok);
    store.draw_key(create);
    const auto created = store.change(create);
    const bool is_there = created.ok() || created.error().code == ErrorCode::collection_exists;
    return is_there ? Result<void>() : Result<void>(created.error());
}

Result<void> store_siblings(RemoteStore& store, const Branch& branch, std::uint32_t dimension,
                            const std::vector<std::uint32_t>& rows) {
    const codec::FrameView& view = branch.frame->view;
    const std::string name = siblings_name(branch.collection);
    DVESP_TRY(make_siblings(store, name, dimension));
    std::vector<std::string> ids;
    std::vector<std::vector<std::uint8_t>> metadata;
    std::vector<float> vectors;
    for (const std::uint32_t row : rows) {
        ids.push_back(to_hex(view.head.batch_id) + "." + std::to_string(row));
        metadata.push_back(sibling_metadata(branch, row));
        const float* vector = view.head.has_vectors ? view.vector(row) : nullptr;
        if (vector == nullptr) vectors.insert(vectors.end(), dimension, 0.0F);
        if (vector != nullptr) vectors.insert(vectors.end(), vector, vector + dimension);
    }
    codec::Request write;
    write.op = codec::Op::write;
    write.level = codec::Level::quorum;
    write.collection = name;
    write.timeout_ms = step_ms;
    write.count = static_cast<std::uint32_t>(rows.size());
    write.dimension = dimension;
    write.ids.assign(ids.begin(), ids.end());
    write.metadata.assign(metadata.begin(), metadata.end());
    write.vectors = vectors;
    for (const auto flag : {codec::flag_has_ids, codec::flag_has_metadata, codec::flag_has_vectors, codec::flag_upsert}) {
        write.set(flag);
    }
    store.draw_key(write);
    const auto written = store.write(write);
    if (!written.ok()) return written.error();
    const bool is_stored = written->reply.status != codec::WriteStatus::failed;
    return is_stored ? Result<void>() : Result<void>(fail(ErrorCode::unavailable, "the siblings are not stored"));
}

}  // namespace

std::string siblings_name(const std::string& collection) {
    if (collection.size() + suffix.size() <= codec::name_bytes_max) return collection + std::string(suffix);
    return to_hex(sha256(bytes_of(collection))) + std::string(suffix);
}

Result<void> keep_branch(RemoteStore& store, const Branch& branch) {
    std::vector<std::uint8_t> parents;
    codec::Request request = merge_of(branch, parents);
    for (const bool is_question : {true, false}) {  // first the conflicts are stored, then the rest is merged
        request.set(codec::flag_exact, is_question);
        DVESP_ASSIGN(const RemoteAnswer answer, store.merge(request));
        if (answer.reply.status == codec::WriteStatus::failed) return fail(ErrorCode::unavailable, "the branch is not merged");
        DVESP_ASSIGN(const std::vector<std::uint32_t> conflicts, conflicts_of(answer.reply, branch.frame->view.head.count));
        if (!conflicts.empty()) DVESP_TRY(store_siblings(store, branch, answer.reply.dimension, conflicts));
    }
    return {};
}

}  // namespace dvesp::node
