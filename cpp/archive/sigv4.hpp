/// archive/sigv4.hpp - signatures of requests to S3 and what speaks like it.
/// Source: docs.aws.amazon.com, "Signature Version 4", single chunk.
#pragma once

#include <string>

#include "base/sha256.hpp"
#include "ports/http_client.hpp"

namespace dvesp::archive {

struct S3Credentials {
    std::string access_key;
    std::string secret_key;     ///< never shown
    std::string session_token;  ///< of temporary credentials; empty = none
    std::string region = "us-east-1";
};

/// Adds the headers of a signed request: host, date, hash of the body, token, and the signature over all headers that are
/// there.
/// @param call its URL has the parameters sorted by name, every part percent-encoded
void sign_request(ports::HttpCall& call, const Hash& body, const S3Credentials& credentials, std::uint64_t wall_ms);

}  // namespace dvesp::archive
