/// tests/unit/ipfs_target_test.cpp - the IPFS target against nodes and gateways that fail in every way they can.
#include "archive/ipfs_reader.hpp"
#include "unit/ipfs_support.hpp"

using namespace dvesp;
using namespace dvesp::test;

namespace {

constexpr std::uint64_t chunk = codec::unixfs_chunk_bytes;

std::unique_ptr<archive::Target> target_of(FakeIpfs& ipfs, archive::IpfsOptions options) {
    auto target = archive::make_ipfs_target(options, ipfs);
    REQUIRE_MESSAGE(target.ok(), (target.ok() ? "" : target.error().message));
    return std::move(*target);
}
archive::IpfsOptions one_node() {
    archive::IpfsOptions options;
    options.apis = {"http://node1"};
    options.name = "a1";
    return options;
}

struct Read {
    Result<void> result;
    IpfsBytes bytes;
};
Read get(archive::Target& target, const archive::ObjectName& name) {
    Read out;
    out.result = target.get(name, [&out](ByteView bytes) -> Result<void> {
        out.bytes.insert(out.bytes.end(), bytes.begin(), bytes.end());
        return {};
    });
    return out;
}

/// An archive below a root that only gateways serve, with one object.
struct Published {
    explicit Published(PatternSource content) : object(content.name()), bytes(content.all()) {
        file = ipfs.add_file(content);
        const std::string hex = to_hex(object.sha256);
        const auto folder = ipfs.add_directory({{hex.substr(0, 2), ipfs.add_directory({{hex, file}})}});
        root = to_text(ipfs.add_directory({{"documents", ipfs.add_directory({})}, {"objects", folder}}));
        object.locator = to_text(file);
    }
    std::unique_ptr<archive::Target> target(const std::vector<Manners>& manners) {
        archive::IpfsOptions options;
        options.root = root;
        for (std::size_t index = 0; index < manners.size(); ++index) {
            const std::string host = "gw" + std::to_string(index + 1);
            options.gateways.push_back("http://" + host + "/");
            ipfs.gateways[host] = manners[index];
        }
        return target_of(ipfs, options);
    }
    FakeIpfs ipfs;
    archive::ObjectName object;
    IpfsBytes bytes;
    codec::Cid file;
    std::string root;
};

}  // namespace

TEST_CASE("ipfs_put_asks_exactly_this") {
    FakeIpfs ipfs;
    auto target = target_of(ipfs, one_node());
    PatternSource content(600'000);
    const archive::ObjectName name = content.name();
    const std::string cid = to_text(FakeIpfs().add_file(content));
    const auto put = target->put(name, content);
    REQUIRE(put.ok());
    CHECK(*put == cid);
    const std::string hex = to_hex(name.sha256);
    const std::string folder = "%2Fdvesp%2Fa1%2Fobjects%2F" + hex.substr(0, 2);
    const std::vector<std::string> wanted = {
        "POST node1/api/v0/pin/ls?arg=" + cid + "&type=recursive",
        "POST node1/api/v0/dag/import?pin-roots=true&fast-provide-root=true&stats=true",
        "POST node1/api/v0/files/mkdir?arg=" + folder + "&parents=true&cid-version=1",
        "POST node1/api/v0/files/cp?arg=%2Fipfs%2F" + cid + "&arg=" + folder + "%2F" + hex + "&parents=true&force=true"};
    CHECK(ipfs.requests == wanted);
    CHECK(get(*target, name).bytes == content.all());
    CHECK(target->has(name).value());
}

TEST_CASE("ipfs_put_of_what_is_pinned_sends_nothing") {
    FakeIpfs ipfs;
    PatternSource content(2 * chunk);
    auto target = target_of(ipfs, one_node());
    const std::string first = target->put(content.name(), content).value();
    ipfs.requests.clear();
    CHECK(target->put(content.name(), content).value() == first);
    CHECK(ipfs.asked("dag/import") == 0);
    // The same object under another archive's name on another node has the same CID.
    archive::IpfsOptions other = one_node();
    other.apis = {"http://node2"};
    other.name = "b2";
    CHECK(target_of(ipfs, other)->put(content.name(), content).value() == first);
}

TEST_CASE("ipfs_put_of_other_content_than_its_name_sends_nothing") {
    FakeIpfs ipfs;
    PatternSource content(1000), other(1001);
    auto target = target_of(ipfs, one_node());
    CHECK(target->put(other.name(), content).error().code == ErrorCode::integrity);
    CHECK(ipfs.requests.empty());
}

TEST_CASE("ipfs_put_of_much_goes_in_several_cars") {
    FakeIpfs ipfs;
    PatternSource content(std::uint64_t{70} << 20);
    auto target = target_of(ipfs, one_node());
    const auto put = target->put(content.name(), content);
    REQUIRE(put.ok());
    REQUIRE(ipfs.body_bytes.size() == 2);
    CHECK(ipfs.body_bytes[0] < (std::size_t{64} << 20) + 4096);
    CHECK(ipfs.asked("pin-roots=false") == 1);
    CHECK(get(*target, content.name()).bytes == content.all());
}

TEST_CASE("ipfs_put_on_further_nodes_pins_there_or_sends_it_again") {
    FakeIpfs ipfs;
    archive::IpfsOptions options = one_node();
    options.apis = {"http://node1", "http://node2", "http://node3"};
    options.pin_services = {"my service"};
    ipfs.refusals["node3/pin/add"] = "context canceled";
    auto target = target_of(ipfs, options);
    PatternSource content(3 * chunk);
    const auto put = target->put(content.name(), content);
    REQUIRE(put.ok());
    CHECK(ipfs.asked("node1/api/v0/dag/import") == 1);
    CHECK(ipfs.asked("node2/api/v0/dag/import") == 0);
    CHECK(ipfs.asked("node3/api/v0/dag/import") == 1);
    CHECK(ipfs.asked("node1/api/v0/pin/remote/add?arg=" + *put + "&service=my%20service&name=") == 1);
    for (const char* const node : {"node1", "node2", "node3"}) CHECK(ipfs.pins[node].contains(*put));
    CHECK(ipfs.files["node3"] == ipfs.files["node1"]);
    REQUIRE(target->remove(content.name()).ok());
    for (const char* const node : {"node1", "node2", "node3"}) CHECK((ipfs.pins[node].empty() && ipfs.files[node].empty()));
    CHECK(!target->has(content.name()).value());
}

TEST_CASE("ipfs_node_that_refuses_is_named_with_what_it_said") {
    const std::vector<std::tuple<std::string, std::string, ErrorCode>> cases = {
        {"pin/ls", "datastore is closed", ErrorCode::unavailable},
        {"dag/import", "write: no space left on device", ErrorCode::storage_full},
        {"dag/import", "import failed: mismatch in content integrity", ErrorCode::unavailable},
        {"files/cp", "block was not found locally", ErrorCode::unavailable}};
    for (const auto& [command, message, code] : cases) {
        FakeIpfs ipfs;
        ipfs.refusals["node1/" + command] = message;
        PatternSource content(10);
        const auto put = target_of(ipfs, one_node())->put(content.name(), content);
        REQUIRE(!put.ok());
        CHECK(put.error().code == code);
        CHECK(put.error().message.find(message) != std::string::npos);
    }
}

TEST_CASE("ipfs_reading_goes_on_elsewhere_whatever_the_first_gateway_does") {
    Published published(PatternSource(5 * chunk + 77));
    for (const Manners bad : {Manners::flips, Manners::swaps, Manners::breaks_off, Manners::ends_early, Manners::garbage,
                              Manners::endless, Manners::busy, Manners::broken, Manners::stalls, Manners::lacks}) {
        CAPTURE(static_cast<int>(bad));
        published.ipfs.requests.clear();
        const Read read = get(*published.target({bad, Manners::honest}), published.object);
        REQUIRE_MESSAGE(read.result.ok(), (read.result.ok() ? "" : read.result.error().message));
        CHECK(read.bytes == published.bytes);
        CHECK(published.ipfs.asked("gw1") <= 8);
    }
}

TEST_CASE("ipfs_reading_from_nobody_honest_says_what_they_did") {
    Published published(PatternSource(5 * chunk + 77));
    const std::vector<std::pair<Manners, ErrorCode>> cases = {
        {Manners::flips, ErrorCode::integrity},    {Manners::swaps, ErrorCode::integrity},
        {Manners::garbage, ErrorCode::integrity},  {Manners::busy, ErrorCode::unavailable},
        {Manners::broken, ErrorCode::unavailable}, {Manners::stalls, ErrorCode::timeout},
        {Manners::lacks, ErrorCode::corruption}};
    for (const auto& [bad, code] : cases) {
        CAPTURE(static_cast<int>(bad));
        const Read read = get(*published.target({bad}), published.object);
        REQUIRE(!read.result.ok());
        CHECK(read.result.error().code == code);
        CHECK(read.result.error().message.find("gw1") != std::string::npos);
    }
    CHECK(get(*published.target({Manners::lacks, Manners::busy}), published.object).result.error().code ==
          ErrorCode::unavailable);
    CHECK(get(*published.target({Manners::lacks, Manners::flips}), published.object).result.error().code ==
          ErrorCode::integrity);
}

TEST_CASE("ipfs_reading_from_gateways_of_fewer_skills_is_complete") {
    // A period of half a chunk: every chunk is the same block, once and many times.
    for (const std::uint64_t period : {std::uint64_t{0}, chunk / 2}) {
        Published published(PatternSource(9 * chunk, period));
        for (const Manners manners : {Manners::honest, Manners::no_duplicates, Manners::raw_only, Manners::raw_or_400,
                                      Manners::breaks_off, Manners::ends_early}) {
            CAPTURE(static_cast<int>(manners));
            published.ipfs.requests.clear();
            const Read read = get(*published.target({manners}), published.object);
            if (manners == Manners::ends_early && !read.result.ok()) continue;  // its blocks are cut, too
            REQUIRE_MESSAGE(read.result.ok(), (read.result.ok() ? "" : read.result.error().message));
            CHECK(read.bytes == published.bytes);
            if (manners == Manners::honest) CHECK(published.ipfs.asked("format=car") == 1);
            if (manners == Manners::honest || manners == Manners::no_duplicates) CHECK(published.ipfs.asked("format=raw") == 0);
        }
    }
}

TEST_CASE("ipfs_reading_continues_where_it_was") {
    Published published(PatternSource(40 * chunk));
    auto target = published.target({Manners::breaks_off, Manners::honest});
    published.ipfs.served_bytes = 0;
    const Read read = get(*target, published.object);
    REQUIRE(read.result.ok());
    CHECK(read.bytes == published.bytes);
    CHECK(published.ipfs.served_bytes < published.bytes.size() + 3 * chunk);
}

TEST_CASE("ipfs_redirection_is_followed_to_subdomains_alone") {
    Published published(PatternSource(chunk / 2));
    auto target = published.target({Manners::honest});
    published.ipfs.gateways["x.ipfs.gw1"] = Manners::honest;
    published.ipfs.redirections["gw1"] = "http://x.ipfs.gw1/ipfs/" + to_text(published.file) + "?format=raw";
    CHECK(get(*target, published.object).result.ok());
    published.ipfs.gateways["evil"] = Manners::honest;
    published.ipfs.redirections["gw1"] = "http://evil/ipfs/" + to_text(published.file) + "?format=raw";
    CHECK(get(*target, published.object).result.error().code == ErrorCode::unavailable);
    CHECK(published.ipfs.asked("evil") == 0);
}

TEST_CASE("ipfs_root_that_is_no_archive_is_refused") {
    Published published(PatternSource(10));
    const auto refused = [&](const std::string& root) {
        published.root = root;
        return published.target({Manners::honest})->list_documents().error();
    };
    CHECK(refused(to_text(published.ipfs.add_directory({}))).code == ErrorCode::corruption);
    CHECK(refused(to_text(published.ipfs.add_directory({}))).message.starts_with("root: "));
    CHECK(refused(to_text(published.ipfs.add_directory({}, codec::UnixfsKind::shard))).message.find("sharded") !=
          std::string::npos);
    CHECK(refused(to_text(published.ipfs.add_file(PatternSource(2 * chunk)))).code == ErrorCode::corruption);
    CHECK(refused("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n").message.find("not there") != std::string::npos);
}

TEST_CASE("ipfs_root_lists_objects_with_their_sizes") {
    Published published(PatternSource(5 * chunk));
    auto target = published.target({Manners::honest});
    const auto listed = target->list();
    REQUIRE(listed.ok());
    REQUIRE(listed->size() == 1);
    CHECK((*listed)[0].sha256 == published.object.sha256);
    CHECK((*listed)[0].bytes == 5 * chunk);
    CHECK((*listed)[0].locator == published.object.locator);
    CHECK(target->has(published.object).value());
    archive::ObjectName by_hash = published.object;
    by_hash.locator.clear();
    CHECK(get(*target, by_hash).bytes == published.bytes);
    by_hash.sha256[5] ^= 1;
    CHECK(get(*target, by_hash).result.error().code == ErrorCode::corruption);
    archive::ObjectName wrong = published.object;
    wrong.sha256[5] ^= 1;
    CHECK(get(*target, wrong).result.error().code == ErrorCode::integrity);
    PatternSource content(10);
    CHECK(target->put(content.name(), content).error().message.find("only read") != std::string::npos);
}

TEST_CASE("ipfs_options_that_cannot_work_are_refused_by_name") {
    FakeIpfs ipfs;
    const auto refused = [&](const std::function<void(archive::IpfsOptions&)>& change) {
        archive::IpfsOptions options = one_node();
        change(options);
        const auto made = archive::make_ipfs_target(options, ipfs);
        REQUIRE(!made.ok());
        CHECK(made.error().code == ErrorCode::invalid_argument);
        return made.error().message;
    };
    CHECK(refused([](auto& options) { options.apis.clear(); }).starts_with("api: "));
    CHECK(refused([](auto& options) { options.apis = {"node1"}; }).starts_with("api: "));
    CHECK(refused([](auto& options) { options.gateways = {"ftp://u:secret@x"}; }) ==
          "gateways: ftp://x is no http:// or https:// address");
    CHECK(refused([](auto& options) { options.name = "../x"; }).starts_with("name: "));
    CHECK(refused([](auto& options) { options.root = "abc"; }).starts_with("root: "));
    CHECK(
        refused([](auto& options) { options.root = "QmRp2LvtSQtCkUWCpi92ph5MdQyRtfb9jHbkNgZzGExGuGx"; }).starts_with("root: "));
    CHECK(refused([](auto& options) {
              options.root = "bafkreie5qrjvaw64n4tjm6hbnm7fnqvcssfed4whsjqxzslbd3jwhsk3mm";
          }).starts_with("root: "));
    for (const std::string& name : std::vector<std::string>{"", "a/b", "..", "A", std::string(129, 'a')}) {
        CHECK(target_of(ipfs, one_node())->put_document(name, {}).error().code == ErrorCode::invalid_argument);
    }
}

TEST_CASE("ipfs_secrets_are_sent_to_nodes_and_shown_to_nobody") {
    FakeIpfs ipfs;
    archive::IpfsOptions options = one_node();
    options.apis = {"http://user:hidden@node1"};
    options.token = "Bearer hidden";
    options.gateways = {"http://gw1"};
    ipfs.gateways["gw1"] = Manners::honest;
    auto target = target_of(ipfs, options);
    CHECK(target->describe().find("hidden") == std::string::npos);
    CHECK(target->identity().find("hidden") == std::string::npos);
    CHECK(target->identity() == target_of(ipfs, one_node())->identity());
    PatternSource content(10);
    ipfs.refusals["user:hidden@node1/pin/ls"] = "no";
    CHECK(target->put(content.name(), content).error().message.find("hidden") == std::string::npos);
    archive::ObjectName name = content.name();
    name.locator = to_text(ipfs.add_file(content));
    ipfs.refusals["user:hidden@node1/block/get"] = "block was not found locally";
    REQUIRE(get(*target, name).result.ok());
    for (const ports::HttpCall& call : ipfs.calls) {
        CHECK(call.headers.empty() == false);
        const bool has_token = call.headers[0].first == "Authorization";
        CHECK(has_token == (call.url.find("node1") != std::string::npos));
    }
}
