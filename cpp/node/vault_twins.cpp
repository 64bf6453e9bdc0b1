/// node/vault_twins.cpp - reads and replaces small files whose content is there twice.
#include "node/vault_twins.hpp"

#include "codec/vault_record.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint64_t twin_bytes_max = std::uint64_t{4} << 20;

Result<void> write_new(ports::Files& files, const std::string& path, ByteView bytes) {
    DVESP_ASSIGN(const auto file, files.create(path, 0, ports::Access::buffered));
    DVESP_TRY(file->write(0, bytes));
    return file->sync();
}

}  // namespace

Result<std::optional<VaultTwin>> read_vault_twin(ports::Files& files, const std::string& path) {
    DVESP_ASSIGN(const bool exists, files.exists(path));
    if (!exists) return std::optional<VaultTwin>();
    DVESP_ASSIGN(const auto file, files.open(path, ports::Access::buffered));
    DVESP_ASSIGN(const std::uint64_t size, file->size());
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(std::min(size, twin_bytes_max)));
    DVESP_ASSIGN(const std::size_t got, file->read(0, bytes));
    const auto twin = codec::parse_twin(ByteView(bytes).first(got));
    if (!twin) return fail(ErrorCode::corruption, files.describe(path) + " is damaged, and so is its second copy");
    return std::optional<VaultTwin>({twin->generation, {twin->content.begin(), twin->content.end()}, twin->is_one_lost});
}

Result<void> replace_vault_twin(ports::Files& files, const std::string& directory, const std::string& path,
                                std::uint64_t generation, ByteView content) {
    const std::string fresh = path + ".new";
    const auto written = write_new(files, fresh, codec::encode_twin(generation, content));
    if (!written.ok()) {
        static_cast<void>(files.remove(fresh).ok());  // a leftover is written over by the next
        return written;
    }
    DVESP_TRY(files.rename(fresh, path));
    const auto synced = files.sync_directory(directory);
    if (synced.ok()) return {};
    return fail(ErrorCode::timeout, synced.error().message + "; the old content or the new may be found after a crash");
}

}  // namespace dvesp::node
