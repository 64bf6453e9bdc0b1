/// archive/ipfs.cpp - the target: what is put on which node, and what is read from whom.
#include "archive/ipfs.hpp"

#include <algorithm>
#include <atomic>

#include "archive/content.hpp"
#include "archive/ipfs_directory.hpp"
#include "archive/ipfs_upload.hpp"
#include "codec/ipns.hpp"

namespace dvesp::archive {
namespace {

constexpr std::size_t archive_name_digits_max = 64;

/// Makes a name follow the archive's root. Shared with the background, which may end later than the target.
class Publisher : public std::enable_shared_from_this<Publisher> {
  public:
    Publisher(Kubo node, std::string base, std::string key, ports::Executor* background)
        : node_(std::move(node)), base_(std::move(base)), key_(std::move(key)), background_(background) {}

    /// Publishes the newest root; soon, where there is a background, and once for several calls. What fails is done again after
    /// the next manifest: the archive is whole without it.
    void publish_soon() {
        if (background_ == nullptr) return run();
        if (waiting_.exchange(true)) return;
        background_->post([self = shared_from_this()] { self->run(); });
    }

  private:
    void run() {
        waiting_ = false;
        const auto root = node_.find(base_);
        if (!root.ok() || !root->has_value()) return;
        if (!key_.empty()) static_cast<void>(node_.publish(key_, (*root)->cid).ok());
        static_cast<void>(node_.provide((*root)->cid).ok());
    }

    Kubo node_;
    std::string base_;
    std::string key_;
    ports::Executor* background_;
    std::atomic<bool> waiting_{false};
};

class IpfsTarget final : public Target {
  public:
    IpfsTarget(const IpfsOptions& options, codec::Cid root, ports::HttpClient& client, ports::Executor* background)
        : options_(options), reader_(client, nodes_of(options, client), options.gateways) {
        const std::string base = "/dvesp/" + options.name;
        if (!options.root.empty()) {
            directory_ = std::make_unique<RootDirectory>(reader_, std::move(root));
            return;
        }
        for (const Kubo& node : nodes_of(options, client)) keepers_.push_back(std::make_unique<NodeDirectory>(node, base));
        publisher_ = std::make_shared<Publisher>(keepers_.front()->node(), base, options.ipns_key, background);
    }

    [[nodiscard]] std::string describe() const override {
        if (keepers_.empty()) return "ipfs " + options_.root + ", only read";
        return "ipfs archive " + options_.name + " at " + keepers_.front()->node().place();
    }
    [[nodiscard]] std::string identity() const override {
        return keepers_.empty() ? "ipfs root " + options_.root
                                : "ipfs " + keepers_.front()->node().place() + " " + options_.name;
    }

    Result<std::string> put(const ObjectName& name, ports::ByteSource& content) override;
    Result<bool> has(const ObjectName& name) override;
    Result<void> get(const ObjectName& name, const ports::ByteSink& sink) override;
    Result<void> remove(const ObjectName& name) override;
    Result<std::vector<ObjectName>> list() override;
    Result<void> put_document(const std::string& name, ByteView bytes) override;
    Result<std::optional<std::vector<std::uint8_t>>> get_document(const std::string& name) override;
    Result<void> remove_document(const std::string& name) override;
    Result<std::vector<std::string>> list_documents() override;
    Result<std::string> root() override;

  private:
    static std::vector<Kubo> nodes_of(const IpfsOptions& options, ports::HttpClient& client) {
        std::vector<Kubo> out;
        for (const std::string& url : options.apis) out.emplace_back(client, url, options.token);
        return out;
    }
    IpfsDirectory& directory() { return keepers_.empty() ? *directory_ : *keepers_.front(); }
    /// @errors invalid_argument: this target is only read
    [[nodiscard]] Result<void> check_writable() const {
        if (!keepers_.empty()) return {};
        return fail(ErrorCode::invalid_argument, describe() + ": without `root`, with `api` and `name`, it can be written");
    }
    /// The object's CID, from its locator or its place in the directory; nothing when it is not there.
    Result<std::optional<codec::Cid>> cid_of(const ObjectName& name);
    static Result<void> send(const Kubo& node, const FilePlan& plan, ports::ByteSource& content, bool pinned);
    static Result<void> keep(NodeDirectory& keeper, const FilePlan& plan, ports::ByteSource& content, bool is_first);
    Result<std::uint64_t> bytes_of_entry(const Kubo::Entry& entry);
    Result<void> check_key();

    IpfsOptions options_;
    IpfsReader reader_;
    std::vector<std::unique_ptr<NodeDirectory>> keepers_;  ///< empty: only read
    std::unique_ptr<IpfsDirectory> directory_;             ///< where it is only read
    std::shared_ptr<Publisher> publisher_;
    std::atomic<bool> key_is_known_{false};
};

std::string object_text(const ObjectName& name) { return "object " + to_hex(name.sha256); }

Result<std::optional<codec::Cid>> IpfsTarget::cid_of(const ObjectName& name) {
    if (name.locator.empty()) return directory().find(object_path(name.sha256));
    auto cid = codec::parse_cid(name.locator);
    if (!cid.ok())
        return fail(ErrorCode::invalid_argument, object_text(name) + ": its locator is no CID: " + cid.error().message);
    return std::optional(std::move(*cid));
}

Result<void> IpfsTarget::send(const Kubo& node, const FilePlan& plan, ports::ByteSource& content, bool pinned) {
    CarParts parts = car_parts(plan, content);
    for (std::size_t index = 0; index < parts.bodies.size(); ++index) {
        const bool is_last = index + 1 == parts.bodies.size();
        DVESP_TRY(
            node.import_car(std::move(parts.bodies[index]), parts.boundary, is_last && pinned ? &plan.root.cid : nullptr));
    }
    return {};
}

/// A further node fetches from the first; where the two do not find each other, it gets the content from us.
Result<void> IpfsTarget::keep(NodeDirectory& keeper, const FilePlan& plan, ports::ByteSource& content, bool is_first) {
    const Kubo& node = keeper.node();
    DVESP_ASSIGN(const bool pinned, node.is_pinned(plan.root.cid));
    if (pinned) return {};
    if (!is_first && node.pin(plan.root.cid).ok()) return {};
    return send(node, plan, content, true);
}

Result<std::string> IpfsTarget::put(const ObjectName& name, ports::ByteSource& content) {
    DVESP_TRY(check_writable());
    if (content.size() > object_bytes_max)
        return fail(ErrorCode::invalid_argument, object_text(name) + " is larger than 1 GiB");
    DVESP_ASSIGN(const FilePlan plan, plan_file(content));
    if (plan.sha256 != name.sha256 || content.size() != name.bytes) {
        return fail(ErrorCode::integrity, object_text(name) + " has other content than its name says; nothing was sent");
    }
    Result<void> worst;
    for (const auto& keeper : keepers_) {
        const bool is_first = keeper == keepers_.front();
        Result<void> kept = keep(*keeper, plan, content, is_first);
        if (kept.ok()) kept = keeper->link(object_path(name.sha256), plan.root.cid);
        if (kept.ok()) continue;
        worst = fail(kept.error().code, object_text(name) + ": " + kept.error().message);
        if (is_first) return worst.error();
    }
    for (const std::string& service : options_.pin_services) {
        DVESP_TRY(keepers_.front()->node().pin_remotely(service, plan.root.cid, to_hex(name.sha256)));
    }
    DVESP_TRY(worst);
    return to_text(plan.root.cid);
}

Result<bool> IpfsTarget::has(const ObjectName& name) {
    DVESP_ASSIGN(const auto linked, directory().find(object_path(name.sha256)));
    if (!linked.has_value()) return false;
    if (!name.locator.empty()) {
        DVESP_ASSIGN(const auto cid, cid_of(name));
        if (cid != linked) return false;
    }
    if (keepers_.empty()) return true;
    for (const auto& keeper : keepers_) {
        DVESP_ASSIGN(const bool pinned, keeper->node().is_pinned(*linked));
        if (!pinned) return false;
    }
    return true;
}

Result<void> IpfsTarget::get(const ObjectName& name, const ports::ByteSink& sink) {
    DVESP_ASSIGN(const auto cid, cid_of(name));
    if (!cid.has_value()) return fail(ErrorCode::corruption, describe() + " does not have " + object_text(name));
    Sha256 whole;
    whole.start();
    const auto hashed = [&](ByteView bytes) {
        whole.update(bytes);
        return sink(bytes);
    };
    const auto bytes = reader_.read_file(*cid, object_bytes_max, hashed);
    if (!bytes.ok()) return fail(bytes.error().code, object_text(name) + ": " + bytes.error().message);
    if (whole.finish() != name.sha256 || *bytes != name.bytes) {
        return fail(ErrorCode::integrity, object_text(name) + ": " + to_text(*cid) + " is another file");
    }
    return {};
}

Result<void> IpfsTarget::remove(const ObjectName& name) {
    DVESP_TRY(check_writable());
    DVESP_ASSIGN(const auto cid, cid_of(name));
    if (!cid.has_value()) return {};
    for (const auto& keeper : keepers_) {
        DVESP_TRY(keeper->unlink(object_path(name.sha256)));
        DVESP_TRY(keeper->node().unpin(*cid));
    }
    for (const std::string& service : options_.pin_services) {
        DVESP_TRY(keepers_.front()->node().unpin_remotely(service, *cid));
    }
    return {};
}

Result<std::uint64_t> IpfsTarget::bytes_of_entry(const Kubo::Entry& entry) {
    if (!keepers_.empty() || entry.cid.codec == codec::codec_raw) return entry.bytes;
    DVESP_ASSIGN(const auto block, reader_.read_block(entry.cid));
    return codec::file_bytes_of(entry.cid, block);
}

Result<std::vector<ObjectName>> IpfsTarget::list() {
    std::vector<ObjectName> out;
    DVESP_ASSIGN(const auto folders, directory().list(std::string(objects_folder)));
    for (const Kubo::Entry& folder : folders) {
        DVESP_ASSIGN(const auto entries, directory().list(std::string(objects_folder) + "/" + folder.name));
        for (const Kubo::Entry& entry : entries) {
            ObjectName name;
            if (!from_hex(entry.name, name.sha256)) continue;  // somebody else's file
            DVESP_ASSIGN(name.bytes, bytes_of_entry(entry));
            name.locator = to_text(entry.cid);
            out.push_back(std::move(name));
        }
    }
    return out;
}

/// Looked at once: what is wrong with publishing in the background would be seen by nobody.
Result<void> IpfsTarget::check_key() {
    if (options_.ipns_key.empty() || key_is_known_) return {};
    DVESP_ASSIGN(const bool known, keepers_.front()->node().has_key(options_.ipns_key));
    if (!known) {
        return fail(ErrorCode::invalid_argument, describe() + ": ipns_key: the node has no key " + options_.ipns_key +
                                                     "; make it with `ipfs key gen --type=ed25519`");
    }
    key_is_known_ = true;
    return {};
}

/// Documents are not pinned: they are replaced, and the directory alone keeps them.
Result<void> IpfsTarget::put_document(const std::string& name, ByteView bytes) {
    DVESP_ASSERT(bytes.size() <= document_bytes_max);
    DVESP_TRY(check_writable());
    DVESP_TRY(check_document_name(name));
    MemorySource content(bytes);
    DVESP_ASSIGN(const FilePlan plan, plan_file(content));
    for (const auto& keeper : keepers_) {
        DVESP_TRY(send(keeper->node(), plan, content, false));
        DVESP_TRY(keeper->link(document_path(name), plan.root.cid));
    }
    if (name.starts_with("manifest-")) {
        DVESP_TRY(check_key());
        publisher_->publish_soon();
    }
    return {};
}

Result<std::optional<std::vector<std::uint8_t>>> IpfsTarget::get_document(const std::string& name) {
    DVESP_TRY(check_document_name(name));
    DVESP_ASSIGN(const auto cid, directory().find(document_path(name)));
    if (!cid.has_value()) return std::optional<std::vector<std::uint8_t>>();
    std::vector<std::uint8_t> out;
    const auto sink = [&out](ByteView bytes) -> Result<void> {
        out.insert(out.end(), bytes.begin(), bytes.end());
        return {};
    };
    const auto read = reader_.read_file(*cid, document_bytes_max, sink);
    if (!read.ok()) return fail(read.error().code, "document " + name + ": " + read.error().message);
    return std::optional(std::move(out));
}

Result<void> IpfsTarget::remove_document(const std::string& name) {
    DVESP_TRY(check_writable());
    DVESP_TRY(check_document_name(name));
    for (const auto& keeper : keepers_) DVESP_TRY(keeper->unlink(document_path(name)));
    return {};
}

Result<std::vector<std::string>> IpfsTarget::list_documents() {
    std::vector<std::string> out;
    DVESP_ASSIGN(const auto folders, directory().list(std::string(documents_folder)));
    for (const Kubo::Entry& folder : folders) {
        DVESP_ASSIGN(const auto entries, directory().list(std::string(documents_folder) + "/" + folder.name));
        for (const Kubo::Entry& entry : entries) {
            if (is_document_name(entry.name)) out.push_back(entry.name);
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

Result<std::string> IpfsTarget::root() {
    DVESP_ASSIGN(const auto cid, directory().root());
    return cid.has_value() ? to_text(*cid) : std::string();
}

/// The root of an archive that is only read. @errors invalid_argument
Result<codec::Cid> parse_root(std::string_view text) {
    for (const std::string_view prefix : {"/ipfs/", "/ipns/", "ipfs://", "ipns://"}) {
        if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
    }
    auto name = codec::parse_ipns_name(text);
    if (name.ok()) return name;
    auto cid = codec::parse_cid(text);
    if (!cid.ok()) return fail(ErrorCode::invalid_argument, "root: neither a CID nor an IPNS name: " + cid.error().message);
    if (cid->codec == codec::codec_libp2p_key) return fail(ErrorCode::invalid_argument, "root: " + name.error().message);
    if (cid->codec != codec::codec_dag_pb) return fail(ErrorCode::invalid_argument, "root: the CID is no directory's (dag-pb)");
    return cid;
}

Result<void> check_options(const IpfsOptions& options) {
    for (const auto* list : {&options.apis, &options.gateways}) {
        for (const std::string& url : *list) {
            if (url.starts_with("http://") || url.starts_with("https://")) continue;
            return fail(ErrorCode::invalid_argument, (list == &options.apis ? "api: " : "gateways: ") +
                                                         without_credentials(url) + " is no http:// or https:// address");
        }
    }
    if (!options.root.empty()) {
        if (!options.apis.empty() || !options.gateways.empty()) return {};
        return fail(ErrorCode::invalid_argument, "root: give `gateways` or `api` to read it from");
    }
    if (options.apis.empty()) {
        return fail(ErrorCode::invalid_argument, "api: give the RPC address of a kubo node, such as http://127.0.0.1:5001");
    }
    const bool is_hex = options.name.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (options.name.empty() || !is_hex || options.name.size() > archive_name_digits_max) {
        return fail(ErrorCode::invalid_argument, "name: an archive's name is 1 to 64 lower-case hex digits");
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Target>> make_ipfs_target(const IpfsOptions& options, ports::HttpClient& client,
                                                 ports::Executor* background) {
    DVESP_TRY(check_options(options));
    codec::Cid root;
    if (!options.root.empty()) {
        DVESP_ASSIGN(root, parse_root(options.root));
    }
    return std::unique_ptr<Target>(std::make_unique<IpfsTarget>(options, std::move(root), client, background));
}

}  // namespace dvesp::archive
