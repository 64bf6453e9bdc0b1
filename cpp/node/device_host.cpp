/// node/device_host.cpp - finding a store's vault, checking who writes, and doing what is asked. Messages:
/// docs/formats/device.md.
#include "node/device_host.hpp"

#include <algorithm>

#include "base/sha256.hpp"

namespace dvesp::node {
namespace {

using codec::DeviceOp;
using codec::DeviceReply;
using codec::DeviceRequest;

constexpr std::uint64_t ns_per_ms = 1'000'000;
constexpr const char *session_record = "host.session", *own_names = "host.";
constexpr std::size_t store_name_characters = 32;
constexpr std::string_view mark_suffix = ".store";             ///< of an empty file beside each folder: Files lists files alone
constexpr std::size_t items_first = 16, items_at_once = 1024;  ///< read from the vault in one step

/// The store whose mark has this name; nothing for other names.
std::optional<StoreId> store_of(const std::string& name) {
    if (name.size() != store_name_characters + mark_suffix.size() || !name.ends_with(mark_suffix)) return std::nullopt;
    StoreId out{};
    for (std::size_t at = 0; at < store_name_characters; ++at) {
        const char digit = name[at];
        const bool is_letter = digit >= 'a' && digit <= 'f';
        if (!is_letter && (digit < '0' || digit > '9')) return std::nullopt;
        const int value = is_letter ? digit - 'a' + 10 : digit - '0';
        out[at / 2] = static_cast<std::uint8_t>(out[at / 2] << 4 | value);
    }
    return out;
}

/// The ids of one page: the smallest ones behind `after`, ascending.
DeviceReply page_of(std::vector<FragmentId> ids, const std::optional<FragmentId>& after) {
    if (after) std::erase_if(ids, [&](const FragmentId& id) { return id <= *after; });
    DeviceReply out;
    const std::size_t size = std::min<std::size_t>(ids.size(), codec::device_ids_max);
    out.is_last = size == ids.size();
    std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(size), ids.end());
    ids.resize(size);
    out.ids = std::move(ids);
    return out;
}

Result<std::optional<VaultDevice::Bytes>> usage_of(VaultDevice& vault) {
    DVESP_ASSIGN(const DeviceUsage usage, vault.usage());
    return std::optional(encode_usage(usage));
}

}  // namespace

Result<std::unique_ptr<DeviceHost>> DeviceHost::open(FilesAt files_at, std::string root, ports::Random& random,
                                                     ports::Clock& clock) {
    std::unique_ptr<DeviceHost> host(new DeviceHost(std::move(files_at), std::move(root), random, clock));
    DVESP_TRY(host->files_at_(host->root_)->make_directory(""));
    DVESP_ASSIGN(const auto places, host->places());
    static_cast<void>(places);
    return host;
}

std::string DeviceHost::path_of(const StoreId& store) const { return root_ + "/" + to_hex(store); }

Result<std::vector<codec::DevicePlace>> DeviceHost::places() {
    const auto root = files_at_(root_);
    DVESP_ASSIGN(auto names, root->list(""));
    std::sort(names.begin(), names.end());
    std::vector<codec::DevicePlace> out;
    for (const std::string& name : names) {
        const auto store = store_of(name);
        if (!store || out.size() == codec::device_stores_max) continue;
        const auto found = VaultDevice::look_at(*files_at_(path_of(*store)));
        if (found && found->store_id == *store) out.push_back({*store, found->id});
    }
    return out;
}

Result<void> DeviceHost::create(const StoreId& store, const DeviceId& device) {
    const std::scoped_lock lock(mutex_);
    if (const auto found = VaultDevice::look_at(*files_at_(path_of(store)))) {
        if (found->id == device && found->store_id == store) return mark(store);  // asked again
        return fail(ErrorCode::invalid_argument, "the node's device has this store already, under another name");
    }
    DVESP_ASSIGN(const auto known, places());
    if (known.size() >= codec::device_stores_max) {
        return fail(ErrorCode::storage_full, "the node's device keeps " + std::to_string(known.size()) +
                                                 " stores, the most it takes; remove folders of stores that are no more");
    }
    DVESP_TRY(VaultDevice::create(files_at_, random_, {device, path_of(store)}, store));
    return mark(store);
}

/// Lists a store: last, so that what is listed is whole.
Result<void> DeviceHost::mark(const StoreId& store) {
    const auto root = files_at_(root_);
    DVESP_ASSIGN(const auto file, root->create(to_hex(store) + std::string(mark_suffix), 0, ports::Access::buffered));
    DVESP_TRY(file->sync());
    return root->sync_directory("");
}

Result<std::shared_ptr<DeviceHost::Hosted>> DeviceHost::hosted(const StoreId& store) {
    const std::scoped_lock lock(mutex_);
    if (const auto found = stores_.find(store); found != stores_.end()) return found->second;
    const auto found = VaultDevice::look_at(*files_at_(path_of(store)));
    if (!found || found->store_id != store) {
        return fail(ErrorCode::unavailable, "the node's device has nothing of this store");
    }
    const DeviceEntry entry{found->id, path_of(store)};
    return stores_.emplace(store, std::make_shared<Hosted>(files_at_, entry, store)).first->second;
}

/// Who wrote last. A node that was started again gives them the time of a lease to come back.
Result<void> DeviceHost::load_session(Hosted& store, std::uint64_t now_ns) {
    if (store.is_loaded) return {};
    DVESP_ASSIGN(const auto bytes, store.vault.record(session_record));
    if (bytes && bytes->size() == store.session.size() + 1) {
        std::copy_n(bytes->begin(), store.session.size(), store.session.begin());
        store.is_released = bytes->back() == 1;
    }
    store.used_ns = now_ns;
    store.is_loaded = true;
    return {};
}

Result<void> DeviceHost::save_session(Hosted& store) {
    std::vector<std::uint8_t> bytes(store.session.begin(), store.session.end());
    bytes.push_back(store.is_released ? 1 : 0);
    return store.vault.put_record(session_record, bytes);
}

Result<void> DeviceHost::attach(Hosted& store, const codec::Id16& session) {
    if (session == codec::Id16{}) return fail(ErrorCode::invalid_argument, "a session of zeros");
    const std::unique_lock writing(store.writing);
    const std::scoped_lock lock(store.mutex);
    const std::uint64_t now = clock_.monotonic_ns();
    DVESP_TRY(load_session(store, now));
    const bool is_busy = !store.is_released && now - store.used_ns < device_lease_ms * ns_per_ms;
    if (store.session != session && is_busy) {
        return fail(ErrorCode::store_locked, "another client has this store open; close it there");
    }
    if (store.session != session || store.is_released) {
        const auto before = std::pair(store.session, store.is_released);
        store.session = session;
        store.is_released = false;
        const auto saved = save_session(store);
        if (!saved.ok()) {
            std::tie(store.session, store.is_released) = before;
            return saved.error();
        }
    }
    store.used_ns = now;
    return {};
}

Result<void> DeviceHost::release(Hosted& store, const codec::Id16& session) {
    const std::scoped_lock lock(store.mutex);
    DVESP_TRY(load_session(store, clock_.monotonic_ns()));
    if (store.session != session || store.is_released) return {};
    store.is_released = true;
    return save_session(store);
}

Result<void> DeviceHost::check_session(Hosted& store, const codec::Id16& session) {
    const std::scoped_lock lock(store.mutex);
    const std::uint64_t now = clock_.monotonic_ns();
    DVESP_TRY(load_session(store, now));
    if (store.session != session || store.is_released) {
        return fail(ErrorCode::store_locked, "another client has opened this store since");
    }
    store.used_ns = now;
    return {};
}

/// Reading also shows that a client is alive.
void DeviceHost::touch(Hosted& store, const codec::Id16& session) {
    const std::scoped_lock lock(store.mutex);
    if (store.is_loaded && store.session == session) store.used_ns = clock_.monotonic_ns();
}

Result<DeviceReply> DeviceHost::write(Hosted& store, const DeviceRequest& request) {
    const std::shared_lock writing(store.writing);
    DVESP_TRY(check_session(store, request.session));
    if (request.op == DeviceOp::put) {
        std::vector<VaultItem> items;
        items.reserve(request.items.size());
        for (const codec::DeviceItem& item : request.items) items.push_back({item.id, item.kind, item.bytes});
        DVESP_TRY(store.vault.put(items));
    } else if (request.op == DeviceOp::remove) {
        DVESP_TRY(store.vault.remove(request.ids));
    } else {
        if (request.name.starts_with(own_names)) return fail(ErrorCode::invalid_argument, "names with host. are the node's");
        DVESP_TRY(store.vault.put_record(request.name, request.bytes));
    }
    return DeviceReply();
}

Result<DeviceReply> DeviceHost::read(Hosted& store, const DeviceRequest& request, std::vector<VaultDevice::Bytes>& keep) {
    DeviceReply out;
    if (request.op == DeviceOp::get) {
        std::size_t bytes = 0, largest = codec::device_answer_bytes / items_first;
        while (out.found.size() < request.ids.size() && bytes < codec::device_answer_bytes) {
            // As many at a time as are likely to fit: the answer is bounded before it is in memory.
            const std::size_t likely = std::max<std::size_t>((codec::device_answer_bytes - bytes) / largest, 1);
            const auto rest = std::span(request.ids).subspan(out.found.size());
            DVESP_ASSIGN(auto items, store.vault.get(rest.first(std::min({rest.size(), likely, items_at_once}))));
            largest = 1;
            for (auto& item : items) {
                if (bytes >= codec::device_answer_bytes) break;  // the client asks for the rest again
                out.found.emplace_back();
                if (!item) continue;
                keep.push_back(std::move(*item));
                out.found.back() = ByteView(keep.back());
                bytes += keep.back().size();
                largest = std::max(largest, keep.back().size());
            }
        }
    } else if (request.op == DeviceOp::contains) {
        for (const FragmentId& id : request.ids) {
            DVESP_ASSIGN(const bool is_here, store.vault.contains(id));
            out.here.push_back(is_here);
        }
    } else if (request.op == DeviceOp::list) {
        DVESP_ASSIGN(auto ids, store.vault.list(request.kind));
        return page_of(std::move(ids), request.after);
    } else if (request.op == DeviceOp::record) {
        const bool is_usage = request.name == usage_record;
        DVESP_ASSIGN(auto bytes, is_usage ? usage_of(store.vault) : store.vault.record(request.name));
        out.found.emplace_back();
        if (!bytes) return out;
        keep.push_back(std::move(*bytes));
        out.found.back() = ByteView(keep.back());
    } else {
        DVESP_ASSIGN(out.sentences, store.vault.verify());
        if (out.sentences.size() > codec::device_sentences_max) out.sentences.resize(codec::device_sentences_max);
    }
    return out;
}

Result<DeviceReply> DeviceHost::run(const DeviceRequest& request, std::vector<VaultDevice::Bytes>& keep) {
    DeviceReply out;
    if (request.op == DeviceOp::stores) {
        DVESP_ASSIGN(out.places, places());
        return out;
    }
    if (request.op == DeviceOp::create) {
        DVESP_TRY(create(request.store, request.device));
        return out;
    }
    DVESP_ASSIGN(const auto store, hosted(request.store));
    touch(*store, request.session);
    switch (request.op) {
        case DeviceOp::attach:
            DVESP_TRY(attach(*store, request.session));
            out.device = store->id;
            return out;
        case DeviceOp::ping:
            if (!store->vault.is_here()) return fail(ErrorCode::unavailable, "the node's device is offline");
            out.device = store->id;
            return out;
        case DeviceOp::release:
            DVESP_TRY(release(*store, request.session));
            return out;
        case DeviceOp::put:
        case DeviceOp::remove:
        case DeviceOp::put_record:
            return write(*store, request);
        default:
            return read(*store, request, keep);
    }
}

std::vector<std::uint8_t> DeviceHost::answer(ByteView bytes) {
    const auto request = codec::parse_device_request(bytes);
    if (!request.ok()) return codec::encode_device_error(request.error());
    std::vector<VaultDevice::Bytes> keep;
    keep.reserve(std::max<std::size_t>(request->ids.size(), 1));  // views into it stay
    const auto reply = run(*request, keep);
    return reply.ok() ? codec::encode_device_reply(request->op, *reply) : codec::encode_device_error(reply.error());
}

Result<void> DeviceHost::close() {
    const std::scoped_lock lock(mutex_);
    Result<void> first;
    for (const auto& [id, store] : stores_) {
        const auto closed = store->vault.close();
        if (first.ok() && !closed.ok()) first = closed.error();
    }
    stores_.clear();
    return first;
}

}  // namespace dvesp::node
