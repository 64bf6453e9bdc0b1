/// bin/dvesp_node.cpp - the node binary: reads its options, builds the parts, hands them down, waits for a signal.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "api/routes.hpp"
#include "bin/branch_thread.hpp"
#include "bin/credentials_thread.hpp"
#include "bin/node_events.hpp"
#include "bin/node_reports.hpp"
#include "bin/node_snapshots.hpp"
#include "node/device_host.hpp"
#include "os/clock.hpp"
#include "os/event_log.hpp"
#include "os/files.hpp"
#include "os/node_runtime.hpp"
#include "os/random.hpp"
#include "os/server.hpp"
#include "os/set_aside.hpp"

namespace {

using namespace dvesp;

constexpr const char* usage =
    "usage: dvesp-node --data DIR --listen HOST:PORT [--join HOST:PORT,...] [--node-id NAME]\n"
    "                  [--role storage|coordinator|edge] [--advertise HOST:PORT]\n"
    "                  [--tls-ca FILE --tls-cert FILE --tls-key FILE [--tls-revocations FILE] | --insecure]\n"
    "                  [--device DIR] [--token-file FILE] [--snapshots DIR] [--scrub-seconds N] [--format N]\n"
    "                  [--log text|json] [--log-level debug|info|warning|error]\n";

constexpr std::size_t token_file_bytes_max = std::size_t{4} << 20;

struct Options {
    std::string data;
    std::string listen;
    std::string advertise;
    std::string token_file;
    std::string device;     ///< a directory; empty: it keeps no fragments for others
    std::string snapshots;  ///< where REST's snapshots go; empty = it makes none
    os::TlsFiles tls;
    std::string revocations;  ///< a file that others write
    bool is_insecure = false;
    std::uint32_t scrub_seconds = 86400;  ///< 0 = never
    os::EventLogOptions log;
    node::NodeOptions node;
};

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> out;
    std::size_t start = 0;
    while (start <= text.size()) {
        const std::size_t comma = std::min(text.find(',', start), text.size());
        if (comma > start) out.push_back(text.substr(start, comma - start));
        start = comma + 1;
    }
    return out;
}

bool take_number(const char* text, std::uint32_t& out) {
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), out);
    return error == std::errc() && *end == '\0';
}

template <class Value>
bool take_named(const std::optional<Value>& named, Value& out) {
    if (named) out = *named;
    return named.has_value();
}

/// @return false: the option is unknown or its value of no use
bool take_option(Options& options, const std::string& name, const char* value) {
    if (value == nullptr) return false;
    if (name == "--data") return options.data = value, true;
    if (name == "--listen") return options.listen = value, true;
    if (name == "--advertise") return options.advertise = value, true;
    if (name == "--join") return options.node.join = split(value), true;
    if (name == "--node-id") return options.node.name = value, true;
    if (name == "--device") return options.device = value, true;
    if (name == "--token-file") return options.token_file = value, true;
    if (name == "--snapshots") return options.snapshots = value, true;
    if (name == "--tls-ca") return options.tls.ca = value, true;
    if (name == "--tls-cert") return options.tls.certificate = value, true;
    if (name == "--tls-key") return options.tls.key = value, true;
    if (name == "--tls-revocations") return options.revocations = value, true;
    if (name == "--scrub-seconds") return take_number(value, options.scrub_seconds);
    if (name == "--log") return take_named(os::log_format_of(value), options.log.format);
    if (name == "--log-level") return take_named(os::log_level_of(value), options.log.least);
    if (name == "--format") return take_number(value, options.node.format);
    if (name != "--role") return false;
    const std::string role = value;
    if (role == "storage") return options.node.role = codec::NodeRole::storage, true;
    if (role == "coordinator") return options.node.role = codec::NodeRole::coordinator, true;
    if (role == "edge") return options.node.role = codec::NodeRole::edge, true;
    return false;
}

bool parse(int count, char** arguments, Options& options) {
    for (int at = 1; at < count; ++at) {
        const std::string name = arguments[at];
        if (name == "--insecure") {
            options.is_insecure = true;
            continue;
        }
        if (!take_option(options, name, at + 1 < count ? arguments[at + 1] : nullptr)) {
            std::fprintf(stderr, "dvesp-node: '%s' is unknown or lacks its value\n%s", name.c_str(), usage);
            return false;
        }
        ++at;
    }
    options.node.scrub_ns = std::uint64_t{options.scrub_seconds} * 1'000'000'000;
    options.node.compare_ns = options.node.scrub_ns;
    const bool is_spoken =
        options.node.format >= codec::cluster_format_oldest && options.node.format <= codec::cluster_format_newest;
    if (!is_spoken) {
        std::fprintf(stderr, "dvesp-node: --format: this version speaks %u to %u\n", codec::cluster_format_oldest,
                     codec::cluster_format_newest);
        return false;
    }
    if (!options.data.empty() && !options.listen.empty()) return true;
    std::fprintf(stderr, "dvesp-node: --data and --listen are needed\n%s", usage);
    return false;
}

/// The tokens of --token-file; nothing without one.
Result<std::optional<api::TokenList>> read_tokens(const std::string& path) {
    if (path.empty()) return std::optional<api::TokenList>();
    std::ifstream file(path, std::ios::binary);
    std::string text(token_file_bytes_max + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.is_open() || file.bad()) return fail(ErrorCode::invalid_argument, "--token-file: '" + path + "' cannot be read");
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > token_file_bytes_max)
        return fail(ErrorCode::invalid_argument, "--token-file: '" + path + "' is larger than 4 MiB");
    DVESP_ASSIGN(api::TokenList tokens, api::TokenList::parse(text));
    return std::optional(std::move(tokens));
}

Result<void> check_security(const Options& options) {
    if (options.tls.given()) {
        if (options.is_insecure) return fail(ErrorCode::invalid_argument, "--insecure and --tls-* exclude each other");
        return {};
    }
    if (!options.revocations.empty())
        return fail(ErrorCode::invalid_argument, "--tls-revocations needs --tls-ca, --tls-cert and --tls-key");
    DVESP_ASSIGN(const os::HostPort listen, os::parse_address(options.listen));
    if (options.is_insecure && os::is_loopback(listen.host)) return {};
    return fail(ErrorCode::invalid_argument,
                options.is_insecure
                    ? "--insecure is for loopback addresses alone; '" + listen.host + "' is none"
                    : "give --tls-ca, --tls-cert and --tls-key (`dvesp ca` makes them), or --insecure on loopback");
}

/// What a run leaves behind for the next one.
struct Ending {
    std::string fatal;     ///< why the node had to end; empty = it was told to
    bool is_lost = false;  ///< what is on its disk is of no use
};

/// @return why it could not start, where starting again without its data may help
Result<Ending> start(os::NodeRuntime& runtime, Options& options) {
    const std::vector<std::string> peers = os::known_peers(options.data);
    options.node.may_found = peers.empty();
    for (const std::string& peer : peers) {
        const auto& join = options.node.join;
        if (std::find(join.begin(), join.end(), peer) == join.end()) options.node.join.push_back(peer);
    }
    const auto started = runtime.start(os::make_files(options.data), options.node);
    if (started.ok()) return Ending();
    if (started.error().code != ErrorCode::corruption) return started.error();
    const bool has_others = peers.size() > 1;
    if (!has_others) {
        return fail(ErrorCode::corruption,
                    started.error().message +
                        "; no peers of this node are known: restore a snapshot, or move the directory away "
                        "and start again with --join, and the node fetches everything from its peers");
    }
    return Ending{started.error().message, true};
}

os::NodeHooks hooks_of(const Options& options, Ending& ending, os::EventLog& log, bin::NodeEvents& events) {
    os::NodeHooks hooks;
    hooks.on_tick = [&events](const node::ClusterNode& node) { events.watch(node); };
    hooks.on_answer = [&events](auto... what) { events.note_answer(what...); };
    hooks.on_fatal = [&ending](const std::string& why, bool is_lost) {
        ending = {why, is_lost};
        kill(getpid(), SIGTERM);  // the same way out as from outside
    };
    hooks.on_members = [&options, &log, writing = std::make_shared<std::mutex>()](const std::vector<std::string>& addresses) {
        const std::scoped_lock lock(*writing);
        const auto written = os::remember_peers(options.data, addresses);
        if (!written.ok()) log.fail("peers_not_written", written.error().message);
    };
    return hooks;
}

/// What the node shows, and whom it lets in; nothing of it with --insecure.
struct Credentials {
    std::shared_ptr<os::RevocationSet> revocations;
    std::shared_ptr<os::TlsContext> server, client;

    static Result<Credentials> read(const Options& options, os::EventLog& events) {
        Credentials out;
        if (!options.tls.given()) return out;
        const auto log = [&events](const std::string& line) { events.info("revocation", line); };
        if (!options.tls.ca.empty()) {  // else TlsContext says what is missing
            DVESP_ASSIGN(out.revocations, os::RevocationSet::open({options.tls.ca, options.data + "/revocations", log}));
        }
        DVESP_ASSIGN(out.server, os::TlsContext::make(options.tls, os::TlsContext::Side::server, false, out.revocations));
        DVESP_ASSIGN(out.client, os::TlsContext::make(options.tls, os::TlsContext::Side::client, true, out.revocations));
        return out;
    }
    [[nodiscard]] std::vector<std::shared_ptr<os::TlsContext>> contexts() const {
        return server ? std::vector{server, client} : std::vector<std::shared_ptr<os::TlsContext>>();
    }
};

Result<Ending> run(Options& options, const sigset_t& signals, bool& is_announced, os::EventLog& log) {
    DVESP_ASSIGN(const Credentials credentials, Credentials::read(options, log));
    DVESP_ASSIGN(auto tokens, read_tokens(options.token_file));
    DVESP_ASSIGN(os::Listener listener, os::listen_on(options.listen));
    options.listen = listener.address;  // a port that was chosen stays
    options.node.address = options.advertise.empty() ? listener.address : options.advertise;
    log.set_node(options.node.name.empty() ? options.node.address : options.node.name);
    Ending ending;
    bin::NodeEvents events(log);
    os::NodeRuntime runtime(credentials.client, hooks_of(options, ending, log, events));
    // REST asks as any client does, its own node first: one way of routing, retrying and levels for both.
    auto pool = std::make_unique<os::RpcPool>(credentials.client);
    os::RpcPool& questions = *pool;
    node::RemoteStore store(std::move(pool), os::make_random(), {options.node.address});
    const auto random = os::make_random();
    const auto clock = os::make_clock();
    bin::NodeSnapshots snapshots(options.snapshots, store);
    api::NodeReports reports = bin::reports_of(runtime, credentials.revocations);
    reports.snapshots = [&] { return snapshots.names(); };
    reports.snapshot = [&](const std::string& name) { return snapshots.make(name); };
    const api::Routes routes(store, *random, *clock, std::move(reports), std::move(tokens));
    std::unique_ptr<node::DeviceHost> device;
    if (!options.device.empty()) {
        const auto files_at = [](const std::string& path) { return os::make_files(path); };
        DVESP_ASSIGN(device, node::DeviceHost::open(files_at, options.device, *random, *clock));
    }
    os::ServerHandlers handlers;
    if (device) handlers.ask_device = [&device](ByteView request) { return device->answer(request); };
    handlers.ask = [&](auto bytes, std::size_t size, bool& is_malformed) {
        return runtime.ask(std::move(bytes), size, is_malformed);
    };
    handlers.refused = [&](os::Refusal refusal, const std::string& message, const std::string& trace) {
        events.note_refusal(refusal, message, trace);
    };
    handlers.receive = [&](auto bytes, std::size_t size) { runtime.receive(std::move(bytes), size); };
    handlers.busy = [&] { return runtime.busy(); };
    handlers.admits = [&](const os::HttpRequest& head, bool is_trusted) { return routes.admits(head, is_trusted); };
    handlers.http = [&](const os::HttpRequest& request, bool is_trusted) { return routes.answer(request, is_trusted); };
    DVESP_ASSIGN(const Ending refused, start(runtime, options));
    if (refused.is_lost) return refused;
    bin::CredentialsThread watching(runtime, credentials.contexts(), credentials.revocations, options.revocations, log);
    os::Server server(std::move(listener), credentials.server, std::move(handlers));
    server.start();
    bin::BranchThread branches(runtime, store, log);
    log.info("started", "listening on " + server.address());
    if (!std::exchange(is_announced, true)) std::printf("ready %s\n", server.address().c_str());
    std::fflush(stdout);
    int signal = 0;
    sigwait(&signals, &signal);
    log.info("stopping", ending.fatal.empty() ? "leadership is handed over, what waits is answered" : ending.fatal);
    runtime.drain();
    snapshots.stop();
    questions.stop();
    branches.stop();
    watching.stop();
    server.stop();
    if (device) DVESP_TRY(device->close());
    DVESP_TRY(runtime.stop());
    log.info("stopped", "everything acknowledged is on the disk");
    return ending;
}

/// Runs the node; one that lost its data to a damaged disk comes back without it, and its peers give it everything again.
Result<void> serve(Options& options, const sigset_t& signals, os::EventLog& log) {
    DVESP_TRY(check_security(options));
    bool is_announced = false;
    while (true) {
        DVESP_ASSIGN(const Ending ending, run(options, signals, is_announced, log));
        if (ending.fatal.empty()) return {};
        if (!ending.is_lost)
            return fail(ErrorCode::io_failed, ending.fatal + "; start the node again: it goes on from what is on its disk");
        DVESP_ASSIGN(const std::string aside, os::set_aside(options.data));
        log.fail("data_set_aside", ending.fatal + "; its data is kept in " + options.data + "/" + aside +
                                       ", the node fetches everything from its peers");
    }
}

}  // namespace

int main(int count, char** arguments) {
    Options options;
    if (!parse(count, arguments, options)) return 2;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the first thread: all inherit it
    signal(SIGPIPE, SIG_IGN);
    options.log.node_id = options.node.name;
    os::EventLog log(options.log);
    const auto done = serve(options, signals, log);
    if (!done.ok()) log.fail("failed", done.error().message);
    return done.ok() ? 0 : 1;
}
