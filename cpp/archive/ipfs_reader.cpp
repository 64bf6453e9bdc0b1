/// archive/ipfs_reader.cpp - requests for blocks, and going on with the next place where one fails.
#include "archive/ipfs_reader.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "codec/car.hpp"
#include "codec/ipns.hpp"
#include "codec/note.hpp"
#include "crypto/ed25519.hpp"

namespace dvesp::archive {
namespace {

constexpr int redirections_max = 2;
constexpr std::uint64_t reading_stall_ms = 20'000;
constexpr std::uint64_t second_round_ms = 1'000;

/// The same content: versions 0 and 1 of a CID name the same block.
bool same_block(const codec::Cid& left, const codec::Cid& right) noexcept {
    return left.hash_code == right.hash_code && left.digest == right.digest;
}

/// "https://x.org/a" -> "x.org".
std::string_view host_of(std::string_view url) noexcept {
    const std::size_t start = url.find("://");
    if (start == std::string_view::npos) return {};
    url = url.substr(start + 3);
    url = url.substr(0, url.find_first_of("/?#"));
    return url.substr(url.rfind('@') == std::string_view::npos ? 0 : url.rfind('@') + 1);
}

/// Gateways that give each content a host of its own send a client to <CID>.ipfs.<host>, and nowhere else.
bool is_subdomain(std::string_view target, std::string_view url) noexcept {
    const std::string_view inner = host_of(target), outer = host_of(url);
    const bool same_scheme = target.substr(0, target.find(':')) == url.substr(0, url.find(':'));
    return same_scheme && inner.size() > outer.size() + 1 && inner.ends_with(outer) &&
           inner[inner.size() - outer.size() - 1] == '.';
}

std::string header(const ports::HttpAnswer& answer, std::string_view name) {
    for (const auto& [key, value] : answer.headers) {
        if (key == name) return value;
    }
    return {};
}

/// How much an error says about the whole: which one is told when every place has failed. A place that may have it counts most.
int weight(ErrorCode code) noexcept {
    switch (code) {
        case ErrorCode::closed:
            return 6;
        case ErrorCode::unavailable:
        case ErrorCode::timeout:
            return 5;
        case ErrorCode::integrity:
            return 4;
        case ErrorCode::permission_denied:
            return 3;
        case ErrorCode::invalid_argument:
            return 2;
        default:
            return 1;
    }
}

/// Collects why places failed, for one message.
class Failures {
  public:
    void add(const Error& error) {
        if (text_.find(error.message) == std::string::npos) text_ += (text_.empty() ? "" : "; ") + error.message;
        if (!any_ || weight(error.code) > weight(code_)) code_ = error.code;
        any_ = true;
    }
    [[nodiscard]] Error error(const std::string& what) const {
        if (!any_)
            return fail(ErrorCode::invalid_argument, "IPFS: give `api` or `gateways`, there is nobody to ask for " + what);
        return fail(code_, "IPFS: no " + what + ": " + text_);
    }

  private:
    bool any_ = false;
    ErrorCode code_ = ErrorCode::corruption;
    std::string text_;
};

}  // namespace

/// One file while it is read: how far it is, and what the places are worth.
class IpfsReader::FileRead {
  public:
    FileRead(const IpfsReader& reader, const codec::Cid& root, std::uint64_t bytes_max, const ports::ByteSink& sink)
        : reader_(reader), lies_(reader.places_.size()), walk_(root, bytes_max, [this, &sink](ByteView bytes) {
              Result<void> taken = sink(bytes);
              if (!taken.ok()) fatal_ = taken.error();
              return taken;
          }) {}

    Result<std::uint64_t> run() {
        Failures failures;
        for (std::size_t failed_in_turn = 0; !walk_.done();) {
            const std::uint64_t before = blocks_;
            const Result<void> pulled = lies_.empty() ? Result<void>(failures.error(wanted_text())) : pull();
            if (fatal_.has_value()) return *fatal_;
            if (lies_.empty() || (!pulled.ok() && pulled.error().code == ErrorCode::closed)) return pulled.error();
            if (blocks_ > before) {
                failed_in_turn = 0;
                failures = Failures();
            }
            if (pulled.ok()) continue;
            failures.add(pulled.error());
            if (pulled.error().code == ErrorCode::integrity) lies_[place_] = pulled.error().message;
            place_ = (place_ + 1) % lies_.size();
            // What was begun is worth another round, after a moment.
            const std::size_t attempts = lies_.size() * (blocks_ > 0 ? 2 : 1);
            if (++failed_in_turn >= attempts) return failures.error(wanted_text());
            if (failed_in_turn == lies_.size()) reader_.client_.pause(second_round_ms);
        }
        return walk_.bytes();
    }

  private:
    [[nodiscard]] std::string wanted_text() const { return "block " + to_text(walk_.expected()); }
    [[nodiscard]] Error refused(ErrorCode code, const std::string& why) const {
        return fail(code, reader_.places_[place_].text + ": " + why);
    }

    /// Asks for the next block, and for all below it where it is a node. Success without a new block: ask again.
    Result<void> pull() {
        if (!lies_[place_].empty()) return fail(ErrorCode::integrity, lies_[place_]);
        const codec::Cid wanted = walk_.expected();
        if (wanted.codec != codec::codec_dag_pb || std::exchange(only_block_, false)) return pull_block(wanted);
        return pull_blocks(wanted);
    }

    Result<void> pull_blocks(const codec::Cid& wanted) {
        const std::uint64_t before = blocks_;
        bool disordered = false;
        codec::CarReader car([&](const codec::Cid& cid, ByteView block) -> Result<void> {
            disordered = !take(cid, block);
            return disordered ? Result<void>(fail(ErrorCode::unavailable, "blocks out of order")) : Result<void>();
        });
        const auto sink = [&](ByteView bytes) -> Result<void> {
            Result<void> fed = car.feed(bytes);
            return fed.ok() || disordered ? fed : Result<void>(refused(ErrorCode::integrity, fed.error().message));
        };
        const Result<ports::HttpAnswer> answer = reader_.ask(place_, Form::car, wanted, sink);
        const bool knows_no_cars = !answer.ok() && answer.error().code == ErrorCode::invalid_argument;
        if (!answer.ok() && !disordered && !knows_no_cars) return answer.error();
        take_repeated();
        only_block_ = blocks_ == before;  // no CAR, or one of other blocks than were asked for
        if (!only_block_ && answer.ok() && !car.finish().ok()) return refused(ErrorCode::unavailable, "it broke off");
        return {};
    }

    Result<void> pull_block(const codec::Cid& wanted) {
        DVESP_ASSIGN(const std::vector<std::uint8_t> block, reader_.checked_block(place_, wanted));
        take_expected(block);
        return {};
    }

    /// A block of a CAR, which was compared with its CID. False: it does not belong here.
    bool take(const codec::Cid& cid, ByteView block) {
        if (walk_.done() || !same_block(walk_.expected(), cid)) {
            if (same_block(last_, cid)) return true;
            take_repeated();
        }
        if (walk_.done() || fatal_.has_value() || !same_block(walk_.expected(), cid)) return false;
        take_expected(block);
        return true;
    }

    void take_expected(ByteView block) {
        last_ = walk_.expected();
        last_block_.assign(block.begin(), block.end());
        feed(block);
    }

    /// Feeds the last block again while it is wanted again: CARs without duplicates have it once.
    void take_repeated() {
        while (!walk_.done() && same_block(walk_.expected(), last_) && !fatal_.has_value()) feed(last_block_);
    }

    void feed(ByteView block) {
        ++blocks_;
        const Result<void> fed = walk_.feed_checked(block);
        if (!fed.ok() && !fatal_.has_value()) fatal_ = fed.error();  // the hash is right, so the file itself is bad
    }

    const IpfsReader& reader_;
    std::vector<std::string> lies_;  ///< of each place that lied, how
    std::size_t place_ = 0;
    std::optional<Error> fatal_;  ///< of the sink or of the file: no other place can help
    codec::FileWalk walk_;
    codec::Cid last_;
    std::vector<std::uint8_t> last_block_;
    std::uint64_t blocks_ = 0;
    bool only_block_ = false;
};

IpfsReader::IpfsReader(ports::HttpClient& client, std::vector<Kubo> nodes, const std::vector<std::string>& gateways)
    : client_(client), nodes_(std::move(nodes)) {
    for (const Kubo& node : nodes_) places_.push_back({true, node.url(), "the IPFS node " + node.place()});
    for (std::string url : gateways) {
        while (url.ends_with('/')) url.pop_back();
        places_.push_back({false, url, "the gateway " + without_credentials(url)});
    }
}

ports::HttpCall IpfsReader::request(std::size_t place, Form form, const codec::Cid& cid) const {
    ports::HttpCall call;
    if (places_[place].is_node) {
        const Kubo& node = nodes_[place];
        if (form == Form::car) call = node.request("dag/export", {{"arg", to_text(cid)}, {"progress", "false"}});
        if (form == Form::raw) call = node.request("block/get", {{"arg", to_text(cid)}});
        if (form == Form::ipns_record)
            call = node.request("routing/get", {{"arg", "/ipns/" + to_text(cid, codec::Base::base36)}});
    } else {
        call.url = places_[place].url;
        if (form == Form::car) {
            call.url += "/ipfs/" + to_text(cid) + "?format=car&dag-scope=all&car-order=dfs&car-dups=y";
            call.headers.emplace_back("Accept", "application/vnd.ipld.car;version=1;order=dfs;dups=y");
        } else if (form == Form::raw) {
            call.url += "/ipfs/" + to_text(cid) + "?format=raw";
            call.headers.emplace_back("Accept", "application/vnd.ipld.raw");
        } else {
            call.url += "/ipns/" + to_text(cid, codec::Base::base36) + "?format=ipns-record";
            call.headers.emplace_back("Accept", "application/vnd.ipfs.ipns-record");
        }
    }
    call.stall_ms = reading_stall_ms;
    return call;
}

Result<ports::HttpAnswer> IpfsReader::ask(std::size_t place, Form form, const codec::Cid& cid,
                                          const ports::ByteSink& sink) const {
    ports::HttpCall call = request(place, form, cid);
    const std::string& text = places_[place].text;
    for (int redirections = 0;; ++redirections) {
        Result<ports::HttpAnswer> answer = client_.call(call, sink);
        if (!answer.ok()) {
            // The sink's own errors name the place already.
            const bool named = answer.error().message.starts_with(text);
            return fail(answer.error().code, named ? answer.error().message : text + ": " + answer.error().message);
        }
        const int status = answer->status;
        if (status >= 200 && status < 300) return answer;
        const std::string target = header(*answer, "location");
        if (status >= 300 && status < 400 && redirections < redirections_max && is_subdomain(target, places_[place].url)) {
            call.url = target;
            continue;
        }
        const std::string what = text + " answers " + std::to_string(status);
        const std::string_view body = text_of(answer->body);
        const bool lacks =
            body.find("not found") != std::string_view::npos || body.find("could not find") != std::string_view::npos;
        if (status == 404 || status == 410 || (status == 500 && lacks))
            return fail(ErrorCode::corruption, what + ": it is not there");
        if (status == 401 || status == 403) return fail(ErrorCode::permission_denied, what);
        if (status == 400 || status == 406 || status == 415 || status == 501) {
            return fail(ErrorCode::invalid_argument, what + ": it is no trustless gateway");
        }
        return fail(ErrorCode::unavailable, what);
    }
}

Result<std::vector<std::uint8_t>> IpfsReader::checked_block(std::size_t place, const codec::Cid& cid) const {
    std::vector<std::uint8_t> block;
    const std::string& text = places_[place].text;
    const auto sink = [&](ByteView bytes) -> Result<void> {
        if (bytes.size() > codec::ipfs_block_bytes_max - block.size()) {
            return fail(ErrorCode::integrity, text + " gave a block of more than 2 MiB for " + to_text(cid));
        }
        block.insert(block.end(), bytes.begin(), bytes.end());
        return {};
    };
    DVESP_TRY(ask(place, Form::raw, cid, sink));
    if (!cid.names(block)) return fail(ErrorCode::integrity, text + " gave another block than " + to_text(cid));
    return block;
}

Result<std::uint64_t> IpfsReader::read_file(const codec::Cid& root, std::uint64_t bytes_max,
                                            const ports::ByteSink& sink) const {
    return FileRead(*this, root, bytes_max, sink).run();
}

Result<std::vector<std::uint8_t>> IpfsReader::read_block(const codec::Cid& cid) const {
    Failures failures;
    for (std::size_t place = 0; place < places_.size(); ++place) {
        auto block = checked_block(place, cid);
        if (block.ok()) return block;
        failures.add(block.error());
    }
    return failures.error("block " + to_text(cid));
}

Result<std::uint64_t> IpfsReader::read_record(std::size_t place, const codec::Cid& name, codec::Cid& value) const {
    DVESP_ASSIGN(const auto bytes, record_bytes(place, name));
    const std::string& text = places_[place].text;
    const auto record = codec::parse_ipns_record(bytes);
    if (!record.ok()) return fail(ErrorCode::integrity, text + ": " + record.error().message);
    if (!crypto::ed25519_verify(codec::ipns_key(name), record->signed_bytes, record->signature)) {
        return fail(ErrorCode::integrity, text + " gave an IPNS record that the name's key did not sign");
    }
    if (record->valid_until_ms < client_.wall_ms()) {
        return fail(ErrorCode::corruption,
                    text + ": the IPNS record has expired; publish it again from a node that has the key");
    }
    constexpr std::string_view prefix = "/ipfs/";
    if (!record->value.starts_with(prefix)) return fail(ErrorCode::corruption, "the IPNS name points to no /ipfs/<CID>");
    const auto cid = codec::parse_cid(std::string_view(record->value).substr(prefix.size()));
    if (!cid.ok()) return fail(ErrorCode::corruption, "the IPNS name points to no /ipfs/<CID>: " + cid.error().message);
    value = *cid;
    return record->sequence;
}

Result<std::vector<std::uint8_t>> IpfsReader::record_bytes(std::size_t place, const codec::Cid& name) const {
    DVESP_ASSIGN(ports::HttpAnswer answer, ask(place, Form::ipns_record, name, {}));
    if (!places_[place].is_node) return std::move(answer.body);
    const auto json = nlohmann::json::parse(text_of(answer.body), nullptr, false);
    const bool has_text = json.is_object() && json.contains("Extra") && json["Extra"].is_string();
    auto bytes = codec::from_base64(has_text ? json["Extra"].get<std::string>() : std::string("?"));
    if (!bytes.has_value()) return fail(ErrorCode::unavailable, places_[place].text + " gave no IPNS record");
    return std::move(*bytes);
}

Result<codec::Cid> IpfsReader::resolve(const codec::Cid& name) const {
    Failures failures;
    std::optional<std::uint64_t> newest;
    codec::Cid found;
    for (std::size_t place = 0; place < places_.size(); ++place) {
        codec::Cid value;
        const auto sequence = read_record(place, name, value);
        if (!sequence.ok()) {
            failures.add(sequence.error());
        } else if (!newest.has_value() || *sequence > *newest) {
            newest = *sequence;
            found = std::move(value);
        }
    }
    if (!newest.has_value()) return failures.error("IPNS name " + to_text(name, codec::Base::base36));
    return found;
}

}  // namespace dvesp::archive
