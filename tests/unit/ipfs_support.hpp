/// tests/unit/ipfs_support.hpp - nodes and gateways of IPFS behind a pretended HTTP client: they keep blocks, and fail as told.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "archive/ipfs.hpp"
#include "codec/car.hpp"
#include "codec/unixfs.hpp"

namespace dvesp::test {

using IpfsBytes = std::vector<std::uint8_t>;

/// A file made of a pattern, computed where it is read.
class PatternSource final : public ports::ByteSource {
  public:
    explicit PatternSource(std::uint64_t size, std::uint64_t period = 0) : size_(size), period_(period) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
    Result<void> read(std::uint64_t offset, MutableBytes into) override {
        for (std::size_t at = 0; at < into.size(); ++at) {
            const std::uint64_t index = period_ == 0 ? offset + at : (offset + at) % period_;
            into[at] = static_cast<std::uint8_t>(static_cast<std::uint32_t>(index * 2654435761U) >> 24);
        }
        return {};
    }
    [[nodiscard]] IpfsBytes all() {
        IpfsBytes out(static_cast<std::size_t>(size_));
        REQUIRE(read(0, out).ok());
        return out;
    }
    [[nodiscard]] archive::ObjectName name() { return {sha256(all()), size_, {}}; }

  private:
    std::uint64_t size_;
    std::uint64_t period_;
};

enum class Manners : std::uint8_t {
    honest,
    no_duplicates,  ///< its CARs have each block once
    raw_only,       ///< knows no CARs and gives nothing
    raw_or_400,     ///< knows no CARs and says so
    flips,          ///< a bit of its second block is wrong
    swaps,          ///< gives another block that fits its own CID
    breaks_off,     ///< the connection ends after 300,000 bytes
    ends_early,     ///< so does the CAR, as if it were whole
    garbage,        ///< bytes that are no CAR
    endless,        ///< a block that does not end
    busy,           ///< 429
    broken,         ///< 500
    stalls,
    lacks,  ///< 404
};

class FakeIpfs final : public ports::HttpClient {
  public:
    std::map<std::string, IpfsBytes> blocks;  ///< of everybody, by CID
    std::map<std::string, Manners> gateways;  ///< by host
    std::map<std::string, std::string> redirections;
    std::map<std::string, std::set<std::string>> pins;                ///< by node
    std::map<std::string, std::map<std::string, std::string>> files;  ///< by node, paths
    std::map<std::string, std::string> refusals;                      ///< node/command -> message of an error
    std::vector<std::string> requests;                                ///< method, URL without http://
    std::vector<ports::HttpCall> calls;                               ///< without bodies
    std::vector<std::size_t> body_bytes;
    std::uint64_t served_bytes = 0;

    Result<ports::HttpAnswer> call(const ports::HttpCall& request, const ports::ByteSink& sink) override {
        const std::string url = request.url.substr(7);
        requests.push_back(request.method + " " + url);
        calls.push_back(request);
        calls.back().body.clear();
        const std::string host = url.substr(0, url.find('/'));
        if (redirections.contains(host)) return answer(301, "", sink, {{"location", redirections.at(host)}});
        if (gateways.contains(host)) return gateway(host, url, sink);
        return node(host, url, request, sink);
    }
    void pause(std::uint64_t) override {}
    [[nodiscard]] std::uint64_t wall_ms() override { return 1'795'982'400'000; }
    void cancel() noexcept override {}

    [[nodiscard]] std::size_t asked(const std::string& part) const {
        std::size_t count = 0;
        for (const std::string& request : requests) count += request.find(part) != std::string::npos;
        return count;
    }
    codec::Cid add_block(std::uint64_t codec, IpfsBytes block) {
        codec::Cid cid = codec::cid_of(codec, block);
        blocks[to_text(cid)] = std::move(block);
        return cid;
    }
    codec::Cid add_directory(const std::vector<std::pair<std::string, codec::Cid>>& entries,
                             codec::UnixfsKind kind = codec::UnixfsKind::directory) {
        codec::PbNode node;
        for (const auto& [name, cid] : entries) node.links.push_back({cid, name, blocks.at(to_text(cid)).size()});
        codec::UnixfsData data;
        data.kind = kind;
        node.data = codec::encode_unixfs(data);
        return add_block(codec::codec_dag_pb, codec::encode_dag_pb(node));
    }
    /// A file's blocks. @return its root
    codec::Cid add_file(PatternSource content) {
        codec::FileTreeBuilder builder(
            [&](const codec::Cid& cid, IpfsBytes block) { blocks[to_text(cid)] = std::move(block); });
        const IpfsBytes all = content.all();
        std::size_t at = 0;
        do {
            const std::size_t count = std::min(codec::unixfs_chunk_bytes, all.size() - at);
            const auto first = all.begin() + static_cast<std::ptrdiff_t>(at);
            builder.add(add_block(codec::codec_raw, IpfsBytes(first, first + static_cast<std::ptrdiff_t>(count))), count);
            at += count;
        } while (at < all.size());
        return builder.finish().cid;
    }

  private:
    using Headers = std::vector<std::pair<std::string, std::string>>;

    Result<ports::HttpAnswer> answer(int status, std::string_view body, const ports::ByteSink& sink, Headers headers = {}) {
        ports::HttpAnswer out;
        out.status = status;
        out.headers = std::move(headers);
        const ByteView bytes = bytes_of(body);
        served_bytes += bytes.size();
        if (!sink || status >= 300) {
            out.body.assign(bytes.begin(), bytes.end());
            return out;
        }
        for (std::size_t at = 0; at < bytes.size(); at += 10'000) {
            DVESP_TRY(sink(bytes.subspan(at, std::min<std::size_t>(10'000, bytes.size() - at))));
        }
        return out;
    }
    Result<ports::HttpAnswer> cut(std::string_view body, const ports::ByteSink& sink) {
        DVESP_TRY(answer(200, body.substr(0, 300'000), sink));
        return fail(ErrorCode::unavailable, "the service cannot be reached, or broke off");
    }

    void walk(const codec::Cid& cid, bool duplicates, std::set<std::string>& seen, std::vector<codec::Cid>& order) {
        if (!seen.insert(to_text(cid)).second && !duplicates) return;
        order.push_back(cid);
        if (cid.codec != codec::codec_dag_pb) return;
        const codec::PbNode node = codec::parse_dag_pb(blocks.at(to_text(cid))).value();
        for (const codec::PbLink& link : node.links) walk(link.cid, duplicates, seen, order);
    }
    std::string car_of(const codec::Cid& root, Manners manners) {
        std::vector<codec::Cid> order;
        std::set<std::string> seen;
        walk(root, manners != Manners::no_duplicates, seen, order);
        if (manners == Manners::swaps) order.assign(1, add_block(codec::codec_raw, {1, 2, 3}));
        if (manners == Manners::ends_early) order.resize((order.size() + 1) / 2);
        std::string out(text_of(codec::encode_car_header(std::span(&root, 1))));
        for (std::size_t index = 0; index < order.size(); ++index) {
            IpfsBytes block = blocks.at(to_text(order[index]));
            if (manners == Manners::flips && index == 1) block[block.size() / 2] ^= 4;
            out += text_of(codec::encode_car_section(order[index], block.size()));
            out += text_of(block);
        }
        return out;
    }
    std::string raw_of(const codec::Cid& cid, Manners manners) {
        IpfsBytes block = blocks.at(to_text(cid));
        if (manners == Manners::flips && !block.empty()) block[block.size() / 2] ^= 4;
        if (manners == Manners::swaps) block = {1, 2, 3};
        if (manners == Manners::ends_early) block.resize(block.size() / 2);
        if (manners == Manners::garbage) block.assign(100, 0xff);
        if (manners == Manners::endless) block.assign(std::size_t{3} << 20, 0);
        return std::string(text_of(block));
    }

    Result<ports::HttpAnswer> gateway(const std::string& host, const std::string& url, const ports::ByteSink& sink) {
        const Manners manners = gateways.at(host);
        const std::size_t start = url.find("/ipfs/") + 6;
        const auto cid = codec::parse_cid(url.substr(start, url.find('?') - start));
        REQUIRE(cid.ok());
        if (manners == Manners::busy) return answer(429, "slow down", sink, {{"retry-after", "1"}});
        if (manners == Manners::broken) return answer(500, "oops", sink);
        if (manners == Manners::stalls) return fail(ErrorCode::timeout, "the service stands still");
        if (manners == Manners::lacks || !blocks.contains(to_text(*cid))) return answer(404, "block was not found", sink);
        const bool is_car = url.find("format=car") != std::string::npos;
        if (is_car && manners == Manners::raw_only) return answer(200, "", sink);
        if (is_car && manners == Manners::raw_or_400) return answer(400, "unsupported format", sink);
        if (is_car && manners == Manners::garbage) return answer(200, std::string(1000, '\xff'), sink);
        const std::string body = is_car ? car_of(*cid, manners) : raw_of(*cid, manners);
        return manners == Manners::breaks_off && body.size() > 300'000 ? cut(body, sink) : answer(200, body, sink);
    }

    static std::vector<std::string> arguments(const std::string& url) {
        std::vector<std::string> out;
        for (std::size_t at = url.find('?'); at != std::string::npos; at = url.find('&', at + 1)) {
            if (url.compare(at + 1, 4, "arg=") != 0) continue;
            std::string value = url.substr(at + 5, url.find('&', at + 1) - at - 5);
            for (std::size_t slash = value.find("%2F"); slash != std::string::npos; slash = value.find("%2F")) {
                value.replace(slash, 3, "/");
            }
            out.push_back(value);
        }
        return out;
    }
    Result<ports::HttpAnswer> error(const std::string& message, const ports::ByteSink& sink) {
        return answer(500, nlohmann::json({{"Message", message}, {"Code", 0}, {"Type", "error"}}).dump(), sink);
    }

    Result<ports::HttpAnswer> node(const std::string& host, const std::string& url, const ports::HttpCall& request,
                                   const ports::ByteSink& sink) {
        const std::size_t start = url.find("/api/v0/") + 8;
        const std::string command = url.substr(start, url.find('?') - start);
        const auto refusal = refusals.find(host + "/" + command);
        if (refusal != refusals.end()) return error(refusal->second, sink);
        const std::vector<std::string> given = arguments(url);
        const std::string first = given.empty() ? "" : given[0];
        if (command == "dag/import") return import(host, url, request, sink);
        if (command == "pin/ls") {
            return pins[host].contains(first) ? answer(200, R"({"Keys":{}})", sink)
                                              : error("path '" + first + "' is not pinned", sink);
        }
        if (command == "pin/add") {
            pins[host].insert(first);
            return answer(200, "{\"Progress\":1,\"Bytes\":2}\n{\"Pins\":[\"" + first + "\"]}\n", sink);
        }
        if (command == "pin/rm") {
            return pins[host].erase(first) != 0 ? answer(200, "{}", sink) : error("not pinned or pinned indirectly", sink);
        }
        if (command == "files/cp") files[host][given.at(1)] = first.substr(6);
        if (command == "files/rm") files[host].erase(first);
        if (command == "files/stat") {
            if (!files[host].contains(first)) return error("file does not exist", sink);
            return answer(200, nlohmann::json({{"Hash", files[host][first]}, {"Size", 1}, {"Type", "file"}}).dump(), sink);
        }
        if (command == "block/get") return answer(200, raw_of(codec::parse_cid(first).value(), Manners::honest), sink);
        if (command == "dag/export") return answer(200, car_of(codec::parse_cid(first).value(), Manners::no_duplicates), sink);
        return answer(200, "", sink);
    }

    /// Takes a multipart body apart as a server does.
    Result<ports::HttpAnswer> import(const std::string& host, const std::string& url, const ports::HttpCall& request,
                                     const ports::ByteSink& sink) {
        IpfsBytes body;
        for (const ports::HttpCall::Piece& piece : request.body) {
            const std::size_t at = body.size();
            body.insert(body.end(), piece.bytes.begin(), piece.bytes.end());
            if (piece.source == nullptr) continue;
            body.resize(at + piece.length);
            DVESP_TRY(piece.source->read(piece.offset, MutableBytes(body).subspan(at)));
        }
        body_bytes.push_back(body.size());
        std::string boundary;
        for (const auto& [name, value] : request.headers) {
            if (name == "Content-Type") boundary = "--" + value.substr(value.find("boundary=") + 9);
        }
        const std::string_view text = text_of(body);
        const std::string end = "\r\n" + boundary + "--\r\n";
        const std::size_t start = text.find("\r\n\r\n") + 4;
        REQUIRE(text.starts_with(boundary + "\r\n"));
        REQUIRE(text.ends_with(end));
        codec::CarReader car([&](const codec::Cid& cid, ByteView block) -> Result<void> {
            blocks[to_text(cid)] = IpfsBytes(block.begin(), block.end());
            return {};
        });
        REQUIRE(car.feed(ByteView(body).subspan(start, body.size() - start - end.size())).ok());
        REQUIRE(car.finish().ok());
        const std::string root = to_text(car.roots().at(0));
        if (url.find("pin-roots=true") == std::string::npos) return answer(200, "{\"Stats\":{\"BlockCount\":1}}\n", sink);
        REQUIRE(blocks.contains(root));
        pins[host].insert(root);
        return answer(200, "{\"Root\":{\"Cid\":{\"/\":\"" + root + "\"},\"PinErrorMsg\":\"\"}}\n{\"Stats\":{}}\n", sink);
    }
};

}  // namespace dvesp::test
