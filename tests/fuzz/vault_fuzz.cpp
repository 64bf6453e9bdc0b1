/// tests/fuzz/vault_fuzz.cpp - libFuzzer target: a vault over data files that look like anything.
/// Input bytes: u8 mode | content. Mode even: pieces (u8 what | ...) that become records under fitting checksums, some damaged,
/// in two data files. Mode odd: the content is a twin file, and the first data file as it is.
/// Whatever is there, the vault opens, gives out only bytes whose checksum fits, takes new ones, and finds them again.
#include <algorithm>
#include <map>

#include "codec/crc32c.hpp"
#include "fuzz/fuzz_support.hpp"
#include "node/vault.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

node::FragmentId id_of(std::uint8_t number) {
    node::FragmentId id{};
    id[0] = number;
    return id;
}

/// A data file of records as a vault writes them, but for what the input asks to be wrong.
fuzz::Bytes build_file(fuzz::Input& input, std::uint64_t generation, std::uint32_t number) {
    fuzz::Bytes file;
    std::uint64_t durable = 0;
    const std::size_t count = input.byte() % 32;
    for (std::size_t piece = 0; piece < count && !input.empty(); ++piece) {
        const std::uint8_t what = input.byte();
        codec::VaultHeader header;
        header.op = static_cast<codec::VaultOp>(1 + what % 4);
        const bool has_id = what % 4 < 2;
        header.kind = has_id ? static_cast<std::uint8_t>(1 + input.byte() % 3) : std::uint8_t{0};
        if (has_id) header.id = id_of(input.byte() % 8);
        const ByteView bytes = what % 4 == 0 ? input.take(1 + input.byte()) : ByteView();
        header.length = static_cast<std::uint32_t>(bytes.size());
        header.bytes_crc = codec::crc32c(bytes);
        header.generation = generation + ((what & 4) != 0 && (what & 8) != 0 ? 1 : 0);
        header.sequence = input.byte();
        if ((what & 16) != 0) durable = file.size();
        header.durable = durable;
        header.number = number;
        const std::size_t start = file.size();
        file.resize(start + codec::vault_header_bytes);
        codec::store_vault_header(MutableBytes(file).subspan(start), header, (what & 32) != 0 && (what & 8) != 0 ? 0 : start);
        file.insert(file.end(), bytes.begin(), bytes.end());
        if ((what & 64) != 0) file[start + input.u16() % (file.size() - start)] ^= input.byte();
        if ((what & 128) != 0) file.resize(file.size() - std::min<std::size_t>(input.byte() % 100, file.size() - start));
    }
    return file;
}

/// Every answer of the vault agrees with every other.
void require_consistent(const node::Vault& vault) {
    std::uint64_t bytes = 0;
    for (std::uint8_t kind = 1; kind <= 4; ++kind) {
        const auto ids = vault.list(kind);
        require(ids.size() == vault.count(kind));
        const auto got = vault.get(ids);
        require(got.ok());
        for (std::size_t at = 0; at < ids.size(); ++at) require((*got)[at].has_value() == vault.contains(ids[at]));
        for (const auto& found : *got) bytes += found ? found->size() : 0;
    }
    require(bytes == vault.bytes());
}

std::map<node::FragmentId, fuzz::Bytes> contents(const node::Vault& vault) {
    std::map<node::FragmentId, fuzz::Bytes> out;
    for (std::uint8_t number = 0; number < 9; ++number) {
        const node::FragmentId id = id_of(number);
        auto got = vault.get({&id, 1});
        require(got.ok());
        if (got->front()) out[id] = std::move(*got->front());
    }
    return out;
}

void use(sim::Disk& disk, bool compacts) {
    node::VaultOptions options;
    options.file_bytes = 4096;
    options.reserve_bytes = 0;
    options.compacts_itself = compacts;
    auto vault = node::Vault::open(disk.mount(), options);
    if (!vault.ok()) {
        require(vault.error().code == ErrorCode::corruption || vault.error().code == ErrorCode::unavailable);
        return;
    }
    require((*vault)->verify().ok());
    auto before = contents(**vault);
    require_consistent(**vault);
    const node::VaultItem item{id_of(8), 4, bytes_of("new")};
    const auto put = (*vault)->put({&item, 1});
    require(put.ok() || put.error().code == ErrorCode::integrity);
    if (put.ok()) before[item.id] = {'n', 'e', 'w'};
    const node::FragmentId gone = id_of(0);
    require((*vault)->remove({&gone, 1}).ok());
    before.erase(gone);
    require(contents(**vault) == before);
    require((*vault)->compact().ok());
    require(contents(**vault) == before);
    require_consistent(**vault);
    vault->reset();
    vault = node::Vault::open(disk.mount(), options);
    require(vault.ok() && contents(**vault) == before);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 16384) return 0;
    fuzz::Input input(data, size);
    const std::uint8_t mode = input.byte();
    sim::Disk disk(1);
    sim::Random random(1);
    require(node::Vault::create(*disk.mount(), random, bytes_of("d")).ok());
    const auto device = disk.contents("device");
    const std::uint64_t generation = codec::parse_twin(device)->generation;
    if (mode % 2 == 0) {
        disk.write_raw("data/00000001", 0, build_file(input, generation, 1));
        disk.write_raw("data/00000003", 0, build_file(input, generation, 3));
    } else {
        const ByteView raw = input.rest();
        if (const auto twin = codec::parse_twin(raw)) fuzz::touch(twin->content);
        if ((mode & 2) != 0) disk.write_raw("device", 0, raw);
        disk.write_raw("data/00000001", 0, raw);
        disk.write_raw("named/key", 0, raw);
    }
    use(disk, (mode & 4) != 0);
    return 0;
}
