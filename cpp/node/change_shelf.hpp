/// node/change_shelf.hpp - one change of the index on a fleet: found among what devices answer, judged, and made whole again.
/// Arithmetic: docs/decisions/021. Bytes: docs/formats/fragment.md.
#pragma once

#include <optional>
#include <vector>

#include "node/fleet.hpp"
#include "sealed/delta.hpp"

namespace dvesp::node {

inline constexpr std::uint8_t change_attempts_max = 8;
inline constexpr std::uint16_t change_parts_max = 64;
inline constexpr std::uint8_t change_kind = 2;  ///< of a vault's items

/// What devices that are here have of changes: each one's ids, sorted.
using ChangeLists = std::vector<std::vector<FragmentId>>;

/// Several attempts may have been made at one change. At most one of them counts: the latest that is on enough devices.
/// @threads one
class ChangeShelf {
  public:
    /// @param key  of the sealer: which one a change is under depends on the change
    ChangeShelf(Fleet& fleet, TaskRunner& runner, sealed::DeltaSealer& sealer)
        : fleet_(fleet),
          runner_(runner),
          sealer_(sealer),
          needed_(fleet.record().needed),
          judged_(fleet.record().needed_to_judge()) {}

    /// What a change says; nothing when there is none that counts.
    /// @param is_new     the store lacks it: that nobody knows of a later attempt must be sure
    /// @param must_last  it is made use of for good: it is brought to as many devices as a change needs first
    /// @errors unavailable: devices that are away may know better; integrity: devices that are here gave what does not open
    /// @cost  one question to each device for each part
    struct Found {
        crypto::SecretBytes payload;
        std::size_t devices = 0;  ///< how many had it when they were asked
    };
    Result<std::optional<Found>> find(std::uint32_t shard, std::uint64_t seq, bool is_new, bool must_last);

    /// Gives devices that are here what they lack of a change that counts, and takes attempts that came to nothing from them.
    /// @param lists  of the devices that are here; of others empty, and `is_here` false
    /// @return false: not now, too few are here to tell    @cost nothing is read while nothing lacks
    bool complete(std::uint32_t shard, std::uint64_t seq, const std::vector<bool>& is_here, const ChangeLists& lists);

    /// Takes every attempt at a change that does not exist from the devices that are here.
    /// @param lists as above    @return whether they have none of them any more, durably
    bool drop(std::uint32_t shard, std::uint64_t seq, const ChangeLists& lists);

  private:
    /// The shares of one attempt's part that belong together.
    struct Group {
        std::uint8_t attempt = 0;
        std::vector<sealed::DeltaShare> shares;
        std::vector<std::uint8_t> has;  ///< which devices gave them
        std::size_t unsure = 0;         ///< devices that may have more of them: they are silent, or gave what does not open
        std::size_t lost = 0;           ///< devices that may have had more of them, and are given up: nobody will ever know
    };
    struct Part {
        std::vector<Group> groups;                ///< latest first
        std::size_t silent = 0, unsure_most = 0;  ///< `unsure` of an attempt that nobody gave a share of, at most
        std::size_t lost = 0;
        Fleet::Marks heard;
    };
    enum class Verdict : std::uint8_t { counts, never, unknown };
    struct Chosen {
        sealed::DeltaName name;
        std::vector<Group> parts;
        std::vector<Fleet::Marks> heard;
    };

    Part ask(const sealed::DeltaName& name, bool all_attempts);
    [[nodiscard]] Verdict judge(const Group& group) const;
    [[nodiscard]] bool may_be_hidden(std::size_t unsure, std::size_t lost) const;
    [[nodiscard]] std::size_t lasting(const Group& group) const;
    Result<std::optional<Chosen>> choose(std::uint32_t shard, std::uint64_t seq, bool is_new);
    Result<Verdict> take_parts(Chosen& chosen);
    std::size_t settle(const sealed::DeltaName& name, const Group& group, const Fleet::Marks& heard);
    bool drop_attempts(sealed::DeltaName name, std::optional<std::uint8_t> kept, const ChangeLists& lists);
    [[nodiscard]] bool is_whole(const sealed::DeltaName& first, const std::vector<bool>& is_here,
                                const ChangeLists& lists) const;
    [[nodiscard]] Error too_few(std::size_t silent) const;
    [[nodiscard]] std::uint8_t number_of(std::size_t device) const { return fleet_.record().number(device); }

    Fleet& fleet_;
    TaskRunner& runner_;
    sealed::DeltaSealer& sealer_;
    const std::size_t needed_;  ///< devices that must have a change, of those that stay
    const std::size_t judged_;  ///< of whatever devices: with so many an older change may have counted
};

}  // namespace dvesp::node
