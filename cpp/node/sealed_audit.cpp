/// node/sealed_audit.cpp - what a sealed store writes into its audit log, and its devices as that log's witnesses.
#include "node/audit_log.hpp"
#include "node/port_random.hpp"
#include "node/sealed_store.hpp"

namespace dvesp::node {
namespace {

constexpr const char* audit_key_name = "audit";
constexpr std::string_view touched_label = "dvesp/audit-touched/1";

class FleetWitnesses final : public AuditWitnesses {
  public:
    explicit FleetWitnesses(std::shared_ptr<Fleet> fleet) : fleet_(std::move(fleet)) {}
    std::vector<bool> present() override { return fleet_->present(); }
    [[nodiscard]] std::string name(std::size_t device) const override { return fleet_->record().devices[device].path; }
    [[nodiscard]] std::uint32_t number(std::size_t device) const override { return fleet_->record().number(device); }
    std::optional<std::vector<std::uint8_t>> memory(std::size_t device) override {
        return fleet_->record(device, witness_record);
    }
    Result<void> remember(std::size_t device, ByteView memory) override {
        return fleet_->put_record(device, witness_record, memory);
    }

  private:
    const std::shared_ptr<Fleet> fleet_;
};

}  // namespace

std::unique_ptr<AuditWitnesses> SealedStore::make_witnesses() const { return std::make_unique<FleetWitnesses>(fleet_); }

/// @param has_new_keys the store or the key of its index is new
Result<void> SealedStore::start_audit(bool has_new_keys) {
    const bool is_first = !keys_->has(audit_key_name);
    PortRandom random(*options_.random);
    DVESP_ASSIGN(const crypto::Key32 key, keys_->need(audit_key_name, random));
    if (is_first) DVESP_TRY(save_keys());
    AuditPorts ports{options_.files_at(options_.path + audit_folder), options_.clock, options_.random, options_.executor};
    DVESP_ASSIGN(audit_, AuditLog::open(std::move(ports), key, keys_->opened_by(), make_witnesses()));
    return has_new_keys ? audit_->record(codec::AuditKind::keys, 0, 0, {}) : Result<void>();
}

Result<void> SealedStore::audit_read(codec::AuditKind kind, const store::Collection& collection, std::uint64_t count,
                                     std::span<const sealed::RecordSalt> salts) {
    Hash touched{};
    if (!salts.empty()) {
        Sha256 hasher;
        hasher.start();
        hasher.update(bytes_of(touched_label));
        for (const sealed::RecordSalt& salt : salts) hasher.update(salt);
        touched = hasher.finish();
    }
    return audit_->record(kind, collection.shard(), count, touched);
}

/// Frames that are durable; there was room for a write's entries before it began.
void SealedStore::audit_writes(std::span<const store::GuardedFrame> frames) {
    for (const store::GuardedFrame& guarded : frames) {
        const codec::BodyHead& head = guarded.frame->view.head;
        if (head.kind == codec::FrameKind::create_collection) {
            static_cast<void>(audit_->record(codec::AuditKind::keys, head.shard, 0, {}).ok());
        }
        static_cast<void>(audit_->record(codec::AuditKind::write, head.shard, head.count, head.merkle_root).ok());
    }
}

Result<std::vector<std::string>> SealedStore::verify() {
    const std::shared_lock fleet_lock(fleet_mutex_);
    DVESP_ASSIGN(auto problems, fleet_->verify());
    const auto flushed = audit_->flush();
    if (!flushed.ok() && flushed.error().code != ErrorCode::integrity) return flushed.error();
    for (std::string& conflict : audit_->conflicts()) problems.push_back(std::move(conflict));
    return problems;
}

Result<void> SealedStore::flush_audit() { return audit_->flush(); }

}  // namespace dvesp::node
