/// archive/s3.hpp - an archive in a bucket of S3 or of what speaks like it.
/// `<prefix>objects/<sha256>` and `<prefix>documents/<name>`; objects are written under the condition that they are not there.
#pragma once

#include <memory>
#include <string>

#include "archive/sigv4.hpp"
#include "archive/target.hpp"

namespace dvesp::archive {

struct S3Options {
    std::string endpoint;  ///< http:// or https://, host and port; the bucket is named in the path
    std::string bucket;
    std::string prefix;  ///< "" or a path that ends in '/'
    S3Credentials credentials;
};

/// @pre `client` outlives the target  @errors invalid_argument: the option and what to do
[[nodiscard]] Result<std::unique_ptr<Target>> make_s3_target(S3Options options, ports::HttpClient& client);

/// What stands between <name> and </name>, each time, with entities replaced; for the flat answers of S3.
/// @pre name is a literal  @cost O(text)
[[nodiscard]] std::vector<std::string> xml_elements(std::string_view text, std::string_view name);

}  // namespace dvesp::archive
