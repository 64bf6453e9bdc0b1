/// node/vault_recovery.cpp - makes vaults, and opens them: the index from the headers of all data files.
/// Bytes and rules: docs/formats/vault.md.
#include <algorithm>

#include "codec/byte_io.hpp"
#include "node/vault.hpp"
#include "node/vault_names.hpp"
#include "node/vault_twins.hpp"

namespace dvesp::node {
namespace {

using codec::vault_header_bytes;
using State = VaultEntry::State;

constexpr std::size_t number_digits = 8;

/// The numbers of the data files, rising. Other names are left alone.
Result<std::vector<std::uint32_t>> data_numbers(ports::Files& files) {
    DVESP_ASSIGN(const std::vector<std::string> names, files.list(vault_data_directory));
    std::vector<std::uint32_t> numbers;
    for (const std::string& name : names) {
        if (name.size() != number_digits || name.find_first_not_of("0123456789abcdef") != std::string::npos) continue;
        numbers.push_back(static_cast<std::uint32_t>(std::stoul(name, nullptr, 16)));
    }
    std::erase(numbers, 0U);
    return numbers;
}

/// What the headers of a file say. The first is at a known place, so that no stored bytes can pretend to be it.
std::optional<std::uint64_t> generation_in(ports::Files& files, std::uint32_t number) {
    const auto file = files.open(vault_data_path(number), ports::Access::buffered);
    if (!file.ok()) return std::nullopt;
    std::array<std::uint8_t, vault_header_bytes> bytes{};
    const auto got = (*file)->read(0, bytes);
    if (!got.ok()) return std::nullopt;
    const auto header = codec::parse_vault_header(ByteView(bytes).first(*got), 0);
    return header && header->number == number ? std::optional(header->generation) : std::nullopt;
}

/// The vault's own number: from `device`, or, when both its copies are damaged, from a data file.
Result<std::uint64_t> find_generation(ports::Files& files) {
    auto twin = read_vault_twin(files, vault_device_file);
    if (!twin.ok() && twin.error().code == ErrorCode::io_failed) twin = read_vault_twin(files, vault_device_file);
    if (twin.ok() && *twin) return (*twin)->generation;
    if (twin.ok()) return fail(ErrorCode::unavailable, "device " + files.describe("") + " is offline");
    DVESP_ASSIGN(const std::vector<std::uint32_t> numbers, data_numbers(files));
    for (const std::uint32_t number : numbers) {
        if (const auto generation = generation_in(files, number)) return *generation;
    }
    return twin.error();
}

}  // namespace

Result<void> Vault::create(ports::Files& files, ports::Random& random, ByteView device_record) {
    if (device_record.size() > vault_record_bytes_max) {
        return fail(ErrorCode::invalid_argument, "a device record has at most 1 MiB");
    }
    DVESP_TRY(files.make_directory(""));
    DVESP_ASSIGN(const auto lock, files.lock(vault_lock_file));
    DVESP_ASSIGN(const bool exists, files.exists(vault_device_file));
    if (exists) return fail(ErrorCode::invalid_argument, "there is a vault in " + files.describe("") + " already");
    DVESP_ASSIGN(const std::vector<std::uint32_t> numbers, data_numbers(files));
    if (!numbers.empty()) {
        return fail(ErrorCode::invalid_argument, "the files of another vault are in " + files.describe(vault_data_directory) +
                                                     ", without its file `device`: move them away first");
    }
    DVESP_TRY(files.make_directory(vault_data_directory));
    DVESP_TRY(files.make_directory(vault_records_directory));
    std::array<std::uint8_t, 8> generation{};
    random.fill(generation);
    return replace_vault_twin(files, "", vault_device_file, codec::load<std::uint64_t>(generation.data()), device_record);
}

Result<std::unique_ptr<Vault>> Vault::open(std::unique_ptr<ports::Files> files, VaultOptions options) {
    const std::string device = "device " + files->describe("") + " is offline";
    const auto exists = files->exists(vault_device_file);
    if (!exists.ok()) return fail(ErrorCode::unavailable, device + ": " + exists.error().message);
    if (!*exists) return fail(ErrorCode::unavailable, device + ": there is no vault");
    DVESP_ASSIGN(auto lock, files->lock(vault_lock_file));
    DVESP_ASSIGN(const std::uint64_t generation, find_generation(*files));
    std::unique_ptr<Vault> vault(new Vault(std::move(files), options, std::move(lock), generation));
    DVESP_TRY(vault->recover());
    return vault;
}

Result<Vault::Bytes> Vault::read_device_record(ports::Files& files) {
    DVESP_ASSIGN(auto twin, read_vault_twin(files, vault_device_file));
    if (!twin) return fail(ErrorCode::unavailable, "device " + files.describe("") + " is offline: there is no vault");
    return std::move(twin->content);
}

Result<void> Vault::recover() {
    DVESP_ASSIGN(const bool has_data, files_->exists(vault_data_directory));
    if (!has_data)
        return fail(ErrorCode::corruption, files_->describe(vault_data_directory) + " is gone, and all data with it");
    DVESP_ASSIGN(const std::vector<std::uint32_t> numbers, data_numbers(*files_));
    std::vector<std::uint64_t> sequences;  // of the record that counts, by the entry's number
    std::uint64_t highest = 0;
    for (const std::uint32_t number : numbers) {
        DVESP_ASSIGN(const std::uint64_t sequence, recover_file(number, number == numbers.back(), sequences));
        highest = std::max(highest, sequence);
    }
    count_what_is_here();
    log_.set_next(numbers.empty() ? 1 : numbers.back() + 1, highest + 1);
    DVESP_TRY(check_present(false));        // a disk that went away looks like a damaged one
    static_cast<void>(log_.settle().ok());  // else before the next write
    make_reserve();
    return {};
}

/// @return the highest sequence in it
Result<std::uint64_t> Vault::recover_file(std::uint32_t number, bool is_last, std::vector<std::uint64_t>& sequences) {
    DVESP_ASSIGN(const auto file, handles_.open(number));
    DVESP_ASSIGN(const VaultScan scan, scan_vault_file(*file, generation_, number));
    for (const VaultRecord& record : scan.records) apply(number, record, sequences);
    DataFile& known = data_files_[number];
    known.end = scan.end;
    known.disk_bytes = scan.size;
    known.damages = scan.damages;
    known.lacks_end = !is_last && !scan.is_ended && scan.size > 0;
    if (is_last) log_.resume(number, file, scan);
    return scan.sequence;
}

void Vault::apply(std::uint32_t number, const VaultRecord& record, std::vector<std::uint64_t>& sequences) {
    const codec::VaultHeader& header = record.header;
    VaultEntry& entry = index_.insert(header.id);
    const std::uint32_t at = index_.number_of(header.id);
    if (at >= sequences.size()) sequences.resize(at + 1);
    const bool is_put = header.op == codec::VaultOp::put;
    if (is_put && entry.puts < vault_puts_max) ++entry.puts;
    // Compaction interrupted leaves copies with the same sequence: the later file's counts, the earlier file is to go.
    if (entry.state != State::free && header.sequence < sequences[at]) return;
    sequences[at] = header.sequence;
    entry.place = {number, static_cast<std::uint32_t>(record.offset), header.length};
    entry.kind = header.kind;
    entry.state = is_put ? State::live : State::removed;
}

void Vault::count_what_is_here() {
    std::vector<FragmentId> needless;
    index_.for_each([&](VaultEntry& entry) {
        if (entry.state == State::removed && entry.puts == 0) {
            needless.push_back(entry.id);
            return;
        }
        data_files_.at(entry.place.file).live_bytes += vault_header_bytes + entry.place.length;
        if (entry.state != State::live) return;
        ++counts_[entry.kind];
        bytes_ += entry.place.length;
    });
    for (const FragmentId& id : needless) index_.erase(id);
}

}  // namespace dvesp::node
