/// node/archive_pump.cpp - one round: what is lacking, in the order that leaves every manifest whole.
#include "node/archive_pump.hpp"

#include <algorithm>
#include <set>

#include "archive/content.hpp"
#include "store/segment_writer.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t hash_step_bytes = std::size_t{1} << 20;

Result<Hash> hash_of(ports::ByteSource& source) {
    std::vector<std::uint8_t> buffer(std::min<std::uint64_t>(hash_step_bytes, source.size()));
    Sha256 hasher;
    hasher.start();
    for (std::uint64_t done = 0; done < source.size();) {
        const MutableBytes part = MutableBytes(buffer).first(std::min<std::uint64_t>(buffer.size(), source.size() - done));
        DVESP_TRY(source.read(done, part));
        hasher.update(part);
        done += part.size();
    }
    return hasher.finish();
}

codec::PackedFrame packed(const store::Frame& frame) {
    return {codec::columns_crc(frame.buffer.bytes(), frame.view.layout),
            frame.buffer.bytes().subspan(codec::envelope_bytes, frame.view.layout.end - codec::envelope_bytes)};
}

/// Lets go of the last packs that are not twice as large as what comes behind them: their batches go once more, in one pack
/// with the new ones. So a shard has few packs, and a batch travels as often as the logarithm of their number.
template <class Packs>
void merge_small(Packs& packs, const std::vector<const store::Frame*>& frames) {
    std::uint64_t behind = 0;
    std::size_t next = frames.size();
    while (!packs.empty()) {
        while (next > 0 && frames[next - 1]->view.head.seq > packs.back().numbers.back())
            behind += frames[--next]->buffer.size();
        if (behind == 0 || packs.back().file.bytes >= 2 * behind) return;
        packs.pop_back();
    }
}

}  // namespace

ArchivePump::ArchivePump(const ArchivePorts& ports, store::Database& database, std::unique_ptr<archive::Target> target,
                         ArchiveKeys* keys, bool is_public)
    : ports_(ports), database_(database), target_(std::move(target)), keys_(keys), is_public_(is_public) {
    report_.target = target_->describe();
}

Result<void> ArchivePump::round() {
    if (stopping_) return fail(ErrorCode::closed, "the store is closed; open it again");
    const std::scoped_lock lock(round_mutex_);
    const auto done = try_round();
    const std::scoped_lock report_lock(report_mutex_);
    failures_ = done.ok() ? 0 : failures_ + 1;
    report_.failures = failures_;
    report_.last_error = done.ok() ? std::string() : done.error().message;
    return done;
}

Result<void> ArchivePump::try_round() {
    if (!has_met_) DVESP_TRY(meet());
    if (is_current()) return {};
    Round round;
    DVESP_ASSIGN(round.state, database_.archive_state());
    std::vector<std::vector<std::uint8_t>> packs;
    plan_segments(round);
    plan_frames(round, packs);
    count_waiting(round);
    const auto sent = upload_all(round);
    if (!sent.ok()) packs_.clear();  // some were not sent; their batches make new ones
    DVESP_TRY(sent);
    DVESP_TRY(write_manifest(round));
    done_version_ = round.state.version;
    count_waiting(round);
    return {};
}

void ArchivePump::plan_segments(Round& round) {
    for (std::size_t at = 0; at < round.state.pinned.size(); ++at) {
        const std::uint32_t shard = round.state.manifest.collections[at].shard;
        const auto plan = [&](codec::ArchivedKind kind, const Hash& content, ByteView bytes) {
            const auto known = known_.find(content);
            round.files.push_back(known != known_.end() ? known->second
                                                        : codec::ArchivedFile{kind, shard, content, bytes.size(), {}});
            round.contents.push_back(bytes);
        };
        for (const store::IndexedSegment& segment : round.state.pinned[at]->segments) {
            plan(codec::ArchivedKind::segment, segment.segment->file(), segment.segment->checked_file().bytes());
            for (const auto& index : segment.indexes)
                plan(codec::ArchivedKind::index, index->file(), index->checked_file().bytes());
        }
    }
}

/// Batches that are in no segment: those that no earlier pack has make a new one for their shard.
void ArchivePump::plan_frames(Round& round, std::vector<std::vector<std::uint8_t>>& packs) {
    std::map<std::uint32_t, std::vector<const store::Frame*>> by_shard;
    for (const auto& frame : round.state.frames) by_shard[frame->view.head.shard].push_back(frame.get());
    std::erase_if(packs_, [&](const auto& of_shard) { return !by_shard.contains(of_shard.first); });
    for (const auto& [shard, frames] : by_shard) {
        std::vector<Pack>& old = packs_[shard];
        const std::uint64_t first = frames.front()->view.head.seq;
        std::erase_if(old, [&](const Pack& pack) { return pack.numbers.back() < first; });
        merge_small(old, frames);
        const std::uint64_t packed_up_to = old.empty() ? first - 1 : old.back().numbers.back();
        Pack fresh;
        std::vector<codec::PackedFrame> bodies;
        for (const store::Frame* frame : frames) {
            if (frame->view.head.seq <= packed_up_to) continue;
            bodies.push_back(packed(*frame));
            fresh.numbers.push_back(frame->view.head.seq);
        }
        for (const Pack& pack : old) {
            round.files.push_back(pack.file);
            round.contents.emplace_back();
            round.manifest.frames += pack.numbers.size();
        }
        if (bodies.empty()) continue;
        packs.push_back(codec::pack_frames(bodies));
        const Hash content = sha256(packs.back());
        fresh.file = {codec::ArchivedKind::frames, shard, content, packs.back().size(), {}};
        round.files.push_back(fresh.file);
        round.contents.emplace_back(packs.back());
        round.manifest.frames += fresh.numbers.size();
        old.push_back(std::move(fresh));
    }
}

void ArchivePump::count_waiting(const Round& round) {
    ArchiveTargetReport counted;
    for (const codec::ArchivedFile& file : round.files) {
        const bool is_there = !file.parts.empty();
        counted.waiting_objects += is_there ? 0 : archive::part_count(file.bytes);
        counted.waiting_bytes += is_there ? 0 : file.bytes;
        counted.segments += is_there && file.kind == codec::ArchivedKind::segment ? 1 : 0;
        counted.objects += file.parts.size();
        for (const codec::ArchivedPart& part : file.parts) counted.bytes += part.bytes;
    }
    const std::scoped_lock lock(report_mutex_);
    report_.segments = counted.segments;
    report_.objects = counted.objects;
    report_.bytes = counted.bytes;
    report_.waiting_objects = counted.waiting_objects;
    report_.waiting_bytes = counted.waiting_bytes;
}

Result<std::optional<crypto::Key32>> ArchivePump::key_of(const codec::ArchivedFile& file) {
    if (is_public_ || keys_ == nullptr) return std::optional<crypto::Key32>();
    DVESP_ASSIGN(const crypto::Key32 collection, keys_->collection(file.shard));
    return std::optional(archive::content_key(collection, file.content));
}

Result<void> ArchivePump::upload_all(Round& round) {
    if (keys_ != nullptr) {
        DVESP_ASSIGN(const archive::ManifestKeys made_now, keys_->manifest());
        static_cast<void>(made_now);
    }
    for (const codec::ArchivedFile& file : round.files) {
        if (file.parts.empty()) DVESP_TRY(key_of(file));  // every key is drawn before the table of keys goes
    }
    DVESP_TRY(upload_keys());
    for (std::size_t at = 0; at < round.files.size(); ++at) {
        if (!round.files[at].parts.empty()) continue;
        DVESP_TRY(upload(round.files[at], round.contents[at]));
        if (round.files[at].kind == codec::ArchivedKind::frames) packs_[round.files[at].shard].back().file = round.files[at];
        count_waiting(round);
    }
    return {};
}

Result<void> ArchivePump::upload(codec::ArchivedFile& file, ByteView content) {
    if (sha256(content) != file.content) {
        return fail(ErrorCode::corruption, ports_.files->describe(store::segment_path(file.content)) +
                                               ": damaged, so it is not archived; verify() says what is lost");
    }
    for (std::uint32_t part = 0; part < archive::part_count(content.size()); ++part) {
        DVESP_ASSIGN(auto kept, upload_part(file, content, part));
        file.parts.push_back(std::move(kept));
    }
    known_[file.content] = file;
    return save_record();
}

Result<codec::ArchivedPart> ArchivePump::upload_part(const codec::ArchivedFile& file, ByteView content, std::uint32_t part) {
    if (stopping_) return fail(ErrorCode::closed, "the store is closed; open it again");
    DVESP_ASSIGN(auto key, key_of(file));
    archive::PartSource source(content, part, std::move(key));
    archive::ObjectName name;
    name.bytes = source.size();
    DVESP_ASSIGN(name.sha256, hash_of(source));
    DVESP_ASSIGN(auto locator, target_->put(name, source));
    return codec::ArchivedPart{name.sha256, name.bytes, std::move(locator)};
}

Result<void> ArchivePump::upload_keys() {
    if (keys_ == nullptr || keys_revision_ == keys_->revision()) return {};
    const std::uint64_t revision = keys_->revision();
    DVESP_TRY(target_->put_document(archive::keyring_document, keys_->document()));
    keys_revision_ = revision;
    return save_record();
}

Result<void> ArchivePump::write_manifest(Round& round) {
    round.manifest.store = codec::encode_manifest(round.state.manifest);
    round.manifest.files = round.files;
    const Hash described = sha256(codec::encode_archive_manifest(round.manifest));
    if (number_ != 0 && described == described_) return {};  // it was opened again, and nothing changed
    codec::ArchiveHead head;
    head.store_id = round.state.manifest.store_id;
    head.number = number_ + 1;
    head.created_ms = ports_.clock->wall_ms();
    ports_.random->fill(head.salt);
    std::optional<archive::ManifestKeys> keys;
    if (keys_ != nullptr) {
        DVESP_ASSIGN(keys, keys_->manifest());
    }
    const auto document = archive::seal_manifest(head, round.manifest, keys ? &*keys : nullptr, !is_public_);
    DVESP_TRY(target_->put_document(archive::manifest_name(head.number), document));
    number_ = head.number;
    described_ = described;
    known_.clear();
    for (const codec::ArchivedFile& file : round.files) known_[file.content] = file;
    DVESP_TRY(save_record());
    thin(head, round.files);
    auto root = target_->root();
    const std::scoped_lock lock(report_mutex_);
    report_.manifest = number_;
    report_.last_archive_ms = head.created_ms;
    if (root.ok()) report_.root = *root;
    return {};
}

Result<std::uint64_t> ArchivePump::prune(std::size_t keep) {
    const std::scoped_lock lock(round_mutex_);
    if (!has_met_) DVESP_TRY(meet());
    std::optional<archive::ManifestKeys> keys;
    if (keys_ != nullptr) {
        DVESP_ASSIGN(keys, keys_->manifest());
    }
    DVESP_ASSIGN(const auto documents, target_->list_documents());
    std::vector<std::uint64_t> numbers;
    for (const std::string& name : documents) {
        if (const auto number = archive::manifest_number(name)) numbers.push_back(*number);
    }
    std::sort(numbers.rbegin(), numbers.rend());
    std::set<Hash> needed;
    for (std::size_t at = 0; at < std::min(keep, numbers.size()); ++at) {
        DVESP_ASSIGN(const auto document, target_->get_document(archive::manifest_name(numbers[at])));
        if (!document) continue;
        DVESP_ASSIGN(const auto opened, archive::open_manifest(*document, keys ? &*keys : nullptr));
        for (const codec::ArchivedFile& file : opened.manifest.files) {
            for (const codec::ArchivedPart& part : file.parts) needed.insert(part.stored);
        }
    }
    // Manifests go before what they name, so that none is ever there without its objects.
    for (std::size_t at = keep; at < numbers.size(); ++at)
        DVESP_TRY(target_->remove_document(archive::manifest_name(numbers[at])));
    DVESP_TRY(target_->clean_up());
    std::erase_if(kept_, [&](const Kept& one) { return numbers.size() > keep && one.number < numbers[keep - 1]; });
    std::uint64_t removed = 0;
    std::erase_if(known_, [&](const auto& entry) {
        return std::any_of(entry.second.parts.begin(), entry.second.parts.end(),
                           [&](const codec::ArchivedPart& part) { return !needed.contains(part.stored); });
    });
    DVESP_TRY(save_record());
    DVESP_ASSIGN(const auto objects, target_->list());
    for (const archive::ObjectName& name : objects) {
        if (needed.contains(name.sha256)) continue;
        DVESP_TRY(target_->remove(name));
        ++removed;
    }
    return removed;
}

ArchiveTargetReport ArchivePump::report() const {
    const std::scoped_lock lock(report_mutex_);
    ArchiveTargetReport out = report_;
    out.is_current = is_current();
    return out;
}

}  // namespace dvesp::node
