/// tests/sim/machine.cpp - wires simulated ports to the embedded store and takes them away again.
#include "sim/machine.hpp"

#include <chrono>
#include <thread>
#include <utility>

#include "node/encrypting_files.hpp"

namespace dvesp::test {
namespace {

/// Counts one I/O call of a process that may end at any of them.
template <class Call>
auto pass_on(ProcessState& process, Call call) -> decltype(call()) {
    if (process.kill_after_calls > 0 && process.kill_after_calls.fetch_sub(1) == 1) process.is_dead = true;
    if (process.is_dead) return fail(ErrorCode::io_failed, "the process is dead");
    auto result = call();
    const bool power_is_off = !result.ok() && result.error().message.find("power is off") != std::string::npos;
    if (power_is_off) process.is_dead = true;
    return result;
}

class MortalFile final : public ports::File {
  public:
    MortalFile(std::unique_ptr<ports::File> inner, std::shared_ptr<ProcessState> process)
        : inner_(std::move(inner)), process_(std::move(process)) {}
    Result<void> write(std::uint64_t offset, ByteView bytes) override {
        return pass_on(*process_, [&] { return inner_->write(offset, bytes); });
    }
    Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override {
        return pass_on(*process_, [&] { return inner_->read(offset, into); });
    }
    Result<void> sync() override {
        if (process_->sync_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(process_->sync_us));
        return pass_on(*process_, [&] { return inner_->sync(); });
    }
    Result<std::uint64_t> size() override {
        return pass_on(*process_, [&] { return inner_->size(); });
    }
    [[nodiscard]] std::uint32_t alignment() const noexcept override { return inner_->alignment(); }

  private:
    std::unique_ptr<ports::File> inner_;
    std::shared_ptr<ProcessState> process_;
};

class MortalFiles final : public ports::Files {
  public:
    MortalFiles(std::unique_ptr<ports::Files> inner, std::shared_ptr<ProcessState> process)
        : inner_(std::move(inner)), process_(std::move(process)) {}
    [[nodiscard]] bool durable() const noexcept override { return inner_->durable(); }
    [[nodiscard]] std::string describe(const std::string& path) const override { return inner_->describe(path); }
    Result<std::unique_ptr<ports::File>> create(const std::string& path, std::uint64_t preallocate_bytes,
                                                ports::Access access) override {
        return wrapped([&] { return inner_->create(path, preallocate_bytes, access); });
    }
    Result<std::unique_ptr<ports::File>> open(const std::string& path, ports::Access access) override {
        return wrapped([&] { return inner_->open(path, access); });
    }
    Result<std::shared_ptr<ports::Mapping>> map(const std::string& path, bool random) override {
        return pass_on(*process_, [&] { return inner_->map(path, random); });
    }
    Result<bool> exists(const std::string& path) override {
        return pass_on(*process_, [&] { return inner_->exists(path); });
    }
    Result<void> rename(const std::string& from, const std::string& to) override {
        return pass_on(*process_, [&] { return inner_->rename(from, to); });
    }
    Result<void> remove(const std::string& path) override {
        return pass_on(*process_, [&] { return inner_->remove(path); });
    }
    Result<std::vector<std::string>> list(const std::string& directory) override {
        return pass_on(*process_, [&] { return inner_->list(directory); });
    }
    Result<void> make_directory(const std::string& directory) override {
        return pass_on(*process_, [&] { return inner_->make_directory(directory); });
    }
    Result<void> sync_directory(const std::string& directory) override {
        return pass_on(*process_, [&] { return inner_->sync_directory(directory); });
    }
    Result<std::unique_ptr<ports::Lock>> lock(const std::string& path) override {
        return pass_on(*process_, [&] { return inner_->lock(path); });
    }

  private:
    template <class Call>
    Result<std::unique_ptr<ports::File>> wrapped(Call call) {
        DVESP_ASSIGN(auto file, pass_on(*process_, call));
        return std::unique_ptr<ports::File>(std::make_unique<MortalFile>(std::move(file), process_));
    }
    std::unique_ptr<ports::Files> inner_;
    std::shared_ptr<ProcessState> process_;
};

}  // namespace

std::unique_ptr<ports::Files> make_mortal_files(std::unique_ptr<ports::Files> inner, std::shared_ptr<ProcessState> process) {
    return std::make_unique<MortalFiles>(std::move(inner), std::move(process));
}

store::DatabaseOptions small_options(Prng& prng) {
    store::DatabaseOptions options;
    options.log.file_bytes = std::uint64_t{64} << (10 + prng.below(3));
    options.log.access = prng.chance(0.7) ? ports::Access::direct : ports::Access::buffered;
    options.seal_rows = static_cast<std::uint32_t>(40 + prng.below(160));
    options.index_rows_min = 64;
    options.log_bytes_max = 2 * options.log.file_bytes + (prng.below(4) << 17);
    // The log's limit is what keeps many small heads from filling the store, so it has to be reached first.
    options.unsealed_bytes_max = options.log_bytes_max + options.log.file_bytes;
    return options;
}

crypto::Key32 machine_key() { return crypto::Key32(bytes_of("a key of 32 bytes for the tests.")); }

Machine::Machine(std::uint64_t seed, const store::DatabaseOptions& options, Content content)
    : seed_(seed), prng_(seed ^ 0x6d616368696e65), options_(options), content_(content), disk_(seed) {}

std::unique_ptr<ports::Files> Machine::decrypted(std::unique_ptr<ports::Files> files) {
    if (content_ == Content::plain) return files;
    auto random = std::make_unique<sim::Random>((seed_ * 1'000'003 + ++mounts_) ^ 0x6e6f6e6365);
    return node::make_encrypting_files(std::move(files), machine_key(), std::move(random));
}

Result<void> Machine::start() {
    DVESP_ASSERT(!store_);
    process_ = std::make_shared<ProcessState>();
    process_->kill_after_calls = std::exchange(kill_at_, 0);
    ++life_;
    // The wall clock may have been set back while the machine was down.
    wall_ms_ = wall_ms_ + prng_.below(100'000) - prng_.below(50'000);
    auto clock = std::make_unique<TickingClock>(wall_ms_, process_);
    clock_ = clock.get();
    auto executor = std::make_unique<sim::Executor>(prng_.next(), *clock);
    executor_ = executor.get();
    auto files = decrypted(make_mortal_files(disk_.mount(), process_));
    node::OwnedPorts ports{std::move(files), std::move(clock), std::make_unique<sim::Random>(seed_ * 1'000'003 + life_),
                           std::move(executor)};
    DVESP_ASSIGN(store_, node::EmbeddedStore::open(std::move(ports), options_));
    return {};
}

void Machine::end_store() {
    if (store_) wall_ms_ = clock_->wall_ms();
    store_.reset();
    clock_ = nullptr;
    executor_ = nullptr;
}

Result<void> Machine::close() {
    const auto closed = store_->close();
    end_store();
    return closed;
}

void Machine::kill() {
    process_->is_dead = true;
    disk_.end_process();
    end_store();
}

void Machine::power_cut() {
    process_->is_dead = true;
    disk_.power_cut();
    end_store();
}

void Machine::advance_ms(std::uint64_t ms) { clock_->advance_ms(ms); }

void Machine::settle_down() {
    constexpr std::uint64_t longer_than_any_retry_ms = 1100;
    for (int round = 0; round < 3; ++round) {
        executor_->drain();
        clock_->advance_ms(longer_than_any_retry_ms);
    }
    executor_->drain();
}

}  // namespace dvesp::test
