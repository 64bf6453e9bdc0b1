/// tests/sim/archive_flips.cpp - single bits of an archive turn: every one is found, and the object is named.
#include <cstdio>

#include "archive/directory.hpp"
#include "node/archive_restore.hpp"
#include "node/memory_files.hpp"
#include "os/executor.hpp"
#include "sim/arguments.hpp"
#include "sim/machine.hpp"
#include "sim/writers.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t flips_default = 5000;

sealed::UserSecret secret() {
    sealed::UserSecret made;
    made.bytes = crypto::SecretBytes::copy_of(bytes_of("a key of 32 bytes for the tests."));
    return made;
}

/// An archive on a disk whose bits turn.
class Archive {
  public:
    explicit Archive(std::uint64_t seed) : prng_(seed), machine_(seed, small_options(prng_)), disk_(seed + 1) {}

    /// @return what went wrong; empty = nothing
    std::string fill() {
        if (const auto started = machine_.start(); !started.ok()) return started.error().message;
        const auto files = node::make_memory_files();
        sim::Random random(3);
        sim::Clock clock;
        for (std::uint32_t writer = 0; writer < 2; ++writer) {
            const std::string name = writer_collection(writer);
            static_cast<void>(machine_.database().create_collection(name, writer_config(name), true).ok());
        }
        for (std::uint32_t number = 0; number < 120; ++number) {
            static_cast<void>(perform(machine_.database(), draw_operation(7, number % 2, number)).result.ok());
        }
        machine_.settle_down();
        auto keys = node::ArchiveKeys::open(*files, secret(), random);
        if (!keys.ok()) return keys.error().message;
        node::ArchivePump pump({files.get(), &clock, &random}, machine_.database(), target(), keys->get(), false);
        const auto sent = pump.round();
        return sent.ok() ? std::string() : sent.error().message;
    }

    /// Turns one bit, looks, and turns it back. @return what is wrong; empty = it was found
    std::string flip() {
        const auto paths = disk_.paths();
        const std::string& path = paths[prng_.below(paths.size())];
        const std::uint64_t bit = prng_.below(8 * disk_.contents(path).size());
        disk_.flip_bit(path, bit);
        std::string found = look();
        disk_.flip_bit(path, bit);
        const std::string name = path.substr(path.find('/') + 1);
        const bool is_object = path.starts_with("objects/");
        if (found.empty()) return path + ", bit " + std::to_string(bit) + ": nobody noticed";
        if (is_object && found.find(name) == std::string::npos) return path + ": noticed, but not named: " + found;
        return {};
    }
    /// What a look at the archive complains of.
    std::string look() {
        const auto files = node::make_memory_files();
        sim::Random random(5);
        node::ArchiveSetup setup;
        setup.targets.push_back({target(), false, "directory"});
        setup.secret = secret();
        setup.executor = os::make_executor(0, 1);
        const auto reader = node::ArchiveReader::open(std::move(setup), *files, random);
        if (!reader.ok()) return reader.error().message;
        const auto problems = (*reader)->verify();
        return problems.empty() ? std::string() : problems.front();
    }
    [[nodiscard]] std::size_t objects() const { return disk_.paths().size(); }

  private:
    std::unique_ptr<archive::Target> target() {
        return archive::make_directory_target(disk_.mount(), std::make_unique<sim::Random>(11));
    }
    Prng prng_;
    Machine machine_;
    sim::Disk disk_;
};

int run(const Arguments& arguments) {
    Verdict verdict("sim_archive_flips");
    Archive archive(arguments.seed_first);
    std::string what = archive.fill();
    if (what.empty()) what = archive.look();  // whole, it has no problem
    if (!what.empty()) verdict.fail(arguments.seed_first, what);
    for (std::uint64_t count = 0; count < arguments.seed_count && what.empty(); ++count) {
        what = archive.flip();
        if (what.empty()) verdict.pass();
        if (!what.empty()) verdict.fail(arguments.seed_first, what);
    }
    std::fprintf(stderr, "%llu bits turned in %zu files\n", static_cast<unsigned long long>(verdict.passed()),
                 archive.objects());
    return verdict.finish();
}

}  // namespace
}  // namespace dvesp::test

int main(int argument_count, char** arguments) {
    return dvesp::test::run(dvesp::test::parse_arguments(argument_count, arguments, dvesp::test::flips_default));
}
