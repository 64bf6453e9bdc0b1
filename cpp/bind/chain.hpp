/// bind/chain.hpp - roots on Solana for Python: a client of the chain, and what a store's collections are to it.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "archive/root_anchor.hpp"
#include "bind/keyring.hpp"
#include "bind/store.hpp"

namespace dvesp::bind {

/// Where roots go and who signs; made of arguments that Python has not looked at.
struct ChainArguments {
    std::string rpc_url;
    std::string program_id;
    std::string commitment;
    std::uint64_t priority_microlamports = 0;
    std::string anchor_mode;
    std::shared_ptr<PyKeyring> wallet;   ///< nullptr: reading alone
    std::optional<std::string> creator;  ///< base58; nothing: the wallet
};

/// Work is done without the GIL. @threads any, one call at a time
class PyChain {
  public:
    explicit PyChain(ChainArguments arguments);
    static void define(pybind11::module_& module);

    /// For a keeper: the same settings, and a copy of the wallet's secret. Raises without a wallet.
    [[nodiscard]] node::ChainOptions keeper_options(const std::string& root_of) const;
    [[nodiscard]] std::string creator() const { return archive::key_text(options_.creator); }
    [[nodiscard]] std::string address(const pybind11::bytes& collection_id) const;
    pybind11::dict post(const pybind11::bytes& collection_id, const pybind11::bytes& root, std::uint64_t leaf_count,
                        bool only_grows);
    pybind11::object read(const pybind11::bytes& collection_id);
    pybind11::list history(const pybind11::bytes& collection_id, std::size_t limit);
    std::uint64_t balance();
    pybind11::dict deploy(const std::shared_ptr<PyKeyring>& program_key, const pybind11::bytes& program);
    void cancel() noexcept { http_->cancel(); }

  private:
    [[nodiscard]] archive::RootAnchor& anchor() const;

    archive::AnchorOptions options_;
    std::optional<crypto::Key32> wallet_;
    std::unique_ptr<ports::HttpClient> http_;
    std::mutex mutex_;
    std::unique_ptr<archive::RootAnchor> anchor_;  ///< nullptr: the mode is off
};

/// What `status(detail=True)["chain"]` is. @param keeper nullptr: the store has no chain
[[nodiscard]] pybind11::dict chain_report(const node::ChainKeeper* keeper);

}  // namespace dvesp::bind
