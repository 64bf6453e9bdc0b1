/// tests/unit/stream_test.cpp - large messages over slow links.
#include "os/stream.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>
#include <vector>

using namespace dvesp;

namespace {

constexpr std::size_t piece_bytes = std::size_t{64} << 10;
constexpr int pieces = 11;  // longer than what a reader waits for at once

/// Both ends of a connection on loopback.
struct Pair {
    os::Descriptor sender;
    std::unique_ptr<os::Stream> reader;

    Pair() {
        auto listener = os::listen_on("127.0.0.1:0");
        REQUIRE(listener.ok());
        const auto port = static_cast<std::uint16_t>(std::stoi(listener->address.substr(listener->address.rfind(':') + 1)));
        sender = os::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(sender.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
        os::Descriptor accepted(::accept4(listener->descriptor.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        auto adopted = os::Stream::adopt(std::move(accepted), nullptr);
        REQUIRE(adopted.ok());
        reader = std::move(*adopted);
    }

    void send_piece(std::uint8_t value) const {
        const std::vector<std::uint8_t> piece(piece_bytes, value);
        CHECK(::send(sender.number(), piece.data(), piece.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(piece.size()));
    }
};

}  // namespace

TEST_CASE("stream_takes_a_large_message_from_a_slow_link") {
    const Pair pair;
    std::thread slow([&] {
        for (int piece = 0; piece < pieces; ++piece) {
            pair.send_piece(static_cast<std::uint8_t>(piece));
            std::this_thread::sleep_for(std::chrono::milliseconds(200));
        }
    });
    std::vector<std::uint8_t> message(pieces * piece_bytes);
    const auto read = pair.reader->read_all(message, 1000);  // a piece comes well within it, half a megabyte does not
    slow.join();
    REQUIRE(read.ok());
    for (int piece = 0; piece < pieces; ++piece) CHECK(message[static_cast<std::size_t>(piece) * piece_bytes] == piece);
}

TEST_CASE("stream_gives_up_who_sends_nothing_more") {
    const Pair pair;
    pair.send_piece(1);
    std::vector<std::uint8_t> message(pieces * piece_bytes);
    const auto read = pair.reader->read_all(message, 100);
    REQUIRE(!read.ok());
    CHECK(read.error().code == ErrorCode::timeout);
}
