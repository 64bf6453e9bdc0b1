/// archive/kubo.hpp - one IPFS node (kubo), asked over its HTTP RPC. It is believed in what it says of itself (pins, its own
/// directory), never in what content it hands over: archive/ipfs_reader.hpp reads that.
/// Source: docs.ipfs.tech, kubo RPC v0; tried against kubo 0.41.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "archive/url.hpp"
#include "codec/cid.hpp"
#include "ports/http_client.hpp"

namespace dvesp::archive {

/// Errors of all methods: unavailable, timeout: come again later; permission_denied: the token is missing or wrong;
/// storage_full; invalid_argument: nothing of kubo answers there. Messages carry what the node said.
/// @threads any, as HttpClient
class Kubo {
  public:
    struct Entry {
        std::string name;
        codec::Cid cid;
        std::uint64_t bytes = 0;
        bool is_directory = false;
    };
    using Arguments = std::vector<std::pair<std::string, std::string>>;

    /// @param url    e.g. http://127.0.0.1:5001
    /// @param token  what stands behind "Authorization: "; empty = nothing
    /// @pre `client` outlives it
    Kubo(ports::HttpClient& client, std::string url, std::string token);
    [[nodiscard]] const std::string& url() const noexcept { return url_; }
    /// For messages: without credentials.
    [[nodiscard]] std::string place() const { return without_credentials(url_); }

    [[nodiscard]] Result<bool> is_pinned(const codec::Cid& cid) const;
    /// Pins recursively; the node fetches from other nodes what it lacks. Gives up with `timeout` once nothing came for 10 s.
    [[nodiscard]] Result<void> pin(const codec::Cid& cid) const;
    /// A missing pin is fine.
    [[nodiscard]] Result<void> unpin(const codec::Cid& cid) const;
    /// Takes a multipart body with a CAR. With `root` it is pinned, and the node must name the same one.
    /// @errors integrity: it names another
    [[nodiscard]] Result<void> import_car(std::vector<ports::HttpCall::Piece> body, const std::string& boundary,
                                          const codec::Cid* root) const;
    /// Hands pinning over to a service that this node knows by name; returns before it is done. Once, however often it is
    /// asked.
    [[nodiscard]] Result<void> pin_remotely(const std::string& service, const codec::Cid& cid, const std::string& name) const;
    [[nodiscard]] Result<void> unpin_remotely(const std::string& service, const codec::Cid& cid) const;

    /// The node's own directory (MFS), which garbage collection spares with all that is linked there.
    [[nodiscard]] Result<void> make_directory(const std::string& path) const;
    /// Replaces a file of that path. @pre the node holds all of `cid`
    [[nodiscard]] Result<void> link(const std::string& path, const codec::Cid& cid) const;
    [[nodiscard]] Result<std::optional<Entry>> find(const std::string& path) const;
    /// Nothing in a directory that is not there.
    [[nodiscard]] Result<std::vector<Entry>> list(const std::string& path) const;
    /// A missing file is fine.
    [[nodiscard]] Result<void> unlink(const std::string& path) const;

    /// Whether the node has a key of that name, to publish with.
    [[nodiscard]] Result<bool> has_key(const std::string& name) const;
    /// Signs and publishes that the key's name points to `cid`. May take a minute.
    [[nodiscard]] Result<void> publish(const std::string& key, const codec::Cid& cid) const;
    /// Tells the network that this node has `cid`. May take a minute. False: the node has no peers to tell.
    [[nodiscard]] Result<bool> provide(const codec::Cid& cid) const;

    /// A request of `command`, for those who read content: nothing of it was sent.
    [[nodiscard]] ports::HttpCall request(std::string_view command, const Arguments& arguments) const;

  private:
    struct Reply {
        bool ok = false;
        std::string text;  ///< the body, or what the node says is wrong
    };
    /// The client's call; its errors name the node.
    Result<ports::HttpAnswer> send(const ports::HttpCall& call, const ports::ByteSink& sink = {}) const;
    /// @errors as above; an error of the command itself is a Reply that is not ok
    [[nodiscard]] Result<Reply> ask(std::string_view command, const Arguments& arguments) const;
    /// The same where every error of the command is ours, too.
    [[nodiscard]] Result<std::string> tell(std::string_view command, const Arguments& arguments) const;
    [[nodiscard]] Error refusal(std::string_view command, const std::string& message) const;
    [[nodiscard]] Result<Reply> judge(std::string_view command, const ports::HttpAnswer& answer) const;

    ports::HttpClient& client_;
    std::string url_;
    std::string token_;
};

}  // namespace dvesp::archive
