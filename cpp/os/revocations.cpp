/// os/revocations.cpp - signatures by OpenSSL, the file by write and rename, the set in memory.
#include "os/revocations.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "os/new_file.hpp"
#include "os/openssl_owners.hpp"
#include "os/signing.hpp"
#include "os/system_error.hpp"

namespace dvesp::os {
namespace {

using Entries = std::vector<std::vector<std::uint8_t>>;

constexpr std::size_t authorities_max = 16;
constexpr std::size_t peers_max = 4096;
constexpr std::size_t logged_max = 4096;
constexpr std::size_t file_bytes_max = codec::revocations_max * codec::revocation_bytes_max;
constexpr mode_t file_mode = 0644;

std::string described(const codec::Revocation& entry) {
    return "certificate " + to_hex(entry.serial) + " is revoked (" + codec::reason_name(entry.reason) + ")";
}

}  // namespace

/// Public keys by the hash that entries name them by.
struct RevocationSet::Authorities {
    std::map<Hash, OwnedKey> keys;

    static Result<std::shared_ptr<const Authorities>> read(const std::string& path) {
        const OwnedBio file(BIO_new_file(path.c_str(), "r"));
        auto out = std::make_shared<Authorities>();
        while (file && out->keys.size() < authorities_max) {
            const OwnedCertificate certificate(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
            if (!certificate) break;
            OwnedKey key(X509_get_pubkey(certificate.get()));
            if (key && X509_check_ca(certificate.get()) >= 1) out->keys[identity_of(certificate.get()).key] = std::move(key);
        }
        ERR_clear_error();
        if (out->keys.empty())
            return fail(ErrorCode::invalid_argument, "tls.ca: there is no CA's certificate in '" + path + "'");
        return std::shared_ptr<const Authorities>(std::move(out));
    }
    [[nodiscard]] bool signed_entry(ByteView bytes, const codec::Revocation& entry) const {
        const auto found = keys.find(entry.ca);
        return found != keys.end() && is_signature_of(found->second.get(), codec::revocation_text(bytes), entry.signature);
    }
};

Result<Entries> read_revocation_file(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open() && errno == ENOENT) return Entries();
    if (!file.is_open()) return system_error(errno, "open", path);
    std::vector<std::uint8_t> bytes;
    constexpr std::size_t piece = std::size_t{64} << 10;
    while (bytes.size() <= file_bytes_max) {
        const std::size_t size = bytes.size();
        bytes.resize(size + piece);
        const ssize_t count = ::read(file.number(), bytes.data() + size, piece);
        bytes.resize(size + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return system_error(errno, "read", path);
        if (count == 0) break;
    }
    const auto views = codec::split_revocations(bytes);
    if (!views.ok()) return fail(ErrorCode::invalid_argument, "'" + path + "': " + views.error().message);
    Entries out;
    for (const ByteView view : *views) out.emplace_back(view.begin(), view.end());
    return out;
}

Result<void> write_revocation_file(const std::string& path, const Entries& entries) {
    const std::string draft = path + ".new";
    if (::unlink(draft.c_str()) != 0 && errno != ENOENT) return system_error(errno, "remove", draft);
    {
        DVESP_ASSIGN(NewFile file, NewFile::create(draft, file_mode));
        for (const auto& entry : entries) DVESP_TRY(file.append(entry));
        DVESP_TRY(file.finish());
    }
    if (::rename(draft.c_str(), path.c_str()) != 0) return system_error(errno, "replace", path);
    return sync_parent(path);
}

RevocationSet::RevocationSet(Options options) : options_(std::move(options)) {}
RevocationSet::~RevocationSet() = default;

Result<std::shared_ptr<RevocationSet>> RevocationSet::open(Options options) {
    std::shared_ptr<RevocationSet> set(new RevocationSet(std::move(options)));
    DVESP_TRY(set->reload_ca());
    const auto known = read_revocation_file(set->options_.path);
    if (!known.ok()) {
        return fail(ErrorCode::io_failed, known.error().message +
                                              "; without it revoked peers would be let in: put it back, or take the CA's "
                                              "own file `revocations` in its place");
    }
    for (const auto& bytes : *known) {
        const auto entry = codec::parse_revocation(bytes);
        if (entry.ok() && set->verify(bytes, *entry)) set->take(bytes, *entry);  // of a CA that is gone: nobody has its leaves
    }
    return set;
}

Result<void> RevocationSet::reload_ca() {
    DVESP_ASSIGN(auto authorities, Authorities::read(options_.ca_file));
    const std::scoped_lock lock(mutex_);
    authorities_ = std::move(authorities);
    return {};
}

bool RevocationSet::verify(ByteView bytes, const codec::Revocation& entry) const {
    std::shared_ptr<const Authorities> authorities;
    {
        const std::scoped_lock lock(mutex_);
        authorities = authorities_;
    }
    return authorities->signed_entry(bytes, entry);
}

void RevocationSet::take(ByteView bytes, const codec::Revocation& entry) {
    const std::scoped_lock lock(mutex_);
    entries_.try_emplace(codec::revocation_name(bytes), bytes.begin(), bytes.end());
    serials_.emplace(text_of(entry.serial));
    if (entry.key != Hash{}) keys_.insert(entry.key);
    generation_.fetch_add(1, std::memory_order_acq_rel);
}

bool RevocationSet::holds(ByteView bytes) const {
    const auto entry = codec::parse_revocation(bytes);
    if (!entry.ok()) return false;
    const std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
    {
        const std::scoped_lock lock(mutex_);
        const auto known = entries_.find(codec::revocation_name(bytes));
        if (known != entries_.end() && known->second == copy) return true;
    }
    return verify(bytes, *entry);
}

Result<std::size_t> RevocationSet::add(const Entries& entries) {
    for (const auto& bytes : entries) {
        DVESP_ASSIGN(const codec::Revocation entry, codec::parse_revocation(bytes));
        if (!holds(bytes))
            return fail(ErrorCode::permission_denied,
                        "the revocation of certificate " + to_hex(entry.serial) + " is not signed by this organisation's CA");
    }
    return add_new(entries);
}

Result<std::size_t> RevocationSet::add_new(const Entries& entries) {
    const std::scoped_lock lock(writing_);
    Entries fresh;
    {
        const std::scoped_lock reading(mutex_);
        std::set<Hash> names;
        for (const auto& bytes : entries) {
            const Hash name = codec::revocation_name(bytes);
            if (!entries_.contains(name) && names.insert(name).second) fresh.push_back(bytes);
        }
        if (entries_.size() + fresh.size() > codec::revocations_max)
            return fail(ErrorCode::unavailable, "the set of revocations is full: make a new CA, and certificates of it");
    }
    for (const auto& bytes : fresh) {
        const auto entry = codec::parse_revocation(bytes);
        take(bytes, *entry);
        if (options_.log) options_.log(described(*entry));
    }
    is_dirty_ = is_dirty_ || !fresh.empty();
    DVESP_TRY(save());
    return fresh.size();
}

/// @pre writing_ is held
Result<void> RevocationSet::save() {
    if (!is_dirty_) return {};
    DVESP_TRY(write_revocation_file(options_.path, entries()));
    is_dirty_ = false;
    return {};
}

void RevocationSet::learn(const Entries& entries) {
    const auto added = add(entries);
    if (!added.ok() && options_.log) options_.log("revocations: " + added.error().message);
}

Entries RevocationSet::entries() const {
    const std::scoped_lock lock(mutex_);
    Entries out;
    for (const auto& [name, bytes] : entries_) out.push_back(bytes);
    return out;
}

std::size_t RevocationSet::count() const {
    const std::scoped_lock lock(mutex_);
    return entries_.size();
}

bool RevocationSet::is_revoked(const PeerIdentity& peer) const {
    const std::scoped_lock lock(mutex_);
    return serials_.contains(text_of(peer.serial)) || keys_.contains(peer.key);
}

void RevocationSet::note_peer(const std::string& address, const PeerIdentity& peer) {
    const std::scoped_lock lock(mutex_);
    if (peers_.size() < peers_max || peers_.contains(address)) peers_[address] = peer;
}

bool RevocationSet::is_revoked_at(const std::string& address) const {
    const std::scoped_lock lock(mutex_);
    const auto peer = peers_.find(address);
    if (peer == peers_.end()) return false;
    return peer->second.serial.empty() || serials_.contains(text_of(peer->second.serial)) || keys_.contains(peer->second.key);
}

void RevocationSet::note_refused(const PeerIdentity& peer) {
    refused_.fetch_add(1);
    {
        const std::scoped_lock lock(mutex_);
        if (logged_.size() >= logged_max || !logged_.emplace(text_of(peer.serial)).second) return;
    }
    if (options_.log) options_.log("refused '" + peer.name + "': its certificate " + to_hex(peer.serial) + " is revoked");
}

}  // namespace dvesp::os
