/// tests/unit/os_files_test.cpp - Linux files: O_DIRECT, errors of the system, locks between processes, SIGBUS.
#include "os/files.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "os/descriptor.hpp"
#include "os/file.hpp"
#include "os/system_error.hpp"
#include "sim/disk.hpp"
#include "unit/file_support.hpp"

using dvesp::AlignedBuffer;
using dvesp::ErrorCode;
using dvesp::ports::Access;
using dvesp::test::count_of;
using dvesp::test::exited_with;
using dvesp::test::filled;
using dvesp::test::page;
using dvesp::test::status_of_child;
using dvesp::test::TemporaryDirectory;

TEST_CASE("lock_of_another_process_is_refused_with_its_number") {
    const TemporaryDirectory directory;
    auto files = dvesp::os::make_files(directory.path());
    auto lock = files->lock("LOCK");
    REQUIRE(lock.ok());
    const std::string holder = "process " + std::to_string(getpid());
    const int status = status_of_child([&] {
        const auto second = dvesp::os::make_files(directory.path())->lock("LOCK");
        if (second.ok() || second.error().code != ErrorCode::store_locked) return 1;
        return second.error().message.find("wait for " + holder + " to end") == std::string::npos ? 2 : 0;
    });
    CHECK(exited_with(status, 0));
}

TEST_CASE("forked_child_cannot_release_the_lock_and_does_not_keep_it") {
    const TemporaryDirectory directory;
    auto files = dvesp::os::make_files(directory.path());
    auto lock = files->lock("LOCK");
    REQUIRE(lock.ok());
    CHECK(exited_with(status_of_child([&] {
                          lock.value().reset();
                          return 0;
                      }),
                      0));
    CHECK_FALSE(files->lock("LOCK").ok());

    std::array<int, 2> pipe_ends{};
    REQUIRE(pipe(pipe_ends.data()) == 0);
    const pid_t child = fork();
    if (child == 0) {  // lives on with the inherited descriptor until the parent closes the pipe
        alarm(30);
        close(pipe_ends[1]);
        char byte = 0;
        static_cast<void>(!read(pipe_ends[0], &byte, 1));
        _exit(0);
    }
    lock.value().reset();
    CHECK(files->lock("LOCK").ok());
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
}

TEST_CASE("direct_access_is_used_exactly_where_the_disk_has_it") {
    const TemporaryDirectory directory;
    const std::string path = directory.path() + "/plain";
    const AlignedBuffer block = filled(page, 1);
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0644);
    const bool disk_has_it = descriptor >= 0 && pwrite(descriptor, block.data(), page, 0) == static_cast<ssize_t>(page);
    if (descriptor >= 0) close(descriptor);

    auto files = dvesp::os::make_files(directory.path());
    CHECK((files->create("direct", 0, Access::direct).value()->alignment() > 1) == disk_has_it);
    CHECK(files->list("").value() == std::vector<std::string>{"direct", "plain"});  // the probe left nothing
    auto buffered = dvesp::os::make_files(directory.path(), {.allow_direct = false});
    CHECK(buffered->open("direct", Access::direct).value()->alignment() == 1);
    REQUIRE(setenv("DVESP_NO_DIRECT", "1", 1) == 0);
    CHECK(dvesp::os::make_files(directory.path())->open("direct", Access::direct).value()->alignment() == 1);
    REQUIRE(unsetenv("DVESP_NO_DIRECT") == 0);
}

TEST_CASE("direct_call_off_its_alignment_is_an_assertion") {
    const TemporaryDirectory directory;
    dvesp::sim::Disk disk(1);
    auto mounted = disk.mount();
    const std::string path = directory.path() + "/data";
    std::vector<std::unique_ptr<dvesp::ports::File>> direct_files;
    direct_files.push_back(mounted->create("log", 2 * page, Access::direct).value());
    direct_files.push_back(
        dvesp::os::make_file(dvesp::os::Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)), page, path));
    AlignedBuffer block = filled(2 * page, 1);
    for (const auto& file : direct_files) {
        CHECK(file->alignment() == page);
        REQUIRE(file->write(page, block.bytes().first(page)).ok());
        const auto aborts = [&](auto call) {
            const int status = status_of_child([&] {
                signal(SIGABRT, SIG_DFL);
                dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
                return call().ok() ? 0 : 1;
            });
            return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
        };
        CHECK(aborts([&] { return file->write(512, block.bytes().first(page)); }));
        CHECK(aborts([&] { return file->write(0, block.bytes().first(512)); }));
        CHECK(aborts([&] { return file->write(0, block.bytes().subspan(512, page)); }));
        CHECK(aborts([&] { return file->read(0, block.bytes().subspan(512, page)); }));
    }
}

TEST_CASE("direct_file_that_turns_out_to_refuse_becomes_buffered") {
    const TemporaryDirectory directory;
    const std::string path = directory.path() + "/data";
    // A block size that is too small for any O_DIRECT stands for a file system whose probe was too hopeful.
    dvesp::os::Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0644));
    if (!descriptor.is_open()) descriptor = dvesp::os::Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    const auto file = dvesp::os::make_file(std::move(descriptor), 2, path);
    AlignedBuffer bytes = filled(page, 4);
    REQUIRE(file->write(0, bytes.bytes().first(6)).ok());
    REQUIRE(file->write(6, bytes.bytes().subspan(6, 100)).ok());
    AlignedBuffer back(page);
    CHECK(file->read(2, back.bytes().first(200)).value() == 104);
    CHECK(count_of(back.bytes(), 4) == 104);
}

TEST_CASE("written_zeros_stand_in_for_a_reservation") {
    const TemporaryDirectory directory;
    const std::string path = directory.path() + "/data";
    const dvesp::os::Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    REQUIRE(dvesp::os::write_zeros(descriptor.number(), (3U << 20) + 5, path).ok());
    CHECK(std::filesystem::file_size(path) == (3U << 20) + 5);
    const dvesp::os::Descriptor no_space(::open("/dev/full", O_RDWR | O_CLOEXEC));
    CHECK(dvesp::os::write_zeros(no_space.number(), page, "full").error().code == ErrorCode::storage_full);
}

TEST_CASE("full_disk_is_storage_full_and_leaves_no_half_reserved_file") {
    auto devices = dvesp::os::make_files("/dev", {.allow_direct = false});
    const auto written = devices->open("full", Access::buffered).value()->write(0, filled(page, 1).bytes());
    REQUIRE_FALSE(written.ok());
    CHECK(written.error().code == ErrorCode::storage_full);
    CHECK(written.error().message.find("/dev/full") != std::string::npos);

    const TemporaryDirectory directory;
    auto files = dvesp::os::make_files(directory.path());
    struct rlimit before {};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto previous_handler = signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limited = {1U << 20, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limited) == 0);
    const auto created = files->create("log", 4U << 20, Access::buffered);
    const auto extended = files->create("small", 0, Access::buffered).value()->write(1U << 20, filled(page, 1).bytes());
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, previous_handler);
    REQUIRE_FALSE(created.ok());
    CHECK(created.error().code == ErrorCode::storage_full);
    REQUIRE_FALSE(extended.ok());
    CHECK(extended.error().code == ErrorCode::storage_full);
    CHECK(files->list("").value() == std::vector<std::string>{"small"});
}

TEST_CASE("system_errors_map_to_the_table") {
    const auto code_of = [](int number) { return dvesp::os::system_error(number, "write", "x").code; };
    for (const int number : {ENOSPC, EDQUOT, EFBIG}) CHECK(code_of(number) == ErrorCode::storage_full);
    for (const int number : {EACCES, EPERM, EROFS}) CHECK(code_of(number) == ErrorCode::permission_denied);
    for (const int number : {ENOENT, ENOTDIR}) CHECK(code_of(number) == ErrorCode::corruption);
    for (const int number : {EIO, EINVAL, EMFILE}) CHECK(code_of(number) == ErrorCode::io_failed);
    CHECK(dvesp::os::system_error(EIO, "write", "a/b").message == std::string("cannot write a/b: ") + std::strerror(EIO));
}

TEST_CASE("files_are_closed_on_exec_and_masked_by_umask") {
    const TemporaryDirectory directory;
    const mode_t before = umask(0077);
    auto files = dvesp::os::make_files(directory.path() + "/made//here/");
    REQUIRE(files->make_directory("a").ok());
    REQUIRE(files->create("a/data", 0, Access::direct).ok());
    umask(before);
    using std::filesystem::perms;
    CHECK(std::filesystem::status(files->describe("a")).permissions() == perms::owner_all);
    CHECK(std::filesystem::status(files->describe("a/data")).permissions() == (perms::owner_read | perms::owner_write));
    const auto kept = files->open("a/data", Access::buffered);
    const auto lock = files->lock("LOCK");
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;  // the iterator's own descriptor
        const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
        if (target.find(directory.path()) == std::string::npos) continue;
        CHECK((fcntl(std::stoi(entry.path().filename().string()), F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE("root_stays_where_it_was_when_the_process_changes_its_directory") {
    const TemporaryDirectory directory;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(directory.path());
    auto files = dvesp::os::make_files("store");
    REQUIRE(files->make_directory("").ok());
    std::filesystem::current_path(before);
    CHECK(files->create("data", 0, Access::direct).ok());
    CHECK(std::filesystem::exists(directory.path() + "/store/data"));
}

TEST_CASE("page_that_the_disk_cannot_deliver_reads_as_zeros_and_marks_its_mapping") {
    const TemporaryDirectory directory;
    auto files = dvesp::os::make_files(directory.path());
    for (const char* name : {"hurt", "healthy"}) {
        REQUIRE(files->create(name, 0, Access::buffered).value()->write(0, filled(4 * page, 8).bytes()).ok());
    }
    const auto hurt = files->map("hurt", true).value();
    const auto healthy = files->map("healthy", false).value();
    std::filesystem::resize_file(files->describe("hurt"), page);  // pages beyond the end raise SIGBUS, as an EIO would
    errno = ERANGE;
    CHECK(count_of(hurt->bytes().subspan(2 * page, page), 0) == page);
    CHECK(errno == ERANGE);
    CHECK(hurt->damaged());
    CHECK(count_of(hurt->bytes().first(page), 8) == page);
    CHECK(count_of(hurt->bytes(), 0) == 3 * page);
    CHECK(count_of(healthy->bytes(), 8) == 4 * page);
    CHECK_FALSE(healthy->damaged());
}

TEST_CASE("thousands_of_mappings_are_guarded_each") {
    const TemporaryDirectory directory;
    auto files = dvesp::os::make_files(directory.path());
    REQUIRE(files->create("data", 0, Access::buffered).value()->write(0, filled(2 * page, 8).bytes()).ok());
    std::vector<std::shared_ptr<dvesp::ports::Mapping>> mappings;
    for (std::size_t index = 0; index < 2500; ++index) mappings.push_back(files->map("data", true).value());
    for (std::size_t index = 0; index < mappings.size(); index += 2) mappings[index].reset();
    for (std::size_t index = 0; index < mappings.size(); index += 4) mappings[index] = files->map("data", true).value();
    std::filesystem::resize_file(files->describe("data"), page);
    std::size_t damaged_count = 0;
    for (const auto& mapping : mappings) {
        if (mapping == nullptr) continue;
        CHECK_FALSE(mapping->damaged());
        CHECK(mapping->bytes()[page] == 0);
        damaged_count += mapping->damaged() ? 1 : 0;
    }
    CHECK(damaged_count == 1250 + 625);
}

TEST_CASE("faults_in_many_threads_at_once_are_each_caught") {
    const TemporaryDirectory directory;
    auto files = dvesp::os::make_files(directory.path());
    REQUIRE(files->create("data", 0, Access::buffered).value()->write(0, filled(2 * page, 8).bytes()).ok());
    auto shared = files->map("data", true).value();
    std::atomic<int> wrong{0};
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int index = 0; index < 4; ++index) {
        threads.emplace_back([&] {
            std::vector<std::shared_ptr<dvesp::ports::Mapping>> own;
            own.reserve(50);
            for (int round = 0; round < 50; ++round) own.push_back(files->map("data", true).value());
            if (++ready == 4) std::filesystem::resize_file(files->describe("data"), page);
            while (std::filesystem::file_size(files->describe("data")) != page) std::this_thread::yield();
            for (auto& mapping : own) {
                wrong += mapping->bytes()[page] == 0 && mapping->damaged() && mapping->bytes()[0] == 8 ? 0 : 1;
                wrong += shared->bytes()[page + 1] == 0 ? 0 : 1;
                mapping.reset();  // leaves its slot to the other threads
                wrong += files->map("data", true).value()->bytes().size() == page ? 0 : 1;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(shared->damaged());
}

TEST_CASE("sigbus_outside_of_mappings_still_ends_the_process") {
    const TemporaryDirectory directory;
    auto files = dvesp::os::make_files(directory.path());
    const std::string path = files->describe("data");
    const auto be_quiet = [] { dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO); };  // sanitizers report at length
    const auto fault_at = [&](void* address) {
        const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        const int flags = MAP_SHARED | (address == nullptr ? 0 : MAP_FIXED);
        const auto* memory = static_cast<const volatile char*>(mmap(address, page, PROT_READ, flags, descriptor, 0));
        std::filesystem::resize_file(path, 0);
        return memory[0] * 0;
    };
    REQUIRE(files->create("data", page, Access::buffered).ok());
    auto mapping = files->map("data", true).value();
    CHECK_FALSE(exited_with(status_of_child([&] {
                                be_quiet();
                                return fault_at(nullptr);
                            }),
                            0));
    REQUIRE(files->create("data", page, Access::buffered).ok());
    CHECK_FALSE(exited_with(status_of_child([&] {
                                be_quiet();
                                void* address = const_cast<std::uint8_t*>(mapping->bytes().data());
                                mapping.reset();
                                return fault_at(address);  // where a guarded mapping was, and is no more
                            }),
                            0));
    CHECK_FALSE(exited_with(status_of_child([&] {
                                be_quiet();
                                raise(SIGBUS);
                                return 0;
                            }),
                            0));
}

TEST_CASE("sigbus_outside_of_mappings_reaches_the_earlier_handler") {
    // The handler goes in at the first mapping of a process, so this test runs itself again in a fresh one.
    constexpr const char* variable = "DVESP_TEST_SIGBUS_HANDLER";
    constexpr int handler_ran = 77;
    const char* kind = std::getenv(variable);
    if (kind == nullptr) {
        for (const char* wanted : {"plain", "siginfo"}) {
            CAPTURE(wanted);
            const int status = status_of_child([&] {
                setenv(variable, wanted, 1);
                execl("/proc/self/exe", "unit_tests", "-tc=sigbus_outside_of_mappings_reaches_the_earlier_handler", nullptr);
                return 1;
            });
            CHECK(exited_with(status, handler_ran));
        }
        return;
    }
    struct sigaction earlier {};
    if (std::string(kind) == "plain") {
        earlier.sa_handler = [](int) { _exit(handler_ran); };
    } else {
        earlier.sa_flags = SA_SIGINFO;
        earlier.sa_sigaction = [](int, siginfo_t* info, void*) { _exit(info->si_addr != nullptr ? handler_ran : 2); };
    }
    REQUIRE(sigaction(SIGBUS, &earlier, nullptr) == 0);
    const TemporaryDirectory directory;
    auto files = dvesp::os::make_files(directory.path());
    REQUIRE(files->create("data", page, Access::buffered).ok());
    const auto guarded = files->map("data", true).value();
    const int descriptor = ::open(files->describe("data").c_str(), O_RDONLY | O_CLOEXEC);
    const auto* foreign = static_cast<const volatile char*>(mmap(nullptr, page, PROT_READ, MAP_SHARED, descriptor, 0));
    std::filesystem::resize_file(files->describe("data"), 0);
    CHECK(guarded->bytes()[0] == 0);
    REQUIRE(guarded->damaged());
    std::filesystem::remove_all(directory.path());
    CHECK(foreign[0] == 1);  // never gets past the fault
}
