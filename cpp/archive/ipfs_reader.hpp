/// archive/ipfs_reader.hpp - reads content of IPFS from nodes and gateways that nobody trusts: every block is compared with its
/// CID, and who lies, stalls or breaks off is left for the next one, in the middle of a file, too.
/// Source: specs.ipfs.tech, Trustless Gateway (CAR and raw blocks); IPIP-412 (order and duplicates); IPNS record.
#pragma once

#include <string>
#include <vector>

#include "archive/kubo.hpp"
#include "codec/unixfs.hpp"

namespace dvesp::archive {

/// @threads every method from any thread, as HttpClient
class IpfsReader {
  public:
    /// @param nodes     asked first, over their RPC
    /// @param gateways  such as https://example.org; asked in this order
    /// @pre `client` outlives it
    IpfsReader(ports::HttpClient& client, std::vector<Kubo> nodes, const std::vector<std::string>& gateways);

    /// Gives a file's bytes in order to `sink`. Memory: one block, and the links of one node a level.
    /// @return how many there were
    /// @errors unavailable, timeout: nobody had a further block to give now; corruption: nobody has it, or the file is none or
    /// larger
    ///         than bytes_max; integrity: whoever answered lied; permission_denied; those of the sink
    Result<std::uint64_t> read_file(const codec::Cid& root, std::uint64_t bytes_max, const ports::ByteSink& sink) const;
    /// One block. @errors as above
    [[nodiscard]] Result<std::vector<std::uint8_t>> read_block(const codec::Cid& cid) const;
    /// What a name points to: the newest valid record that nodes and gateways have.
    /// @errors as above; integrity: only records that are not signed by the name's key; corruption: only expired ones, or its
    /// value
    ///         is no /ipfs/<CID>
    [[nodiscard]] Result<codec::Cid> resolve(const codec::Cid& name) const;

  private:
    struct Place {
        bool is_node = false;
        std::string url;
        std::string text;  ///< for messages
    };
    enum class Form : std::uint8_t { raw, car, ipns_record };
    class FileRead;

    [[nodiscard]] ports::HttpCall request(std::size_t place, Form form, const codec::Cid& cid) const;
    /// One request, after at most two redirections to subdomains of the same gateway.
    /// @errors those of the client and the sink; corruption: it is not there; otherwise what the status means
    Result<ports::HttpAnswer> ask(std::size_t place, Form form, const codec::Cid& cid, const ports::ByteSink& sink) const;
    [[nodiscard]] Result<std::vector<std::uint8_t>> checked_block(std::size_t place, const codec::Cid& cid) const;
    [[nodiscard]] Result<std::vector<std::uint8_t>> record_bytes(std::size_t place, const codec::Cid& name) const;
    /// @return the sequence number of a valid record; `value` is what it points to
    [[nodiscard]] Result<std::uint64_t> read_record(std::size_t place, const codec::Cid& name, codec::Cid& value) const;

    ports::HttpClient& client_;
    std::vector<Kubo> nodes_;
    std::vector<Place> places_;  ///< nodes, then gateways
};

}  // namespace dvesp::archive
