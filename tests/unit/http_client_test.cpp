/// tests/unit/http_client_test.cpp - the HTTP client against a server that says what the test wants.
#include "os/http_client.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "os/descriptor.hpp"

using namespace dvesp;

namespace {

/// Answers each connection with `answer`, keeps what was sent, and then closes, or holds the connection until it goes.
class Server {
  public:
    explicit Server(std::string answer, bool holds = false) : answer_(std::move(answer)), holds_(holds) {
        listener_ = os::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(listener_.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
        REQUIRE(::listen(listener_.number(), 8) == 0);
        socklen_t length = sizeof(address);
        REQUIRE(::getsockname(listener_.number(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
        url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
        thread_ = std::thread([this] { serve(); });
    }
    ~Server() {
        over_ = true;
        ::shutdown(listener_.number(), SHUT_RDWR);
        thread_.join();
    }

    std::string url;
    std::string received;  ///< read it when the server is gone, or after the answer has come

  private:
    void serve() {
        const os::Descriptor connection(::accept(listener_.number(), nullptr, nullptr));
        if (connection.number() < 0) return;
        std::string text;
        std::array<char, 65536> buffer{};
        while (!is_whole(text)) {
            const ssize_t count = ::recv(connection.number(), buffer.data(), buffer.size(), 0);
            if (count <= 0) return;
            text.append(buffer.data(), static_cast<std::size_t>(count));
        }
        received = text;
        if (::send(connection.number(), answer_.data(), answer_.size(), MSG_NOSIGNAL) < 0) return;
        while (holds_ && !over_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    static bool is_whole(const std::string& text) {
        const std::size_t end = text.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const std::size_t at = text.find("Content-Length: ");
        const std::size_t body = at < end ? std::stoul(text.substr(at + 16)) : 0;
        return text.size() >= end + 4 + body;
    }

    std::string answer_;
    bool holds_;
    os::Descriptor listener_;
    std::atomic<bool> over_{false};
    std::thread thread_;
};

class Counting final : public ports::ByteSource {
  public:
    [[nodiscard]] std::uint64_t size() const noexcept override { return 300'000; }
    Result<void> read(std::uint64_t offset, MutableBytes into) override {
        for (std::size_t at = 0; at < into.size(); ++at) into[at] = static_cast<std::uint8_t>('a' + (offset + at) % 26);
        return {};
    }
};

ports::HttpCall request_to(const std::string& url, const char* method = "GET") {
    ports::HttpCall request;
    request.method = method;
    request.url = url;
    request.stall_ms = 300;
    return request;
}

std::vector<std::uint8_t> bytes(std::string_view text) {
    const ByteView view = bytes_of(text);
    return {view.begin(), view.end()};
}

}  // namespace

TEST_CASE("http_client_sends_pieces_and_takes_the_answer") {
    const auto client = os::make_http_client();
    Counting source;
    for (const char* method : {"POST", "PUT"}) {
        Server server("HTTP/1.1 201 Created\r\nX-Some: thing \r\nContent-Length: 5\r\n\r\nhello");
        ports::HttpCall request = request_to(server.url + "/a/b?c=d", method);
        request.headers = {{"X-Mine", "1"}};
        request.body.push_back({bytes("head"), nullptr, 0, 0});
        request.body.push_back({{}, &source, 26, 200'000});
        request.body.push_back({bytes("tail"), nullptr, 0, 0});
        const auto answer = client->call(request);
        REQUIRE(answer.ok());
        CHECK(answer->status == 201);
        CHECK(answer->body == bytes("hello"));
        CHECK(answer->headers.front() == std::pair<std::string, std::string>("x-some", "thing"));
        const std::string& received = server.received;
        CHECK(received.starts_with(std::string(method) + " /a/b?c=d HTTP/1.1\r\n"));
        CHECK(received.find("X-Mine: 1\r\n") != std::string::npos);
        const std::string body = received.substr(received.find("\r\n\r\n") + 4);
        REQUIRE(body.size() == 200'008);
        CHECK(body.substr(0, 8) == "headabcd");
        CHECK(body.ends_with("tail"));
    }
}

TEST_CASE("http_client_gives_good_bodies_to_the_sink_and_others_to_the_answer") {
    const auto client = os::make_http_client();
    std::string taken;
    const ports::ByteSink sink = [&](ByteView part) -> Result<void> {
        taken += text_of(part);
        return {};
    };
    Server good("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    const auto first = client->call(request_to(good.url), sink);
    REQUIRE(first.ok());
    CHECK(taken == "hello");
    CHECK(first->body.empty());
    Server bad("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwhat");
    const auto second = client->call(request_to(bad.url), sink);
    REQUIRE(second.ok());
    CHECK(second->status == 503);
    CHECK(second->body == bytes("what"));
    CHECK(taken == "hello");
    Server refused("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    const auto third = client->call(request_to(refused.url),
                                    [](ByteView) -> Result<void> { return fail(ErrorCode::storage_full, "no room"); });
    CHECK(third.error().code == ErrorCode::storage_full);
}

TEST_CASE("http_client_says_what_went_wrong") {
    const auto client = os::make_http_client();
    Server half("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    CHECK(client->call(request_to(half.url)).error().code == ErrorCode::unavailable);
    Server stalls("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", true);
    CHECK(client->call(request_to(stalls.url)).error().code == ErrorCode::timeout);
    Server large("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    ports::HttpCall small = request_to(large.url);
    small.answer_bytes_max = 4;
    CHECK(client->call(small).error().code == ErrorCode::corruption);
    CHECK(client->call(request_to("ftp://127.0.0.1/x")).error().code == ErrorCode::invalid_argument);
    CHECK(client->call(request_to("http://127.0.0.1:1/")).error().code == ErrorCode::unavailable);
    Server redirects("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    CHECK(client->call(request_to(redirects.url))->status == 302);
}

TEST_CASE("http_client_ends_when_it_is_cancelled") {
    const auto client = os::make_http_client();
    Server stalls("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", true);
    ports::HttpCall request = request_to(stalls.url);
    request.stall_ms = 60'000;
    std::thread ending([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        client->cancel();
    });
    CHECK(client->call(request).error().code == ErrorCode::closed);
    client->pause(60'000);
    ending.join();
    CHECK(client->call(request_to("http://127.0.0.1:1/")).error().code == ErrorCode::closed);
}
