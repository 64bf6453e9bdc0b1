/// tests/unit/encrypting_crash_test.cpp - encrypted files lose power, at odd offsets: no durable byte goes that was not written
/// to. Stronger than what the store needs, which never overwrites a part of a durable page.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "sim/disk.hpp"
#include "unit/encrypting_support.hpp"

using dvesp::Prng;
using dvesp::ports::Access;
using dvesp::sim::Disk;
using dvesp::test::encrypt;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// What a file must hold, byte by byte, whatever happens to the power.
struct Promise {
    Bytes written;                   ///< the newest content
    std::vector<bool> is_durable;    ///< must be there after a cut
    std::vector<bool> is_pending;    ///< becomes durable with the next sync that works
    std::vector<bool> is_uncertain;  ///< a write to it failed, or its sync did: it may hold anything until it is written again

    void write(std::size_t offset, const Bytes& bytes, bool worked) {
        const std::size_t end = offset + bytes.size();
        if (written.size() < end) {
            written.resize(end);
            is_durable.resize(end);
            is_pending.resize(end);
            is_uncertain.resize(end);
        }
        for (std::size_t at = offset; at < end; ++at) {
            written[at] = bytes[at - offset];
            is_durable[at] = false;
            is_pending[at] = worked;
            is_uncertain[at] = !worked;
        }
    }
    void sync(bool worked) {
        for (std::size_t at = 0; at < written.size(); ++at) {
            if (is_pending[at] && worked) is_durable[at] = true;
            is_pending[at] = false;
        }
    }
};

class Life {
  public:
    explicit Life(std::uint64_t seed) : prng_(seed), disk_(seed) {
        mount();
        file_ =
            files_->create("f", prng_.chance(0.5) ? 0 : 4096 * prng_.below(4) + prng_.below(2) * 500, Access::direct).value();
        const std::size_t size = file_->size().value();
        promise_.write(0, Bytes(size, 0), true);
        REQUIRE(file_->sync().ok());
        REQUIRE(files_->sync_directory("").ok());
        promise_.sync(true);
    }

    void run() {
        for (int cut = 0; cut < 12; ++cut) {
            const std::uint64_t choice = prng_.below(4);
            if (choice == 0) disk_.power_cut_at(1 + prng_.below(40));
            if (choice == 1) disk_.fail_at(1 + prng_.below(40));
            bool is_dark = false;
            for (std::uint64_t left = 1 + prng_.below(30); left > 0 && !is_dark; --left) is_dark = !step(choice == 0);
            disk_.power_cut();
            disk_.clear_faults();
            reopen();
        }
    }

  private:
    void mount() { files_ = encrypt(disk_.mount(), ++mounts_ * 104'729); }

    /// False when the power went.
    bool step(bool may_go_dark) {
        if (prng_.chance(0.3)) {
            const bool worked = file_->sync().ok();
            if (!worked && may_go_dark) return false;
            promise_.sync(worked);
            return true;
        }
        if (prng_.chance(0.1)) {  // what another object of the same file does, they share
            auto again = files_->open("f", Access::direct);
            if (!again.ok()) return !may_go_dark;
            file_ = std::move(again).value();
        }
        const std::size_t size = promise_.written.size();
        const std::size_t offset = prng_.chance(0.4) ? size : prng_.below(size + (prng_.chance(0.1) ? 9000 : 1));
        Bytes bytes(1 + prng_.below(prng_.chance(0.3) ? 12'000 : 300));
        for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(1 + prng_.below(255));
        const bool worked = file_->write(offset, bytes).ok();
        // Zeros between the old end and the write come with it.
        if (offset > size) promise_.write(size, Bytes(offset - size, 0), worked);
        promise_.write(offset, bytes, worked);
        return worked || !may_go_dark;
    }

    void reopen() {
        if (prng_.chance(0.3)) {  // the power goes again while the page is put back
            mount();
            disk_.power_cut_at(1 + prng_.below(10));
            static_cast<void>(files_->open("f", Access::direct).ok());
            disk_.power_cut();
            disk_.clear_faults();
        }
        mount();
        file_ = files_->open("f", Access::direct).value();
        Bytes& wanted = promise_.written;
        Bytes got(wanted.size());
        got.resize(file_->read(0, got).value());
        for (std::size_t at = 0; at < wanted.size(); ++at) {
            const bool is_there = at < got.size() && got[at] == wanted[at];
            if (promise_.is_durable[at] && !is_there) {
                FAIL("byte " << at << " of " << wanted.size() << " was durable and is gone; size now " << got.size());
            }
        }
        // From here on the file holds what it holds, and all of it is durable.
        wanted = got;
        promise_.is_durable.assign(got.size(), true);
        promise_.is_pending.assign(got.size(), false);
        promise_.is_uncertain.assign(got.size(), false);
    }

    Prng prng_;
    Disk disk_;
    std::uint64_t mounts_ = 0;
    std::unique_ptr<dvesp::ports::Files> files_;
    std::unique_ptr<dvesp::ports::File> file_;
    Promise promise_;
};

}  // namespace

TEST_CASE("durable_bytes_survive_cuts_beside_writes_to_their_page") {
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        CAPTURE(seed);
        Life(seed).run();
    }
}
