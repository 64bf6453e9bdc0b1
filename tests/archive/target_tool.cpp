/// tests/archive/target_tool.cpp - the commands that all targets have.
#include "archive/target_tool.hpp"

#include <chrono>
#include <fstream>
#include <iostream>

namespace dvesp::test {
namespace {

using Json = nlohmann::json;

class FileSource final : public ports::ByteSource {
  public:
    explicit FileSource(const std::string& path) : file_(path, std::ios::binary | std::ios::ate) {
        size_ = static_cast<std::uint64_t>(file_.tellg());
    }
    [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
    Result<void> read(std::uint64_t offset, MutableBytes into) override {
        file_.seekg(static_cast<std::streamoff>(offset));
        file_.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
        return file_.good() ? Result<void>() : fail(ErrorCode::io_failed, "the file cannot be read");
    }

  private:
    std::ifstream file_;
    std::uint64_t size_ = 0;
};

archive::ObjectName name_of(const Json& command) {
    archive::ObjectName name;
    name.bytes = command.value("bytes", std::uint64_t{0});
    name.locator = command.value("locator", "");
    static_cast<void>(from_hex(command.value("sha256", ""), name.sha256));
    return name;
}

Json failure(const Error& error) { return {{"error", error_info(error.code).name}, {"message", error.message}}; }
Json done(const Result<void>& result) { return result.ok() ? Json::object() : failure(result.error()); }
template <class T>
Json valued(const char* name, const Result<T>& result) {
    return result.ok() ? Json{{name, *result}} : failure(result.error());
}

Json get(archive::Target& target, const Json& command) {
    std::ofstream out(command.at("path").get<std::string>(), std::ios::binary);
    std::uint64_t bytes = 0;
    const auto result = target.get(name_of(command), [&](ByteView part) -> Result<void> {
        out.write(reinterpret_cast<const char*>(part.data()), static_cast<std::streamsize>(part.size()));
        bytes += part.size();
        return {};
    });
    Json answer = done(result);
    answer["bytes"] = bytes;
    return answer;
}

Json list(archive::Target& target) {
    const auto listed = target.list();
    if (!listed.ok()) return failure(listed.error());
    Json out = Json::array();
    for (const archive::ObjectName& name : *listed) {
        out.push_back({{"sha256", to_hex(name.sha256)}, {"bytes", name.bytes}, {"locator", name.locator}});
    }
    return {{"objects", out}};
}

Json get_document(archive::Target& target, const Json& command) {
    const auto found = target.get_document(command.at("name").get<std::string>());
    if (!found.ok()) return failure(found.error());
    return {{"text", found->has_value() ? Json(std::string(text_of(**found))) : Json()}};
}

/// Of this process alone: getrusage counts what it was before exec, too.
std::uint64_t peak_mb() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) / 1024;
    }
    return 0;
}

Json run(archive::Target& target, const Json& command, const MoreCommands& more) {
    const std::string what = command.at("do").get<std::string>();
    const std::string text = command.value("text", "");
    if (what == "put") {
        FileSource content(command.at("path").get<std::string>());
        return valued("locator", target.put(name_of(command), content));
    }
    if (what == "get") return get(target, command);
    if (what == "has") return valued("has", target.has(name_of(command)));
    if (what == "remove") return done(target.remove(name_of(command)));
    if (what == "list") return list(target);
    if (what == "put_document") return done(target.put_document(command.at("name").get<std::string>(), bytes_of(text)));
    if (what == "get_document") return get_document(target, command);
    if (what == "remove_document") return done(target.remove_document(command.at("name").get<std::string>()));
    if (what == "list_documents") return valued("names", target.list_documents());
    if (what == "root") return valued("root", target.root());
    if (what == "describe") return {{"text", target.describe() + " | " + target.identity()}};
    Json answer = more ? more(command) : Json();
    if (!answer.is_null()) return answer;
    return {{"error", "invalid_argument"}, {"message", "there is no command " + what}};
}

}  // namespace

std::unique_ptr<ports::ByteSource> file_source(const std::string& path) { return std::make_unique<FileSource>(path); }

void serve_target(const Result<std::unique_ptr<archive::Target>>& target, const MoreCommands& more) {
    for (std::string line; std::getline(std::cin, line);) {
        const auto start = std::chrono::steady_clock::now();
        Json answer = target.ok() ? run(**target, Json::parse(line), more) : failure(target.error());
        answer["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        answer["peak_mb"] = peak_mb();
        std::cout << answer.dump() << std::endl;
    }
}

}  // namespace dvesp::test
