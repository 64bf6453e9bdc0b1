/// tests/fuzz/ipfs_fuzz.cpp - libFuzzer target: no bytes of nodes and gateways of IPFS make the readers of CIDs, blocks, CARs,
/// IPNS records and answers read outside or run away, and what they accept is written again as it was read. Input bytes: u8
/// which reader | the bytes. CARs: u8 which | u8 size of the pieces | the bytes. Answers: u8 which | u8 status | body.
#include "archive/kubo.hpp"
#include "codec/car.hpp"
#include "codec/ipns.hpp"
#include "codec/unixfs.hpp"
#include "fuzz/fuzz_support.hpp"
#include "fuzz/http_answers.hpp"

using namespace dvesp;
using codec::Cid;
using fuzz::require;
using fuzz::touch;

namespace {

void try_text(std::string_view text) {
    const auto cid = codec::parse_cid(text);
    if (cid.ok()) {
        require(codec::parse_cid(to_text(*cid)).value() == *cid);
        for (const codec::Base base : {codec::Base::hex, codec::Base::base36, codec::Base::base58}) {
            if (cid->version == 1) require(codec::parse_cid(to_text(*cid, base)).value() == *cid);
        }
        const std::vector<std::uint8_t> bytes = codec::cid_bytes(*cid);
        codec::Reader reader(bytes);
        require(codec::read_cid(reader).value() == *cid && reader.at_end());
    }
    const auto name = codec::parse_ipns_name(text);
    if (name.ok()) touch(codec::ipns_key(*name));
    static_cast<void>(codec::parse_rfc3339_utc(text).ok());
}

void try_block(ByteView block) {
    const auto node = codec::parse_dag_pb(block);
    if (node.ok()) {
        const std::vector<std::uint8_t> again = codec::encode_dag_pb(*node);
        require(std::equal(again.begin(), again.end(), block.begin(), block.end()));
        if (node->data.has_value()) {
            const auto data = codec::parse_unixfs(*node->data);
            if (data.ok()) require(codec::parse_unixfs(codec::encode_unixfs(*data)).ok());
        }
    }
    const auto links = codec::parse_directory(block);
    if (links.ok()) {
        for (const codec::PbLink& link : *links) touch(*link.name);
    }
    const Cid cid = codec::cid_of(codec::codec_dag_pb, block);
    static_cast<void>(codec::file_bytes_of(cid, block).ok());
    // A walk whose further blocks are the same one: it ends at the first that is not wanted.
    std::uint64_t given = 0;
    codec::FileWalk walk(cid, 100'000, [&given](ByteView bytes) -> Result<void> {
        given += bytes.size();
        return {};
    });
    for (int steps = 0; !walk.done() && steps < 100; ++steps) {
        if (!walk.feed(block).ok()) break;
    }
    require(given == walk.bytes() && given <= 100'000);
}

void try_car(std::size_t step, ByteView bytes) {
    codec::CarReader reader([](const Cid& cid, ByteView block) -> Result<void> {
        require(cid.names(block));
        touch(block);
        return {};
    });
    bool ok = true;
    for (std::size_t at = 0; ok && at < bytes.size(); at += step) {
        ok = reader.feed(bytes.subspan(at, std::min(step, bytes.size() - at))).ok();
    }
    if (!ok || !reader.finish().ok() || reader.roots().empty()) return;
    const std::vector<std::uint8_t> header = codec::encode_car_header(reader.roots());
    codec::CarReader second([](const Cid&, ByteView) { return Result<void>(); });
    require(second.feed(header).ok() && second.roots() == reader.roots());
}

void try_record(ByteView bytes) {
    const auto record = codec::parse_ipns_record(bytes);
    if (!record.ok()) return;
    touch(record->value);
    touch(record->signed_bytes);
}

/// Answers everything alike.
class OneAnswer final : public fuzz::PretendedClient {
  public:
    OneAnswer(int status, ByteView body) : status_(status), body_(body) {}
    Result<ports::HttpAnswer> call(const ports::HttpCall&, const ports::ByteSink& sink) override {
        return deliver(status_, {}, body_, sink);
    }

  private:
    int status_;
    ByteView body_;
};

void try_answers(int status, ByteView body) {
    OneAnswer client(status, body);
    const archive::Kubo node(client, "http://node", "");
    const Cid cid = codec::cid_of(codec::codec_raw, {});
    static_cast<void>(node.is_pinned(cid).ok());
    static_cast<void>(node.pin(cid).ok());
    static_cast<void>(node.unpin(cid).ok());
    static_cast<void>(node.import_car({}, "b", &cid).ok());
    static_cast<void>(node.has_key("key").ok());
    static_cast<void>(node.publish("key", cid).ok());
    static_cast<void>(node.provide(cid).ok());
    const auto found = node.find("/a/b");
    if (found.ok() && found->has_value()) touch((*found)->name);
    const auto listed = node.list("/a");
    if (!listed.ok()) return;
    for (const archive::Kubo::Entry& entry : *listed) touch(entry.name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const int which = input.byte() % 5;
    const std::uint8_t second = which >= 3 ? input.byte() : std::uint8_t{0};
    const ByteView rest = input.rest();
    const fuzz::Bytes bytes(rest.begin(), rest.end());  // an allocation of its own, so that reading outside is seen
    if (which == 0) try_text(text_of(bytes));
    if (which == 1) try_block(bytes);
    if (which == 2) try_record(bytes);
    if (which == 3) try_car(std::size_t{1} + second, bytes);
    if (which == 4) try_answers(second % 2 == 0 ? 200 : 500, bytes);
    return 0;
}
