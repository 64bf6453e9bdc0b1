/// bin/dvesp_node.cpp - the node binary: reads its options, builds the parts, hands them down, waits for a signal.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "api/routes.hpp"
#include "bin/node_reports.hpp"
#include "os/clock.hpp"
#include "os/files.hpp"
#include "os/node_runtime.hpp"
#include "os/random.hpp"
#include "os/server.hpp"

namespace {

using namespace dvesp;

constexpr const char* usage =
    "usage: dvesp-node --data DIR --listen HOST:PORT [--join HOST:PORT,...] [--node-id NAME]\n"
    "                  [--role storage|coordinator|edge] [--advertise HOST:PORT]\n"
    "                  [--tls-ca FILE --tls-cert FILE --tls-key FILE | --insecure] [--token-file FILE]\n";

constexpr std::size_t token_file_bytes_max = std::size_t{4} << 20;

struct Options {
    std::string data;
    std::string listen;
    std::string advertise;
    std::string token_file;
    os::TlsFiles tls;
    bool is_insecure = false;
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

/// @return false after a complaint
bool take_option(Options& options, const std::string& name, const char* value) {
    if (value == nullptr) return false;
    if (name == "--data") return options.data = value, true;
    if (name == "--listen") return options.listen = value, true;
    if (name == "--advertise") return options.advertise = value, true;
    if (name == "--join") return options.node.join = split(value), true;
    if (name == "--node-id") return options.node.name = value, true;
    if (name == "--token-file") return options.token_file = value, true;
    if (name == "--tls-ca") return options.tls.ca = value, true;
    if (name == "--tls-cert") return options.tls.certificate = value, true;
    if (name == "--tls-key") return options.tls.key = value, true;
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
    if (!options.data.empty() && !options.listen.empty()) return true;
    std::fprintf(stderr, "dvesp-node: --data and --listen are needed\n%s", usage);
    return false;
}

int complain(const Error& error) {
    std::fprintf(stderr, "dvesp-node: %s\n", error.message.c_str());
    return 1;
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
    DVESP_ASSIGN(const os::HostPort listen, os::parse_address(options.listen));
    if (options.is_insecure && os::is_loopback(listen.host)) return {};
    return fail(ErrorCode::invalid_argument,
                options.is_insecure
                    ? "--insecure is for loopback addresses alone; '" + listen.host + "' is none"
                    : "give --tls-ca, --tls-cert and --tls-key (`dvesp ca` makes them), or --insecure on loopback");
}

Result<void> run(Options& options, const sigset_t& signals) {
    DVESP_TRY(check_security(options));
    std::shared_ptr<os::TlsContext> server_tls, client_tls;
    if (options.tls.given()) {
        DVESP_ASSIGN(server_tls, os::TlsContext::make(options.tls, os::TlsContext::Side::server, false));
        DVESP_ASSIGN(client_tls, os::TlsContext::make(options.tls, os::TlsContext::Side::client, true));
    }
    DVESP_ASSIGN(auto tokens, read_tokens(options.token_file));
    DVESP_ASSIGN(os::Listener listener, os::listen_on(options.listen));
    options.node.address = options.advertise.empty() ? listener.address : options.advertise;
    std::string fatal;
    os::NodeRuntime runtime(client_tls, [&](const std::string& why) {
        fatal = why;
        kill(getpid(), SIGTERM);  // the same way out as from outside; a supervisor starts the node again
    });
    // REST asks as any client does, its own node first: one way of routing, retrying and levels for both.
    auto pool = std::make_unique<os::RpcPool>(client_tls);
    os::RpcPool& questions = *pool;
    node::RemoteStore store(std::move(pool), os::make_random(), {options.node.address});
    const auto random = os::make_random();
    const auto clock = os::make_clock();
    const api::Routes routes(store, *random, *clock, bin::reports_of(runtime), std::move(tokens));
    os::ServerHandlers handlers;
    handlers.ask = [&](auto bytes, std::size_t size) { return runtime.ask(std::move(bytes), size); };
    handlers.receive = [&](auto bytes, std::size_t size) { runtime.receive(std::move(bytes), size); };
    handlers.admits = [&](const os::HttpRequest& head, bool is_trusted) { return routes.admits(head, is_trusted); };
    handlers.http = [&](const os::HttpRequest& request, bool is_trusted) { return routes.answer(request, is_trusted); };
    DVESP_TRY(runtime.start(os::make_files(options.data), options.node));
    os::Server server(std::move(listener), server_tls, std::move(handlers));
    server.start();
    std::printf("ready %s\n", server.address().c_str());
    std::fflush(stdout);
    int signal = 0;
    sigwait(&signals, &signal);
    runtime.drain();
    questions.stop();
    server.stop();
    DVESP_TRY(runtime.stop());
    if (!fatal.empty())
        return fail(ErrorCode::io_failed, fatal + "; start the node again: it goes on from what is on its disk");
    return {};
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
    const auto done = run(options, signals);
    return done.ok() ? 0 : complain(done.error());
}
