/// node/change_shelf.cpp - judging attempts by who has them and who cannot be asked; making missing shares again.
#include "node/change_shelf.hpp"

#include <algorithm>

namespace dvesp::node {
namespace {

bool has(const std::vector<FragmentId>& sorted, const FragmentId& id) {
    return std::binary_search(sorted.begin(), sorted.end(), id);
}

}  // namespace

Error ChangeShelf::too_few(std::size_t silent) const {
    return fail(ErrorCode::unavailable, std::to_string(fleet_.size() - silent) + " of " + std::to_string(fleet_.size()) +
                                            " devices are reachable, too few to bring the index back from them");
}

/// What devices have of a part: of one attempt, or of all that may be.
ChangeShelf::Part ChangeShelf::ask(const sealed::DeltaName& name, bool all_attempts) {
    const std::size_t attempts = all_attempts ? change_attempts_max : 1;
    const auto attempt_of = [&](std::size_t at) { return static_cast<std::uint8_t>(all_attempts ? at : name.attempt); };
    std::vector<std::vector<FragmentId>> ids(fleet_.size());
    sealed::DeltaName one = name;
    for (std::size_t at = 0; at < attempts; ++at) {
        one.attempt = attempt_of(at);
        for (std::size_t device = 0; device < ids.size(); ++device)
            ids[device].push_back(sealer_.id_of(one, number_of(device)));
    }
    Part out;
    Fleet::Marks silent;
    const Fleet::Answers answers = fleet_.get(ids, runner_, &silent);
    for (std::size_t device = 0; device < silent.size(); ++device) {
        out.heard.push_back(silent[device] == 0 ? 1 : 0);
        if (silent[device] != 0) ++(fleet_.is_leaving(device) ? out.lost : out.silent);
    }
    for (std::size_t at = 0; at < attempts; ++at) {
        one.attempt = attempt_of(at);
        const std::size_t first = out.groups.size();
        std::size_t unsure = out.silent;
        for (std::size_t device = 0; device < answers.size(); ++device) {
            if (!answers[device][at]) continue;
            auto share = sealer_.open(one, number_of(device), *answers[device][at]);
            if (!share.ok()) {
                ++unsure;
                continue;
            }
            auto group = std::find_if(out.groups.begin() + static_cast<std::ptrdiff_t>(first), out.groups.end(),
                                      [&](const Group& known) { return same_write(known.shares.front(), *share); });
            if (group == out.groups.end()) {
                group = out.groups.insert(group, Group{one.attempt, {}, std::vector<std::uint8_t>(fleet_.size(), 0), 0, 0});
            }
            group->has[device] = 1;
            group->shares.push_back(std::move(*share));
        }
        for (std::size_t group = first; group < out.groups.size(); ++group) {
            out.groups[group].unsure = unsure;
            out.groups[group].lost = out.lost;
        }
        out.unsure_most = std::max(out.unsure_most, unsure);
    }
    std::stable_sort(out.groups.begin(), out.groups.end(), [](const Group& a, const Group& b) {
        return std::pair(a.shares.front().stamp, a.attempt) > std::pair(b.shares.front().stamp, b.attempt);
    });
    return out;
}

/// What devices took along that are given up counts as there, but what too few others have is never read again.
ChangeShelf::Verdict ChangeShelf::judge(const Group& group) const {
    const std::size_t shares = group.shares.size(), k = group.shares.front().plan.k;
    if (shares + group.unsure + group.lost < judged_) return Verdict::never;
    if (shares >= k) return Verdict::counts;
    return shares + group.unsure < k ? Verdict::never : Verdict::unknown;
}

/// Whether a change that nobody gave a share of may count all the same.
bool ChangeShelf::may_be_hidden(std::size_t unsure, std::size_t lost) const {
    return unsure + lost >= judged_ && unsure >= fleet_.record().plan.k;
}

/// How many devices that stay have it.
std::size_t ChangeShelf::lasting(const Group& group) const {
    std::size_t count = 0;
    for (std::size_t device = 0; device < fleet_.size(); ++device) {
        count += group.has[device] != 0 && !fleet_.is_leaving(device) ? 1 : 0;
    }
    return count;
}

/// The parts behind the first one: an attempt counts as a whole or not at all.
Result<ChangeShelf::Verdict> ChangeShelf::take_parts(Chosen& chosen) {
    const sealed::DeltaShare head = chosen.parts.front().shares.front();
    if (head.parts > change_parts_max) return fail(ErrorCode::integrity, "a part of the index has too many parts");
    for (chosen.name.part = 1; chosen.name.part < head.parts; ++chosen.name.part) {
        Part part = ask(chosen.name, false);
        const auto group = std::find_if(part.groups.begin(), part.groups.end(), [&](const Group& one) {
            return one.shares.front().stamp == head.stamp && one.shares.front().parts == head.parts;
        });
        if (group == part.groups.end()) return may_be_hidden(part.unsure_most, part.lost) ? Verdict::unknown : Verdict::never;
        const Verdict verdict = judge(*group);
        if (verdict != Verdict::counts) return verdict;
        chosen.parts.push_back(std::move(*group));
        chosen.heard.push_back(std::move(part.heard));
    }
    chosen.name.part = 0;
    return Verdict::counts;
}

/// The latest attempt that counts. A later one that may be on devices which cannot be asked decides nothing: not now.
Result<std::optional<ChangeShelf::Chosen>> ChangeShelf::choose(std::uint32_t shard, std::uint64_t seq, bool is_new) {
    Part first = ask({shard, seq, 0, 0}, true);
    if (is_new && may_be_hidden(first.silent, first.lost)) return too_few(first.silent);
    for (Group& group : first.groups) {
        Verdict verdict = judge(group);
        Chosen chosen{{shard, seq, group.attempt, 0}, {}, {}};
        if (verdict == Verdict::counts) {
            chosen.parts.push_back(std::move(group));
            chosen.heard.push_back(first.heard);
            DVESP_ASSIGN(verdict, take_parts(chosen));
        }
        if (verdict == Verdict::counts) return std::optional(std::move(chosen));
        if (verdict == Verdict::unknown) {
            if (first.silent > 0) return too_few(first.silent);
            return fail(ErrorCode::integrity, "the devices' parts of the index were changed: too few of one are whole");
        }
    }
    if (!may_be_hidden(first.unsure_most, first.lost)) return std::optional<Chosen>();
    if (first.silent > 0) return too_few(first.silent);
    return fail(ErrorCode::integrity, "the devices' parts of the index were changed: nobody knows what they were");
}

/// Puts what is missing on devices that were heard, in the place of whatever they have instead. @return how many have it then
std::size_t ChangeShelf::settle(const sealed::DeltaName& name, const Group& group, const Fleet::Marks& heard) {
    const std::size_t k = group.shares.front().plan.k;
    const std::vector<sealed::DeltaShare> enough(group.shares.begin(), group.shares.begin() + static_cast<std::ptrdiff_t>(k));
    std::vector<std::vector<std::uint8_t>> made(fleet_.size());
    std::vector<std::vector<VaultItem>> batch(fleet_.size());
    std::vector<std::vector<FragmentId>> instead(fleet_.size());
    for (std::size_t device = 0; device < fleet_.size(); ++device) {
        if (group.has[device] != 0 || heard[device] == 0 || fleet_.is_leaving(device)) continue;
        auto fragment = sealer_.remake(name, number_of(device), enough);
        if (!fragment.ok()) continue;
        made[device] = std::move(*fragment);
        const FragmentId id = sealer_.id_of(name, number_of(device));
        batch[device].push_back({id, change_kind, ByteView(made[device])});
        instead[device].push_back(id);
    }
    fleet_.remove(instead, runner_);
    const std::vector<bool> has_it = fleet_.put(batch, runner_);
    std::size_t count = lasting(group);
    for (std::size_t device = 0; device < fleet_.size(); ++device) count += has_it[device] && !batch[device].empty() ? 1 : 0;
    return count;
}

Result<std::optional<ChangeShelf::Found>> ChangeShelf::find(std::uint32_t shard, std::uint64_t seq, bool is_new,
                                                            bool must_last) {
    DVESP_ASSIGN(auto chosen, choose(shard, seq, is_new));
    if (!chosen) return std::optional<Found>();
    Found found{{}, fleet_.size()};
    std::vector<crypto::SecretBytes> payloads;
    std::size_t bytes = 0;
    for (std::size_t part = 0; part < chosen->parts.size(); ++part) {
        Group& group = chosen->parts[part];
        found.devices = std::min(found.devices, group.shares.size());
        sealed::DeltaName name = chosen->name;
        name.part = static_cast<std::uint16_t>(part);
        if (must_last && lasting(group) < needed_ && settle(name, group, chosen->heard[part]) < needed_) {
            return fail(
                ErrorCode::unavailable,
                "a change of the index is on too few devices, and too few take it now; connect more devices and open again");
        }
        group.shares.resize(group.shares.front().plan.k);
        DVESP_ASSIGN(auto payload, sealer_.join(group.shares));
        bytes += payload.size();
        payloads.push_back(std::move(payload));
    }
    found.payload = crypto::SecretBytes(bytes);
    auto at = found.payload.bytes().begin();
    for (const crypto::SecretBytes& payload : payloads) at = std::copy(payload.bytes().begin(), payload.bytes().end(), at);
    return std::optional(std::move(found));
}

/// Whether every device that is here has every part of the attempt. Parts that nobody has are not missed.
bool ChangeShelf::is_whole(const sealed::DeltaName& first, const std::vector<bool>& is_here, const ChangeLists& lists) const {
    sealed::DeltaName name = first;
    for (name.part = 0; name.part < change_parts_max; ++name.part) {
        std::size_t here = 0, count = 0;
        for (std::size_t device = 0; device < lists.size(); ++device) {
            if (!is_here[device] || fleet_.is_leaving(device)) continue;
            ++here;
            count += has(lists[device], sealer_.id_of(name, number_of(device))) ? 1 : 0;
        }
        if (count == 0) return name.part > 0;
        if (count < here) return false;
    }
    return true;
}

/// What is left of attempts, but of the one that counts. @return whether that is gone
bool ChangeShelf::drop_attempts(sealed::DeltaName name, std::optional<std::uint8_t> kept, const ChangeLists& lists) {
    std::vector<std::vector<FragmentId>> ids(fleet_.size());
    for (name.attempt = 0; name.attempt < change_attempts_max; ++name.attempt) {
        if (name.attempt == kept) continue;
        bool is_any = true;
        for (name.part = 0; is_any && name.part < change_parts_max; ++name.part) {
            is_any = false;
            for (std::size_t device = 0; device < lists.size(); ++device) {
                const FragmentId id = sealer_.id_of(name, number_of(device));
                if (!has(lists[device], id)) continue;
                ids[device].push_back(id);
                is_any = true;
            }
        }
    }
    const Fleet::Marks gone = fleet_.remove(ids, runner_);
    return std::count(gone.begin(), gone.end(), 0) == 0;
}

bool ChangeShelf::drop(std::uint32_t shard, std::uint64_t seq, const ChangeLists& lists) {
    return drop_attempts({shard, seq, 0, 0}, std::nullopt, lists);
}

bool ChangeShelf::complete(std::uint32_t shard, std::uint64_t seq, const std::vector<bool>& is_here, const ChangeLists& lists) {
    if (is_whole({shard, seq, 0, 0}, is_here, lists)) return true;
    auto chosen = choose(shard, seq, false);
    if (!chosen.ok()) return false;
    if (!*chosen) return true;
    for (std::size_t part = 0; part < (*chosen)->parts.size(); ++part) {
        sealed::DeltaName name = (*chosen)->name;
        name.part = static_cast<std::uint16_t>(part);
        if (settle(name, (*chosen)->parts[part], (*chosen)->heard[part]) < needed_) return false;
    }
    drop_attempts((*chosen)->name, (*chosen)->name.attempt, lists);
    return true;
}

}  // namespace dvesp::node
