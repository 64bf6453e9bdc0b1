/// tests/archive/target_tool.hpp - drives a target from other languages: a command a line on stdin, an answer a line on stdout.
/// Commands are JSON: {"do": "put", "path": ...} -> {"locator": ..., "seconds": ..., "peak_mb": ...}, or {"error": name in
/// errors.def, "message": ...}.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "archive/target.hpp"

namespace dvesp::test {

/// What only one kind of target has: the answer, or null when it does not know the command.
using MoreCommands = std::function<nlohmann::json(const nlohmann::json& command)>;

/// Bytes of a file. @pre it can be opened
std::unique_ptr<ports::ByteSource> file_source(const std::string& path);
/// Answers every line with what `target` says, or its error, until stdin ends.
void serve_target(const Result<std::unique_ptr<archive::Target>>& target, const MoreCommands& more = {});

}  // namespace dvesp::test
