/// archive/program_deploy.cpp - create the buffer, write it, deploy it, compare.
#include "archive/program_deploy.hpp"

#include <algorithm>
#include <array>

#include "codec/byte_io.hpp"
#include "crypto/hkdf.hpp"

namespace dvesp::archive {
namespace {

constexpr std::size_t buffer_head_bytes = 37;        // state u32 | has authority u8 | authority
constexpr std::size_t program_account_bytes = 36;    // state u32 | address of the program's data
constexpr std::size_t program_data_head_bytes = 45;  // state u32 | slot u64 | has authority u8 | authority
constexpr std::size_t piece_bytes = 900;             // of a transaction's 1232
constexpr std::uint64_t fee_lamports = 5000;         // a signature

enum class LoaderCall : std::uint32_t { initialize_buffer = 0, write = 1, deploy = 2 };

class Deploy {
  public:
    Deploy(RootAnchor& anchor, const crypto::Key32& program_key, ByteView program)
        : anchor_(anchor), program_key_(program_key), buffer_key_(buffer_seed(program_key)), program_(program) {
        const std::array<ByteView, 1> seeds = {ByteView(program_key_.public_key())};
        data_address_ = find_program_address(seeds, upgradeable_loader).key;
    }

    Result<Deployment> run() {
        Deployment out{program_key_.public_key(), program_.size(), 0, 0};
        DVESP_ASSIGN(const auto present, anchor_.rpc().account(out.program_id));
        if (present) {
            DVESP_TRY(check_deployed());
            return out;
        }
        DVESP_ASSIGN(const std::uint64_t before, anchor_.balance());
        DVESP_TRY(check_money(before));
        DVESP_TRY(fill_buffer());
        DVESP_TRY(deploy());
        DVESP_TRY(check_deployed());
        DVESP_ASSIGN(const std::uint64_t after, anchor_.balance());
        out.transactions = transactions_;
        out.lamports_spent = before - std::min(before, after);
        return out;
    }

  private:
    /// A deployment that is tried again finds its buffer.
    static crypto::Key32 buffer_seed(const crypto::Key32& program_key) {
        crypto::Key32 seed;
        const auto filled = crypto::hkdf_expand(program_key.bytes(), bytes_of("dvesp/deploy buffer/1"), seed.bytes());
        DVESP_ASSERT(filled.ok());
        return seed;
    }
    [[nodiscard]] const crypto::Ed25519Key& wallet() const { return *anchor_.wallet(); }
    [[nodiscard]] std::size_t buffer_bytes() const { return buffer_head_bytes + program_.size(); }

    Result<void> send(std::span<const crypto::Ed25519Key* const> signers, std::span<const SolanaInstruction> instructions) {
        ++transactions_;
        DVESP_TRY(anchor_.send(signers, instructions, "deploying the program"));
        return {};
    }

    Result<void> check_money(std::uint64_t has) {
        DVESP_ASSIGN(const std::uint64_t buffer, anchor_.rpc().rent_exemption(buffer_bytes()));
        DVESP_ASSIGN(const std::uint64_t data, anchor_.rpc().rent_exemption(program_data_head_bytes + program_.size()));
        DVESP_ASSIGN(const std::uint64_t account, anchor_.rpc().rent_exemption(program_account_bytes));
        DVESP_ASSIGN(const auto present, anchor_.rpc().account(buffer_key_.public_key()));
        const std::uint64_t pieces = program_.size() / piece_bytes + 1;
        // The buffer's lamports become the program's.
        const std::uint64_t needed = (present ? 0 : std::max(buffer, data)) + account + fee_lamports * (pieces + 4);
        if (has >= needed) return {};
        return fail(ErrorCode::unavailable, "wallet " + key_text(wallet().public_key()) + " has " + std::to_string(has) +
                                                " lamports: deploying " + std::to_string(program_.size()) + " bytes needs " +
                                                std::to_string(needed) + "; send it some");
    }

    Result<void> fill_buffer() {
        DVESP_ASSIGN(const auto present, anchor_.rpc().account(buffer_key_.public_key()));
        if (!present) DVESP_TRY(create_buffer());
        if (present && (present->owner != upgradeable_loader || present->data.size() != buffer_bytes())) {
            return fail(ErrorCode::invalid_argument, "the buffer " + key_text(buffer_key_.public_key()) +
                                                         " of this program's key holds something else; take a new key");
        }
        for (std::size_t offset = 0; offset < program_.size(); offset += piece_bytes) {
            const ByteView piece = program_.subspan(offset, std::min(piece_bytes, program_.size() - offset));
            const bool is_there =
                present && std::equal(piece.begin(), piece.end(),
                                      present->data.begin() + static_cast<std::ptrdiff_t>(buffer_head_bytes + offset));
            if (!is_there) DVESP_TRY(write(offset, piece));
        }
        return {};
    }

    Result<void> create_buffer() {
        DVESP_ASSIGN(const std::uint64_t lamports, anchor_.rpc().rent_exemption(buffer_bytes()));
        codec::Writer data;
        data.number(static_cast<std::uint32_t>(LoaderCall::initialize_buffer));
        const SolanaKey& buffer = buffer_key_.public_key();
        const std::array<SolanaInstruction, 2> instructions = {
            create_account({wallet().public_key(), buffer, upgradeable_loader, lamports, buffer_bytes()}),
            SolanaInstruction{
                upgradeable_loader, {{buffer, false, true}, {wallet().public_key(), false, false}}, std::move(data.bytes())}};
        const std::array<const crypto::Ed25519Key*, 2> signers = {&wallet(), &buffer_key_};
        return send(signers, instructions);
    }

    Result<void> write(std::size_t offset, ByteView piece) {
        codec::Writer data;
        data.number(static_cast<std::uint32_t>(LoaderCall::write));
        data.number(static_cast<std::uint32_t>(offset));
        data.number(static_cast<std::uint64_t>(piece.size()));
        data.raw(piece);
        const std::array<SolanaInstruction, 1> instructions = {
            SolanaInstruction{upgradeable_loader,
                              {{buffer_key_.public_key(), false, true}, {wallet().public_key(), true, false}},
                              std::move(data.bytes())}};
        const std::array<const crypto::Ed25519Key*, 1> signers = {&wallet()};
        return send(signers, instructions);
    }

    Result<void> deploy() {
        DVESP_ASSIGN(const std::uint64_t lamports, anchor_.rpc().rent_exemption(program_account_bytes));
        codec::Writer data;
        data.number(static_cast<std::uint32_t>(LoaderCall::deploy));
        data.number(static_cast<std::uint64_t>(program_.size()));
        const SolanaKey& own = wallet().public_key();
        const SolanaKey& program = program_key_.public_key();
        const std::array<SolanaInstruction, 2> instructions = {
            create_account({own, program, upgradeable_loader, lamports, program_account_bytes}),
            SolanaInstruction{upgradeable_loader,
                              {{own, true, true},
                               {data_address_, false, true},
                               {program, false, true},
                               {buffer_key_.public_key(), false, true},
                               {rent_sysvar, false, false},
                               {clock_sysvar, false, false},
                               {system_program, false, false},
                               {own, true, false}},
                              std::move(data.bytes())}};
        const std::array<const crypto::Ed25519Key*, 2> signers = {&wallet(), &program_key_};
        return send(signers, instructions);
    }

    /// The bytes that the chain runs are the ones here; room behind them is zeros.
    Result<void> check_deployed() {
        const std::string id = key_text(program_key_.public_key());
        DVESP_ASSIGN(const auto account, anchor_.rpc().account(program_key_.public_key()));
        if (!account || !account->is_executable || account->owner != upgradeable_loader) {
            return fail(ErrorCode::invalid_argument, "the key " + id + " belongs to an account that is no upgradeable program");
        }
        DVESP_ASSIGN(const auto data, anchor_.rpc().account(data_address_));
        const std::size_t size = program_data_head_bytes + program_.size();
        const auto begin = static_cast<std::ptrdiff_t>(program_data_head_bytes);
        const bool is_same = data && data->data.size() >= size &&
                             std::equal(program_.begin(), program_.end(), data->data.begin() + begin) &&
                             std::all_of(data->data.begin() + static_cast<std::ptrdiff_t>(size), data->data.end(),
                                         [](std::uint8_t byte) { return byte == 0; });
        if (is_same) return {};
        return fail(
            transactions_ > 0 ? ErrorCode::integrity : ErrorCode::invalid_argument,
            "the program at " + id + " is another one than this package's; take a new key, or upgrade it with Solana's tools");
    }

    RootAnchor& anchor_;
    crypto::Ed25519Key program_key_;
    crypto::Ed25519Key buffer_key_;
    ByteView program_;
    SolanaKey data_address_{};
    std::uint64_t transactions_ = 0;
};

}  // namespace

Result<Deployment> deploy_program(RootAnchor& anchor, const crypto::Key32& program_key, ByteView program) {
    DVESP_ASSERT(anchor.wallet() != nullptr);
    const bool is_elf = program.size() >= 64 && text_of(program.first(4)) ==
                                                    "\x7f"
                                                    "ELF";
    if (!is_elf || program.size() > program_bytes_max) {
        return fail(ErrorCode::invalid_argument, "program: must be an ELF file of at most 1 MiB");
    }
    return Deploy(anchor, program_key, program).run();
}

}  // namespace dvesp::archive
