/// os/set_aside.cpp - the file `peers` and the folders `damaged-N`.
#include "os/set_aside.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "os/files.hpp"

namespace dvesp::os {
namespace {

namespace fs = std::filesystem;

constexpr const char* peers_path = "peers";
constexpr const char* peers_draft_path = "peers.new";
constexpr const char* revocations_path = "revocations";  // os/revocations.hpp: who was revoked stays revoked
constexpr std::string_view aside_prefix = "damaged-";
constexpr std::size_t kept_max = 2;
constexpr std::size_t peers_max = 1024;

/// N of `damaged-N`; 0 = the name is another.
std::uint64_t number_of(const std::string& name) {
    if (!name.starts_with(aside_prefix)) return 0;
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data() + aside_prefix.size(), name.data() + name.size(), number);
    return error == std::errc() && end == name.data() + name.size() ? number : 0;
}

Error io_error(const std::string& what, const std::error_code& error) {
    return fail(ErrorCode::io_failed, what + ": " + error.message());
}

}  // namespace

std::vector<std::string> known_peers(const std::string& directory) {
    std::ifstream file(fs::path(directory) / peers_path);
    std::vector<std::string> out;
    std::string line;
    while (out.size() < peers_max && std::getline(file, line)) {
        if (!line.empty()) out.push_back(line);
    }
    return out;
}

Result<void> remember_peers(const std::string& directory, const std::vector<std::string>& addresses) {
    std::string text;
    for (const std::string& address : addresses) text += address + "\n";
    const auto files = make_files(directory);
    DVESP_ASSIGN(const auto file, files->create(peers_draft_path, 0, ports::Access::buffered));
    DVESP_TRY(file->write(0, bytes_of(text)));
    DVESP_TRY(file->sync());
    DVESP_TRY(files->rename(peers_draft_path, peers_path));
    return files->sync_directory("");
}

Result<std::string> set_aside(const std::string& directory) {
    std::error_code error;
    std::vector<std::string> names;
    std::vector<std::uint64_t> numbers;
    for (const auto& entry : fs::directory_iterator(directory, error)) {
        const std::string name = entry.path().filename().string();
        if (const std::uint64_t number = number_of(name); number != 0) {
            numbers.push_back(number);
        } else if (name != peers_path && name != peers_draft_path && name != revocations_path) {
            names.push_back(name);
        }
    }
    if (error) return io_error("cannot list " + directory, error);
    std::sort(numbers.begin(), numbers.end());
    const std::string aside = std::string(aside_prefix) + std::to_string(numbers.empty() ? 1 : numbers.back() + 1);
    fs::create_directory(fs::path(directory) / aside, error);
    if (error) return io_error("cannot make " + aside, error);
    for (const std::string& name : names) {
        fs::rename(fs::path(directory) / name, fs::path(directory) / aside / name, error);
        if (error) return io_error("cannot move " + name + " into " + aside, error);
    }
    for (std::size_t at = 0; numbers.size() >= kept_max && at + kept_max <= numbers.size(); ++at) {
        fs::remove_all(fs::path(directory) / (std::string(aside_prefix) + std::to_string(numbers[at])), error);
    }
    DVESP_TRY(make_files(directory)->sync_directory(""));
    return aside;
}

}  // namespace dvesp::os
