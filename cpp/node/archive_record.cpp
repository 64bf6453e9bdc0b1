/// node/archive_record.cpp - what a pump knows of its target: from the last time, and by looking.
#include <algorithm>
#include <set>

#include "codec/byte_io.hpp"
#include "node/archive_pump.hpp"
#include "node/vault_twins.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t identity_bytes_max = 65536;
constexpr std::uint64_t hour_ms = 3'600'000;
constexpr std::uint64_t grace_ms = 600'000;

}  // namespace

std::string ArchivePump::record_path() const {
    const Hash place = sha256(bytes_of(target_->identity() + (is_public_ ? "\npublic" : "")));
    return std::string(archive_directory) + "/" + to_hex(ByteView(place).first(16));
}

/// A record that is damaged or of another place counts for nothing: then the target is asked for everything.
Result<void> ArchivePump::load_record() {
    auto kept = read_vault_twin(*ports_.files, record_path());
    if (!kept.ok() && kept.error().code != ErrorCode::corruption) return kept.error();
    if (!kept.ok() || !kept->has_value()) return {};
    codec::Reader in((*kept)->content);
    const std::string identity = in.text(identity_bytes_max);
    const auto number = in.number<std::uint64_t>();
    const auto revision = in.number<std::uint64_t>();
    const auto described = in.array<32>();
    const ByteView files = in.view(in.left());
    if (!in.ok() || identity != target_->identity()) return {};
    auto parsed = codec::parse_archive_manifest(files);
    if (!parsed.ok()) return {};
    record_generation_ = (*kept)->generation;
    number_ = number;
    keys_revision_ = revision;
    described_ = described;
    for (codec::ArchivedFile& file : parsed->files) known_[file.content] = std::move(file);
    return {};
}

Result<void> ArchivePump::save_record() {
    codec::Writer out;
    out.text(target_->identity());
    out.number(number_);
    out.number(keys_revision_);
    out.raw(described_);
    codec::ArchiveManifest files;
    for (const auto& [content, file] : known_) files.files.push_back(file);
    out.raw(codec::encode_archive_manifest(files));
    DVESP_TRY(ports_.files->make_directory(archive_directory));
    return replace_vault_twin(*ports_.files, archive_directory, record_path(), ++record_generation_, out.bytes());
}

/// Compares what is remembered with what is there: somebody may have emptied the place, or another store may use it.
Result<void> ArchivePump::meet() {
    known_.clear();
    DVESP_TRY(load_record());
    DVESP_ASSIGN(const auto documents, target_->list_documents());
    DVESP_TRY(check_whose(documents));
    for (const std::string& name : documents) {
        const auto number = archive::manifest_number(name);
        if (!number || *number <= number_) continue;
        number_ = *number;
        described_ = {};  // somebody else wrote it
    }
    if (std::find(documents.begin(), documents.end(), archive::manifest_name(number_)) == documents.end()) described_ = {};
    if (std::find(documents.begin(), documents.end(), archive::keyring_document) == documents.end()) keys_revision_ = 0;
    DVESP_ASSIGN(const auto objects, target_->list());
    std::set<std::pair<Hash, std::uint64_t>> there;
    for (const archive::ObjectName& name : objects) there.emplace(name.sha256, name.bytes);
    kept_.clear();
    older_.clear();
    for (const archive::ObjectName& name : objects) older_.insert(name.sha256);
    std::erase_if(known_, [&](const auto& entry) {
        return std::any_of(entry.second.parts.begin(), entry.second.parts.end(), [&](const codec::ArchivedPart& part) {
            return !there.contains({part.stored, part.bytes});
        });
    });
    has_met_ = true;
    return {};
}

void ArchivePump::thin(const codec::ArchiveHead& head, const std::vector<codec::ArchivedFile>& files) {
    Kept fresh{head.number, head.created_ms, {}};
    for (const codec::ArchivedFile& file : files) fresh.parts.insert(fresh.parts.end(), file.parts.begin(), file.parts.end());
    kept_.push_back(std::move(fresh));
    // One that was the newest not long ago may be what somebody is restoring.
    for (std::size_t at = 1; at + 1 < kept_.size() && kept_[at].created_ms + grace_ms < head.created_ms;) {
        if (kept_[at].created_ms >= kept_[at - 1].created_ms + hour_ms) {
            ++at;
            continue;
        }
        const Kept gone = std::move(kept_[at]);
        kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(at));
        let_go(gone);
    }
}

/// What fails here stays until `prune`.
void ArchivePump::let_go(const Kept& gone) {
    if (!target_->remove_document(archive::manifest_name(gone.number)).ok()) return;
    std::set<Hash> needed;
    for (const Kept& one : kept_) {
        for (const codec::ArchivedPart& part : one.parts) needed.insert(part.stored);
    }
    for (const codec::ArchivedPart& part : gone.parts) {
        if (needed.contains(part.stored) || older_.contains(part.stored)) continue;
        static_cast<void>(target_->remove({part.stored, part.bytes, part.locator}).ok());
    }
}

Result<void> ArchivePump::check_whose(const std::vector<std::string>& documents) {
    const auto refuse = [&](const std::string& whose) {
        return fail(ErrorCode::invalid_argument, "archive: " + target_->describe() + " holds the archive of another " + whose +
                                                     "; give each store a place of its own");
    };
    std::optional<std::uint64_t> newest;
    for (const std::string& name : documents) {
        if (const auto number = archive::manifest_number(name)) newest = std::max(newest.value_or(0), *number);
    }
    if (newest) {
        DVESP_ASSIGN(const auto document, target_->get_document(archive::manifest_name(*newest)));
        const auto head = document ? codec::parse_archive_head(*document) : Result<codec::ArchiveHead>(codec::ArchiveHead());
        DVESP_ASSIGN(const auto state, database_.archive_state());
        if (document && head.ok() && head->store_id != state.manifest.store_id) return refuse("store");
    }
    if (keys_ == nullptr) return {};
    DVESP_ASSIGN(const auto keyring, target_->get_document(archive::keyring_document));
    if (!keyring) return {};
    DVESP_ASSIGN(const auto id, sealed::KeyTable::id_of(*keyring));
    return id == keys_->id() ? Result<void>() : Result<void>(refuse("store, under other keys"));
}

}  // namespace dvesp::node
