/// archive/sigv4.cpp - the canonical form of a request, and its signature.
#include "archive/sigv4.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <map>

#include "crypto/hkdf.hpp"

namespace dvesp::archive {
namespace {

/// YYYYMMDDTHHMMSSZ.
std::string instant_of(std::uint64_t wall_ms) {
    const std::chrono::sys_time<std::chrono::milliseconds> instant{std::chrono::milliseconds(wall_ms)};
    const auto day = std::chrono::floor<std::chrono::days>(instant);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(instant - day));
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%04d%02u%02uT%02d%02d%02dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()));
    return text.data();
}

struct Url {
    std::string host, path, query;
};

Url parts_of(const std::string& url) {
    Url out;
    const std::size_t scheme = url.find("://");
    const std::size_t start = scheme == std::string::npos ? 0 : scheme + 3;
    const std::size_t question = url.find('?', start);
    const std::size_t slash = std::min(url.find('/', start), question);
    out.host = url.substr(start, slash == std::string::npos ? std::string::npos : slash - start);
    if (slash != std::string::npos)
        out.path = url.substr(slash, question == std::string::npos ? std::string::npos : question - slash);
    if (out.path.empty()) out.path = "/";
    if (question == std::string::npos) return out;
    // A parameter without a value is signed as one with an empty value.
    for (std::size_t at = question + 1; at <= url.size();) {
        const std::size_t end = std::min(url.find('&', at), url.size());
        const std::string one = url.substr(at, end - at);
        out.query += (out.query.empty() ? "" : "&") + one + (one.find('=') == std::string::npos ? "=" : "");
        at = end + 1;
    }
    return out;
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
}

Hash mac(ByteView key, std::string_view text) { return crypto::hmac_sha256(key, bytes_of(text)); }

}  // namespace

void sign_request(ports::HttpCall& call, const Hash& body, const S3Credentials& credentials, std::uint64_t wall_ms) {
    const std::string instant = instant_of(wall_ms);
    const std::string day = instant.substr(0, 8);
    const Url url = parts_of(call.url);
    call.headers.emplace_back("x-amz-date", instant);
    call.headers.emplace_back("x-amz-content-sha256", to_hex(body));
    if (!credentials.session_token.empty()) call.headers.emplace_back("x-amz-security-token", credentials.session_token);
    std::map<std::string, std::string> headers{{"host", url.host}};
    for (const auto& [name, value] : call.headers) headers[lower(name)] = value;
    std::string canonical = call.method + "\n" + url.path + "\n" + url.query + "\n";
    std::string names;
    for (const auto& [name, value] : headers) {
        canonical += name + ":" + value + "\n";
        names += (names.empty() ? "" : ";") + name;
    }
    canonical += "\n" + names + "\n" + to_hex(body);
    const std::string scope = day + "/" + credentials.region + "/s3/aws4_request";
    const std::string to_sign = "AWS4-HMAC-SHA256\n" + instant + "\n" + scope + "\n" + to_hex(sha256(bytes_of(canonical)));
    crypto::SecretBytes root = crypto::SecretBytes::copy_of(bytes_of("AWS4" + credentials.secret_key));
    const Hash of_day = mac(root.bytes(), day);
    const Hash of_region = mac(of_day, credentials.region);
    const Hash key = mac(mac(of_region, "s3"), "aws4_request");
    call.headers.emplace_back("Authorization", "AWS4-HMAC-SHA256 Credential=" + credentials.access_key + "/" + scope +
                                                   ",SignedHeaders=" + names + ",Signature=" + to_hex(mac(key, to_sign)));
}

}  // namespace dvesp::archive
