/// tests/crash/kill9.cpp - writer processes are killed at random moments; whoever opens the store next finds all they
/// acknowledged. The program starts itself as the writer (`--writer DIRECTORY SEED WRITERS`), which reports over its standard
/// output what it is about to do and what was acknowledged. Seeds are stores; odd ones run without O_DIRECT.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/prng.hpp"
#include "node/embedded_store.hpp"
#include "os/clock.hpp"
#include "os/executor.hpp"
#include "os/files.hpp"
#include "os/random.hpp"
#include "sim/arguments.hpp"
#include "sim/checker.hpp"
#include "sim/writers.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t seeds_default = 3;
constexpr int kills_a_seed = 10;
constexpr std::uint32_t kill_after_ms_min = 5, kill_after_ms_max = 150;

store::DatabaseOptions crash_options() {
    store::DatabaseOptions options;
    options.log.file_bytes = std::uint64_t{512} << 10;
    options.seal_rows = 250;
    options.index_rows_min = 100;
    options.unsealed_bytes_max = std::uint64_t{8} << 20;
    options.log_bytes_max = std::uint64_t{2} << 20;
    options.idle_marker_ms = 10;
    return options;
}

Result<std::unique_ptr<node::EmbeddedStore>> open_store(const std::string& directory, std::size_t background_threads) {
    return node::EmbeddedStore::open(
        {os::make_files(directory), os::make_clock(), os::make_random(), os::make_executor(background_threads, 1)},
        crash_options());
}

// ---- the writer process

/// One message; what follows a `done` with drawn ids are the ids, 36 bytes each. Shorter than PIPE_BUF, so it is written whole.
struct Message {
    enum class Kind : std::uint32_t { begin = 1, done = 2, failed = 3 };
    Kind kind = Kind::begin;
    std::uint32_t writer = 0;
    std::uint32_t number = 0;
    std::uint32_t error = 0;  ///< ErrorCode of `failed`
    std::uint32_t id_count = 0;
};
constexpr std::size_t drawn_id_bytes = 36;

void send(const Message& message, const std::vector<std::string>& ids) {
    std::string bytes(sizeof(message), '\0');
    std::memcpy(bytes.data(), &message, sizeof(message));
    for (const std::string& id : ids) bytes += id;
    if (write(STDOUT_FILENO, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) _exit(3);
}

void write_for_ever(store::Database& database, std::uint64_t life_seed, std::uint32_t writer) {
    for (std::uint32_t number = 0;; ++number) {
        const Operation operation = draw_operation(life_seed, writer, number);
        send({Message::Kind::begin, writer, number, 0, 0}, {});
        const Acknowledgement answer = perform(database, operation);
        if (answer.result.ok()) {
            send({Message::Kind::done, writer, number, 0, static_cast<std::uint32_t>(answer.drawn_ids.size())},
                 answer.drawn_ids);
        } else {
            send({Message::Kind::failed, writer, number, static_cast<std::uint32_t>(answer.result.error().code), 0}, {});
            if (answer.result.error().code == ErrorCode::io_failed)
                std::fprintf(stderr, "writer: %s\n", answer.result.error().message.c_str());
        }
    }
}

/// Never returns while all is well: its parent kills it.
int run_writer(const std::string& directory, std::uint64_t life_seed, std::uint32_t writers) {
    auto store = open_store(directory, 2);
    if (!store.ok()) {
        std::fprintf(stderr, "writer: %s\n", store.error().message.c_str());
        return 4;
    }
    store::Database& database = (*store)->database();
    for (std::uint32_t writer = 0; writer < 2; ++writer) {
        const std::string name = writer_collection(writer);
        const auto created = database.create_collection(name, writer_config(name), true);
        if (created.ok()) continue;
        std::fprintf(stderr, "writer: %s\n", created.error().message.c_str());
        return 5;
    }
    std::vector<std::thread> threads;
    for (std::uint32_t writer = 0; writer < writers; ++writer) {
        threads.emplace_back([&database, life_seed, writer] { write_for_ever(database, life_seed, writer); });
    }
    for (std::thread& thread : threads) thread.join();
    return 0;
}

// ---- the process that kills and checks

class Child {
  public:
    Child(const std::string& directory, std::uint64_t life_seed, std::uint32_t writers, bool allow_direct) {
        std::array<int, 2> ends{};
        DVESP_ASSERT(pipe2(ends.data(), O_CLOEXEC) == 0);
        read_end_ = ends[0];
        const std::string seed = std::to_string(life_seed), count = std::to_string(writers);
        process_ = fork();
        DVESP_ASSERT(process_ >= 0);
        if (process_ == 0) {
            dup2(ends[1], STDOUT_FILENO);
            setenv("DVESP_NO_DIRECT", allow_direct ? "" : "1", 1);
            if (allow_direct) unsetenv("DVESP_NO_DIRECT");
            execl("/proc/self/exe", "crash_kill9", "--writer", directory.c_str(), seed.c_str(), count.c_str(), nullptr);
            _exit(127);
        }
        ::close(ends[1]);
        reader_ = std::thread([this] { read_all_messages(); });
    }
    ~Child() { ::close(read_end_); }

    /// @return false when it had ended by itself
    bool kill_and_wait() {
        ::kill(process_, SIGKILL);
        int status = 0;
        waitpid(process_, &status, 0);
        reader_.join();
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    }
    [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

  private:
    void read_all_messages() {
        std::array<char, 65536> block{};
        for (ssize_t count = 0; (count = read(read_end_, block.data(), block.size())) > 0;) {
            bytes_.append(block.data(), static_cast<std::size_t>(count));
        }
    }
    int read_end_ = -1;
    pid_t process_ = -1;
    std::thread reader_;
    std::string bytes_;
};

struct Tally {
    std::uint64_t operations = 0, kept = 0, gone = 0;
};

/// One directory, killed writers one after the other.
class Story {
  public:
    explicit Story(std::uint64_t seed) : seed_(seed), prng_(seed) {
        std::string pattern = (std::filesystem::temp_directory_path() / "dvesp-kill9-XXXXXX").string();
        DVESP_ASSERT(mkdtemp(pattern.data()) != nullptr);
        directory_ = pattern;
    }
    ~Story() {
        if (!keeps_directory_) std::filesystem::remove_all(directory_);
    }

    /// @return the first violation; empty = none
    std::string run(Verdict& verdict) {
        for (int life = 0; life < kills_a_seed; ++life) {
            std::string what = live(seed_ * 1000 + static_cast<std::uint64_t>(life));
            if (!what.empty()) {
                keeps_directory_ = true;
                return "life " + std::to_string(life) + ": " + what + " (the store is kept in " + directory_ + ")";
            }
            verdict.pass();
        }
        return {};
    }
    void add_to(Tally& tally) const noexcept {
        tally.operations += operations_;
        tally.kept += ledger_.kept_count();
        tally.gone += ledger_.gone_count();
    }

  private:
    std::string live(std::uint64_t life_seed) {
        const auto writers = static_cast<std::uint32_t>(2 + prng_.below(writers_max - 1));
        Child child(directory_, life_seed, writers, seed_ % 2 == 0);
        std::this_thread::sleep_for(
            std::chrono::milliseconds(kill_after_ms_min + prng_.below(kill_after_ms_max - kill_after_ms_min + 1)));
        if (!child.kill_and_wait()) return "the writer ended by itself";
        std::string what = follow(child.bytes(), life_seed);
        return what.empty() ? check() : what;
    }

    /// Enters what the writers said into the ledger.
    std::string follow(const std::string& bytes, std::uint64_t life_seed) {
        std::size_t at = 0;
        while (at + sizeof(Message) <= bytes.size()) {
            Message message;
            std::memcpy(&message, bytes.data() + at, sizeof(message));
            at += sizeof(message);
            if (message.writer >= writers_max) return "a message makes no sense";
            const Operation operation = draw_operation(life_seed, message.writer, message.number);
            if (message.kind == Message::Kind::begin) {
                ledger_.begin(message.writer, operation);
                continue;
            }
            ++operations_;
            std::vector<std::string> drawn_ids;
            for (std::uint32_t index = 0; index < message.id_count; ++index, at += drawn_id_bytes) {
                drawn_ids.push_back(bytes.substr(at, drawn_id_bytes));
            }
            const std::string what = message.kind == Message::Kind::failed
                                         ? ledger_.refuse(message.writer, operation, static_cast<ErrorCode>(message.error))
                                         : ledger_.acknowledge(message.writer, operation, drawn_ids);
            if (!what.empty()) return what;
        }
        return at == bytes.size() ? std::string() : "half a message came through the pipe";
    }

    std::string check() {
        auto store = open_store(directory_, 1);
        if (!store.ok()) return "the store does not open: " + store.error().message;
        store::Database& database = (*store)->database();
        State found;
        std::string what = read_all(database, found);
        if (what.empty()) what = ledger_.settle_all(found);
        if (what.empty()) what = check_answers(database, found, {}, prng_);
        if (what.empty() && prng_.chance(0.3)) what = check_verify(database);
        if (!what.empty()) return what;
        const auto closed = (*store)->close();
        return closed.ok() ? std::string() : "close: " + closed.error().message;
    }

    std::uint64_t seed_;
    Prng prng_;
    std::string directory_;
    bool keeps_directory_ = false;
    std::uint64_t operations_ = 0;
    WriterLedger ledger_;
};

int run(const Arguments& arguments) {
    Verdict verdict("crash_kill9");
    Tally tally;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t seed = arguments.seed_first; seed < arguments.seed_first + arguments.seed_count; ++seed) {
        Story story(seed);
        const std::string what = story.run(verdict);
        story.add_to(tally);
        if (!what.empty()) verdict.fail(seed, what);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::fprintf(
        stderr,
        "%llu kills, %llu operations acknowledged or refused; unfinished ones: %llu kept, %llu gone; %.1f kills a second\n",
        static_cast<unsigned long long>(verdict.passed()), static_cast<unsigned long long>(tally.operations),
        static_cast<unsigned long long>(tally.kept), static_cast<unsigned long long>(tally.gone),
        static_cast<double>(verdict.passed()) / seconds);
    return verdict.finish();
}

}  // namespace
}  // namespace dvesp::test

int main(int argument_count, char** arguments) {
    if (argument_count == 5 && std::strcmp(arguments[1], "--writer") == 0) {
        return dvesp::test::run_writer(arguments[2], std::strtoull(arguments[3], nullptr, 10),
                                       static_cast<std::uint32_t>(std::strtoul(arguments[4], nullptr, 10)));
    }
    return dvesp::test::run(dvesp::test::parse_arguments(argument_count, arguments, dvesp::test::seeds_default));
}
