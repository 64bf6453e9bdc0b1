/// archive/program_deploy.hpp - puts the program dvesp_root onto a chain, through the upgradeable loader.
/// Source: Solana's loader v3 (UpgradeableLoaderInstruction): a buffer is filled piece by piece, then becomes the program.
#pragma once

#include "archive/root_anchor.hpp"

namespace dvesp::archive {

struct Deployment {
    SolanaKey program_id{};
    std::uint64_t program_bytes = 0;
    std::uint64_t transactions = 0;    ///< 0: it was there already, byte for byte
    std::uint64_t lamports_spent = 0;  ///< fees and what keeps the program alive
};

inline constexpr std::size_t program_bytes_max = std::size_t{1} << 20;

/// Deploys `program` at the public key of `program_key`; the anchor's wallet pays and may upgrade it later. What was
/// interrupted goes on where it was: the buffer's key is derived from the program's.
/// @pre anchor.wallet()
/// @errors invalid_argument: another program is there, or the bytes are no program; unavailable: the wallet cannot pay;
///         integrity: the chain holds other bytes than were sent; those of SolanaRpc
Result<Deployment> deploy_program(RootAnchor& anchor, const crypto::Key32& program_key, ByteView program);

}  // namespace dvesp::archive
