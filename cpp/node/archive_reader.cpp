/// node/archive_reader.cpp - finds what is archived, and reads it from whichever target has it whole.
#include <algorithm>

#include "archive/content.hpp"
#include "node/archive_restore.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint64_t attempts_max = 4;
constexpr std::uint64_t first_pause_ms = 200;

bool is_passing(const Error& error) noexcept {
    return error.code == ErrorCode::unavailable || error.code == ErrorCode::timeout;
}

std::vector<std::uint64_t> numbers_of(const std::vector<std::string>& documents) {
    std::vector<std::uint64_t> numbers;
    for (const std::string& name : documents) {
        if (const auto number = archive::manifest_number(name)) numbers.push_back(*number);
    }
    std::sort(numbers.rbegin(), numbers.rend());
    return numbers;
}

}  // namespace

Result<std::unique_ptr<ArchiveReader>> ArchiveReader::open(ArchiveSetup setup, ports::Files& files, ports::Random& random) {
    std::unique_ptr<ArchiveReader> reader(new ArchiveReader(std::move(setup)));
    DVESP_TRY(reader->find_keys(files, random));
    DVESP_TRY(reader->find_manifests());
    return reader;
}

Result<void> ArchiveReader::find_keys(ports::Files& files, ports::Random& random) {
    if (!setup_.secret) return {};
    Result<void> last;
    for (const ArchiveTarget& target : setup_.targets) {
        const auto document = target.target->get_document(archive::keyring_document);
        if (!document.ok()) last = document.error();
        if (!document.ok() || !*document) continue;
        auto adopted = ArchiveKeys::adopt(**document, *setup_.secret, files, random);
        if (adopted.ok()) {
            keys_ = std::move(*adopted);
            DVESP_ASSIGN(manifest_keys_, keys_->known_manifest());
            return {};
        }
        last = adopted.error();
    }
    return last;
}

Result<void> ArchiveReader::find_manifests() {
    Result<void> last = fail(ErrorCode::invalid_argument, "from_: no target holds an archive; look at its address");
    for (const ArchiveTarget& target : setup_.targets) {
        const auto found = find_newest(*target.target);
        if (found.ok()) continue;
        problems_.push_back(target.target->describe() + ": " + found.error().message);
        last = Error{found.error().code, problems_.back()};
    }
    if (found_.empty()) return last;
    std::stable_sort(found_.begin(), found_.end(),
                     [](const Found& a, const Found& b) { return a.opened.head.created_ms > b.opened.head.created_ms; });
    const auto is_other = [&](const Found& one) { return one.opened.head.store_id != newest().opened.head.store_id; };
    if (std::any_of(found_.begin(), found_.end(), is_other))
        return fail(ErrorCode::invalid_argument, "from_: the targets hold archives of different stores; give those of one");
    return {};
}

/// The newest manifest that is whole; those that are not are told.
Result<void> ArchiveReader::find_newest(archive::Target& target) {
    DVESP_ASSIGN(const auto documents, target.list_documents());
    Result<void> last = fail(ErrorCode::invalid_argument, "it holds no archive");
    for (const std::uint64_t number : numbers_of(documents)) {
        auto found = read_manifest(target, number);
        if (found.ok()) {
            found_.push_back(std::move(*found));
            return {};
        }
        if (found.error().code == ErrorCode::sealed || is_passing(found.error())) return found.error();
        problems_.push_back(target.describe() + ": " + archive::manifest_name(number) + ": " + found.error().message);
        last = Error{found.error().code, archive::manifest_name(number) + ": " + found.error().message};
    }
    return last;
}

Result<ArchiveReader::Found> ArchiveReader::read_manifest(archive::Target& target, std::uint64_t number) {
    DVESP_ASSIGN(const auto document, target.get_document(archive::manifest_name(number)));
    if (!document) return fail(ErrorCode::corruption, "it is missing");
    Found found;
    found.target = &target;
    DVESP_ASSIGN(found.opened, archive::open_manifest(*document, manifest_keys_ ? &*manifest_keys_ : nullptr));
    if (found.opened.head.number != number) return fail(ErrorCode::integrity, "it is another manifest under this name");
    DVESP_ASSIGN(auto parsed, codec::parse_manifest(found.opened.manifest.store));
    found.store = std::move(parsed.manifest);
    return found;
}

Result<void> ArchiveReader::fetch(const codec::ArchivedFile& file, const ports::ByteSink& sink,
                                  const std::function<void()>& restart) {
    Result<void> last;
    bool is_first = true;
    for (std::uint64_t attempt = 0; attempt < attempts_max; ++attempt) {
        bool may_come = false;
        for (const Found& found : found_) {
            if (cancelled_) return fail(ErrorCode::closed, "the store is closed; restore it again");
            if (!is_first) restart();
            is_first = false;
            last = fetch_from(found, file, sink);
            if (last.ok()) return {};
            may_come = may_come || is_passing(last.error());
        }
        if (!may_come) return last;
        if (setup_.http && attempt + 1 < attempts_max) setup_.http->pause(first_pause_ms << attempt);
    }
    return last;
}

Result<void> ArchiveReader::fetch_from(const Found& found, const codec::ArchivedFile& file, const ports::ByteSink& sink) {
    const auto& files = found.opened.manifest.files;
    const auto is_it = [&](const codec::ArchivedFile& other) { return other.content == file.content; };
    const auto known = std::find_if(files.begin(), files.end(), is_it);
    const std::string name = found.target->describe() + ", file " + to_hex(file.content);
    if (known == files.end()) return fail(ErrorCode::corruption, name + ": not in this target");
    std::optional<crypto::Key32> key;
    if (found.opened.head.is_encrypted) {
        DVESP_ASSIGN(const crypto::Key32 collection, keys_->known_collection(known->shard));
        key = archive::content_key(collection, known->content);
    }
    Sha256 hasher;
    hasher.start();
    archive::ContentReader content(known->bytes, std::move(key), [&](ByteView bytes) -> Result<void> {
        hasher.update(bytes);
        return sink(bytes);
    });
    for (const codec::ArchivedPart& part : known->parts) {
        const auto got = found.target->get({part.stored, part.bytes, part.locator}, [&](ByteView bytes) -> Result<void> {
            if (cancelled_) return fail(ErrorCode::closed, "the store is closed; restore it again");
            return content.take(bytes);
        });
        if (!got.ok()) return Error{got.error().code, name + ", object " + to_hex(part.stored) + ": " + got.error().message};
    }
    const auto finished = content.finish();
    if (finished.ok() && hasher.finish() == known->content) return {};
    return fail(ErrorCode::integrity, name + ": the content is not what was archived");
}

Result<std::vector<ArchivedState>> ArchiveReader::list() {
    std::vector<ArchivedState> out;
    for (const ArchiveTarget& target : setup_.targets) {
        DVESP_ASSIGN(const auto documents, target.target->list_documents());
        for (const std::uint64_t number : numbers_of(documents)) {
            ArchivedState state;
            state.target = target.target->describe();
            state.number = number;
            const auto found = read_manifest(*target.target, number);
            if (!found.ok()) {
                state.problem = found.error().message;
                out.push_back(std::move(state));
                continue;
            }
            state.created_ms = found->opened.head.created_ms;
            state.batches = found->opened.manifest.frames;
            for (const codec::CollectionEntry& entry : found->store.collections) state.collections.push_back(entry.name);
            for (const codec::ArchivedFile& file : found->opened.manifest.files) {
                state.segments += file.kind == codec::ArchivedKind::segment ? 1 : 0;
                state.objects += file.parts.size();
                for (const codec::ArchivedPart& part : file.parts) state.bytes += part.bytes;
            }
            out.push_back(std::move(state));
        }
    }
    return out;
}

std::vector<std::string> ArchiveReader::verify() {
    std::vector<std::string> problems = problems_;
    for (const Found& found : found_) {
        const auto& files = found.opened.manifest.files;
        std::vector<std::string> of_target(files.size());
        setup_.executor->run(files.size(), [&](std::size_t at) {
            const auto read = fetch_from(found, files[at], [](ByteView) { return Result<void>(); });
            if (!read.ok()) of_target[at] = read.error().message;
        });
        std::erase(of_target, std::string());
        problems.insert(problems.end(), of_target.begin(), of_target.end());
    }
    return problems;
}

void ArchiveReader::cancel() {
    cancelled_ = true;
    if (setup_.http) setup_.http->cancel();
}

}  // namespace dvesp::node
