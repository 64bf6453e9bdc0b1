/// archive/target.cpp - the names of documents.
#include "archive/target.hpp"

#include <algorithm>

namespace dvesp::archive {

bool is_document_name(const std::string& name) noexcept {
    const bool is_known = std::all_of(name.begin(), name.end(), [](char character) {
        return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') || character == '-';
    });
    return is_known && !name.empty() && name.size() <= document_name_bytes_max;
}

Result<void> check_document_name(const std::string& name) {
    if (is_document_name(name)) return {};
    return fail(ErrorCode::invalid_argument, "a document's name has 1 to 128 of a-z, 0-9 and -");
}

}  // namespace dvesp::archive
