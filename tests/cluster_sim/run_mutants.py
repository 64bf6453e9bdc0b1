"""Plants one bug at a time into the cluster's code and demands that the simulator notices: its checkers can fail.

usage: .venv/bin/python tests/cluster_sim/run_mutants.py [--build build/release] [WORD]     as tests/sim/run_mutants.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sim"))
import run_mutants
from run_mutants import Mutant

SEEDS = 60
PROGRAMS = ("cluster_sim_faults",)


def planted(name: str, file: str, search: str, replace: str, *more: tuple[str, str], seeds: int = SEEDS) -> Mutant:
    return Mutant(name, file, search, replace, PROGRAMS, more, seeds)


def planted_branch(name: str, file: str, search: str, replace: str, *more: tuple[str, str]) -> Mutant:
    return Mutant(name, file, search, replace, ("cluster_sim_branches",), more, 10)


def planted_divergence(name: str, file: str, search: str, replace: str, *more: tuple[str, str]) -> Mutant:
    return Mutant(name, file, search, replace, ("cluster_sim_divergence",), more, 4)


def planted_rot(name: str, file: str, search: str, replace: str, *more: tuple[str, str]) -> Mutant:
    return Mutant(name, file, search, replace, ("cluster_sim_flips",), more, 4)


MUTANTS = [
    planted(
        "steps an append whose payloads are not there",
        "node/cluster_raft.cpp",
        "if (!missing.empty()) {\n            const bool is_full",
        "if (missing.size() > 1000000) {\n            const bool is_full",
    ),
    planted("never writes entries to the disk", "node/cluster_raft.cpp", "if (!is_urgent) {", "if (is_urgent || !is_urgent) {"),
    planted(
        "forgets whom it voted for",
        "node/cluster_raft.cpp",
        "is_urgent = is_urgent || ready.hard->term != replica.hard.term || ready.hard->vote != replica.hard.vote;",
        "",
        ("record.hard = replica.hard;", ""),
        seeds=400,
    ),
    planted(
        "a leader answers reads without asking anybody",
        "node/cluster_reads.cpp",
        "    replica.forming.push_back(std::move(job));\n    ask_reads(replica);",
        "    job.then({ReadGrant::Kind::granted, replica.applied, 1});",
    ),
    planted(
        "a strong read does not wait for what it must see",
        "node/cluster_reads.cpp",
        "replica.applying.emplace(std::max(state.index, job.session_index), std::move(job));",
        "replica.applying.emplace(0, std::move(job));",
    ),
    planted(
        "a session's token is not looked at",
        "node/cluster_reads.cpp",
        "if (replica.applied >= job.session_index) return job.then",
        "if (true) return job.then",
    ),
    planted(
        "a new leader writes before it knows everything",
        "node/cluster_writes.cpp",
        "replica.applied < replica.lead_index || ",
        "",
    ),
    planted(
        "two writes in flight may change one record",
        "node/cluster_writes.cpp",
        "if (replica.keys.contains(key)) return false;",
        "if (replica.keys.contains(key)) continue;",
    ),
    planted(
        "what was prepared is not prepared again when the collection changed",
        "node/cluster_writes.cpp",
        "if (job->prepared_seq == 0 || (operation.depends_on_state() && snapshot->seq != job->prepared_seq)) {",
        "if (job->prepared_seq == 0) {",
    ),
    planted(
        "a retry is done a second time",
        "node/cluster_writes.cpp",
        "known != replica.done.end()) {",
        "known != replica.done.end() && known->second.index == 0) {",
    ),
    planted(
        "a write is acknowledged when it is on the leader's disk",
        "node/cluster_writes.cpp",
        "if (job->incoming.request.level == codec::Level::one && !job->is_answered) {",
        "if (!job->is_answered) {",
    ),
    planted(
        "applies again what is in segments",
        "node/cluster_apply.cpp",
        "batch && entry.index > replica.collection->applied_log_seq()) {",
        "batch) {",
    ),
    planted(
        "truncates entries whose rows are not in segments",
        "node/cluster_apply.cpp",
        "upto = sealed <= 1 ? 0 : std::min(upto, sealed);",
        "upto = std::max(upto, sealed);",
        ("if (!replica.retained.empty()) upto = std::min(upto, replica.retained.front().index - 1);", ""),
    ),
    planted(
        "trims the log up to the checkpoint, rows or not",
        "node/cluster_apply.cpp",
        "item.keep_from = keep_from;",
        "item.keep_from = ~std::uint64_t{0} - keep_from % 2;",
    ),
    planted(
        "a checkpoint forgets entries",
        "node/cluster_apply.cpp",
        "record.entries.assign(replica.entries.begin(), replica.entries.end());",
        "",
    ),
    planted("a checkpoint forgets term and vote", "node/cluster_apply.cpp", "record.hard = replica.hard;", ""),
    planted(
        "a payload that is asked for is not sent",
        "node/cluster_raft.cpp",
        "if (found == replicas_.end() || count > requested_max) return;",
        "if (found == replicas_.end() || count > 0) return;",
    ),
    planted(
        "a recovered payload is sent with a wrong checksum",
        "node/cluster_node.cpp",
        "recovered.frame->columns_crc =",
        "recovered.frame->columns_crc = 1 +",
    ),
    planted(
        "a node without a disk comes back as the old voter",
        "node/cluster_boot.cpp",
        "codec::load<std::uint64_t>(bytes.data()) | 1",
        "(codec::load<std::uint64_t>(bytes.data()) | 1) * 0 + 1",
    ),
    planted(
        "a snapshot that names a member not is sent to it",
        "node/cluster_snapshots.cpp",
        "if (is_wanted && !replica.is_making_snapshot) make_snapshot(replica);",
        "if (is_wanted && !replica.is_making_snapshot && replica.id == 0) make_snapshot(replica);",
    ),
    planted(
        "a snapshot is installed without what it says of batches",
        "node/cluster_snapshots.cpp",
        "if (done != replica.done.end() && done->second.index <= index) batches.push_back(done->second);",
        "",
    ),
    planted(
        "a replica applies every batch but one in a hundred",
        "node/cluster_apply.cpp",
        "work->push_back({payload->second.frame, entry.index});",
        "if (entry.index % 100 != 0 || identity_.member % 3 == 0) work->push_back({payload->second.frame, entry.index});",
    ),
    planted(
        "keys of a lost leadership stay taken",
        "node/cluster_writes.cpp",
        "    replica.keys.clear();\n    replica.exclusive = 0;",
        "    replica.exclusive = 1;",
    ),
    planted(
        "deaths in a sealed state are lost on the way",
        "store/database_transfer.cpp",
        "    out.index = manifest.collections.front().applied_log_seq;",
        "    out.index = manifest.collections.front().applied_log_seq;\n"
        "    for (auto& segment : manifest.collections.front().segments) segment.dead.clear();",
    ),
    planted_rot("damage that a scrub finds is not mended", "node/cluster_scrub.cpp", "damage_ = *found;", ""),
    planted_rot(
        "two members leave at once to be mended",
        "cluster/topology_machine.cpp",
        "if (topology.retiring != 0 && topology.retiring != command.member.id) {",
        "if (topology.retiring == ~std::uint64_t{0}) {",
        ("topology.retiring = command.member.id;", "topology.retiring = 0;"),
    ),
    planted_rot(
        "a damaged log is taken as it is", "node/cluster_node.cpp", "if (!database_->log_damages().empty()) {", "if (false) {"
    ),
    planted(
        "the format is raised while a member is old",
        "node/cluster_topology.cpp",
        "format_of(item.first) > topology_.format;",
        "format_of(item.first) > 0;",
    ),
    planted(
        "a lost leadership's writes are said to be not done",
        "node/cluster_writes.cpp",
        "if (!job->is_answered) send_on(job->incoming, &replica, true);",
        "if (!job->is_answered) send_on(job->incoming, &replica, false);",
    ),
    planted(
        "term and vote are not read from the log",
        "node/cluster_node.cpp",
        "if (part.hard) state.hard = *part.hard;",
        "",
    ),
    planted(
        "entries of a later record do not replace those before them",
        "node/cluster_node.cpp",
        "state.entries.resize(entry.index - state.truncated_index - 1);",
        "if (entry.index <= last) continue;",
    ),
    planted(
        "a truncated log forgets its members",
        "node/cluster_apply.cpp",
        "replica.members_at_truncation = replica.member_changes.front().second;",
        "",
    ),
    planted(
        "a snapshot is put in place while batches are applied",
        "node/cluster_snapshots.cpp",
        "if (is_whole && target != replicas_.end() && target->second->is_applying) {",
        "if (false) {",
        ("if (replica.is_applying) return;  // the leader sends it again", ""),
    ),
    planted(
        "a restart forgets that a group has ended",
        "node/cluster_apply.cpp",
        "        item.record->groups.push_back(std::move(known));\n",
        "",
    ),
    planted(
        "a collection of the past takes its name back after a restart",
        "store/database_replica.cpp",
        "if (named == by_name_.end() || named->second->shard() < shard) by_name_[name] = collection;",
        "by_name_[name] = collection;",
    ),
    planted_divergence(
        "a replica that differs is not told so",
        "node/cluster_compare.cpp",
        "if (content != most->first) now.differing.push_back(member);",
        "static_cast<void>(member), static_cast<void>(content);",
    ),
    planted(
        "a replica is compared before the batches in front of a check are applied",
        "node/cluster_apply.cpp",
        "if (!run.empty()) break;  // what is in front of it is applied first",
        "",
    ),
    planted_divergence(
        "the largest opinion counts, majority or not",
        "node/cluster_compare.cpp",
        "if (most->second < majority) {",
        "if (false) {",
    ),
    planted_divergence(
        "dead rows are digested too",
        "store/content_digest.cpp",
        "if (!part.source->deaths.alive_at(row, snapshot.seq)) continue;",
        "",
    ),
    planted_branch(
        "payloads without an entry are thrown away",
        "node/cluster_branches.cpp",
        "if (replica->done.contains(head.batch_id) || ",
        "if (head.hlc != 0 || ",
    ),
    planted_branch(
        "a branch is taken over whatever is there",
        "store/merge.cpp",
        "if (present != parent) {",
        "if (present != parent && present.empty()) {",
    ),
    planted_branch(
        "conflicts of a branch are not kept",
        "node/branch_keeper.cpp",
        "if (!conflicts.empty()) DVESP_TRY",
        "if (conflicts.size() > 1000000) DVESP_TRY",
    ),
]

if __name__ == "__main__":
    run_mutants.MUTANTS = MUTANTS
    sys.exit(run_mutants.main())
