"""Plants one bug at a time into a copy of the storage engine and demands that a simulation notices: the checkers can fail.

usage: .venv/bin/python tests/sim/run_mutants.py [--build build/release] [WORD]     WORD: only mutants whose name contains it
Each mutant compiles one patched source file and links it before the libraries, so the checkout is never touched. The programs
run with their default seeds where not said otherwise. Last line: `N passed, N failed`; a mutant that nobody notices has failed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS_MAX = 600


@dataclass(frozen=True)
class Mutant:
    """`search` must occur exactly once in `file`, and so must those of `more`, further replacements in the same file.
    `programs` are tried one after the other until one fails, with their default seeds or `seed_count` of them."""

    name: str
    file: str
    search: str
    replace: str
    programs: tuple[str, ...]
    more: tuple[tuple[str, str], ...] = ()
    seed_count: int = 0


MUTANTS = [
    Mutant(
        "acknowledges before the log is synced",
        "store/log.cpp",
        "if (written.ok()) written = file_->sync();",
        "",
        ("sim_power_cut",),
    ),
    Mutant(
        "claims that frames are durable which are only being written",
        "store/log.cpp",
        "{generation_, seq++, last_log_seq(), prev_crc}",
        "{generation_, seq, seq, prev_crc};\n        ++seq",
        ("sim_group_cut",),
    ),
    Mutant(
        "does not cut a failed write off",
        "store/log.cpp",
        "if (!cut(persist).ok()) {",
        "cut_pending_ = false;\n        if (false) {",
        ("sim_io_faults",),
    ),
    Mutant(
        "does not sync the size of a new log file",
        "store/log.cpp",
        "DVESP_TRY(made.file->sync());",
        "",
        ("sim_power_cut",),
    ),
    Mutant(
        "does not preallocate log files",
        "store/log.cpp",
        "files_.create(path, file_bytes, options_.access)",
        "files_.create(path, 0, options_.access)",
        ("sim_power_cut",),
    ),
    Mutant(
        "writes only the first frame of a group",
        "store/log.cpp",
        "file_->write_pieces(offset_, pieces)",
        "file_->write_pieces(offset_, std::span<const ByteView>(pieces).first(1))",
        ("crash_kill9",),
    ),
    Mutant(
        "takes damage to durable frames for a torn tail",
        "store/log_recovery.cpp",
        "if (expected_ > durable) return false;",
        "if (durable < std::numeric_limits<std::uint64_t>::max()) return false;",
        ("sim_flips",),
    ),
    Mutant(
        "takes every torn tail for damage",
        "store/log_recovery.cpp",
        "if (expected_ > durable) return false;",
        "if (expected_ > durable && !bad_head_) return false;\n        durable = std::max(durable, expected_);",
        ("sim_power_cut",),
    ),
    Mutant(
        "goes on behind a torn frame",
        "store/log_recovery.cpp",
        "for (const FoundHead& head : heads) durable = std::max(durable, head.view.envelope.durable_log_seq);",
        "for (const FoundHead& head : heads) durable = std::max(durable, head.view.envelope.log_seq);",
        ("sim_group_cut", "sim_power_cut"),
    ),
    Mutant(  # either defence alone is enough, so the bug needs both gone
        "overwrites a torn tail in place and does not chain frames by prev_crc",
        "store/log_recovery.cpp",
        "const bool reusable = !scan.dirty() && ",
        "const bool reusable = ",
        ("sim_group_cut",),
        ((" || envelope.prev_crc != prev_crc_", ""),),
        200,
    ),
    Mutant(
        "shows frames of a killed process without syncing them",
        "store/log_recovery.cpp",
        "DVESP_TRY(file_->sync());",
        "",
        ("sim_power_cut",),
    ),
    Mutant(
        "believes frames without their checksum",
        "codec/frame.cpp",
        "if (columns_crc(frame, view.layout) != load<std::uint32_t>(frame.data() + at_columns_crc)) {",
        "if (false) {",
        ("sim_power_cut", "sim_flips"),
    ),
    Mutant(
        "renames the manifest without syncing the directory",
        "store/database.cpp",
        'DVESP_TRY(files.sync_directory(""));\n    manifest_uncertain_',
        "manifest_uncertain_",
        ("sim_power_cut",),
    ),
    Mutant(
        "renames the manifest without syncing its bytes",
        "store/database.cpp",
        "DVESP_TRY(file->write(0, bytes));\n        DVESP_TRY(file->sync());",
        "DVESP_TRY(file->write(0, bytes));",
        ("sim_power_cut",),
    ),
    Mutant(
        "forgets which rows of a segment are dead",
        "store/database.cpp",
        "if (dead.count() > 0) entry.dead = dead.serialized();",
        "",
        ("sim_power_cut",),
    ),
    Mutant(
        "trims the log without looking at unsealed rows",
        "store/maintenance.cpp",
        "if (first != 0) applied = std::min(applied, first - 1);",
        "static_cast<void>(first);",
        ("sim_power_cut",),
    ),
    Mutant(
        "counts one frame too many as sealed",
        "store/maintenance.cpp",
        "collection.set_applied(sealed->last_log_seq, sealed->last_shard_seq);",
        "collection.set_applied(sealed->last_log_seq + 1, sealed->last_shard_seq + 1);",
        ("sim_power_cut",),
    ),
    Mutant(
        "removes files that an uncertain manifest may name",
        "store/maintenance.cpp",
        "if (database_.manifest_uncertain_) return persisted;",
        "",
        ("sim_io_faults",),
    ),
    Mutant(
        "drops the deaths that came while a segment was written",
        "store/maintenance.cpp",
        "if (death != 0 && new_rows[input][row] != index::no_row)",
        "if (death == 1 && new_rows[input][row] != index::no_row)",
        ("sim_power_cut", "crash_kill9"),
    ),
    Mutant(
        "removes orphans before the manifest is durable",
        "store/database_recovery.cpp",
        'DVESP_TRY(files.sync_directory(""));\n',
        "",
        ("sim_power_cut",),
    ),
    Mutant(
        "applies a batch without its last row",
        "store/collection.cpp",
        "next.head_rows = head->rows();",
        "next.head_rows = head->rows() - (view.head.count > 3 ? 1 : 0);",
        ("sim_power_cut",),
    ),
    Mutant(
        "does not sync segments",
        "store/segment_writer.cpp",
        "DVESP_TRY(file_->sync());",
        "",
        ("sim_power_cut",),
    ),
    Mutant(
        "does not sync the directory of segments",
        "store/segment_writer.cpp",
        "DVESP_TRY(files_.sync_directory(segment_directory));",
        "",
        ("sim_power_cut",),
    ),
    Mutant(
        "believes blocks without their checksum",
        "store/checked_file.cpp",
        "const bool whole = crc == wanted && !mapping_->damaged();",
        "const bool whole = (crc == wanted || true) && !mapping_->damaged();",
        ("sim_flips",),
    ),
    Mutant(
        "accepts a log file that was shortened",
        "store/log_recovery.cpp",
        "if (size_ < entry_.file_bytes) shortened_ = true;",
        "",
        ("sim_flips",),
    ),
    Mutant(
        "takes a change of the index for none while devices that may have it are away",
        "node/change_shelf.cpp",
        "if (shares + group.unsure + group.lost < judged_) return Verdict::never;",
        "if (shares < judged_) return Verdict::never;",
        ("sim_devices",),
    ),
    Mutant(
        "lets k devices decide about changes of the index in large fleets",
        "sealed/placement.cpp",
        "if (devices <= small_fleet_devices_max) return k;",
        "if (devices <= 255) return k;",
        ("sim_devices",),
    ),
    Mutant(
        "acknowledges what too few devices took",
        "node/sealed_writes.cpp",
        "if (is_enough) return {};",
        "if (is_enough || devices > 0) return {};",
        ("sim_devices",),
    ),
    Mutant(
        "does not complete fragments",
        "node/sealed_complete.cpp",
        "const std::vector<bool> has_it = fleet_->put(batch, *options_.runner);",
        "const std::vector<bool> has_it(fleet_->size(), true);",
        ("sim_devices",),
    ),
    Mutant(
        "does not complete changes of the index",
        "node/change_shelf.cpp",
        "if (is_whole({shard, seq, 0, 0}, is_here, lists)) return true;",
        "if (is_whole({shard, seq, 0, 0}, is_here, lists) || shard > 0) return true;",
        ("sim_devices",),
    ),
    Mutant(
        "collects fragments although the index was not brought back whole",
        "node/sealed_complete.cpp",
        "if (!is_attached_ || is_stopped_) return {};",
        "",
        ("sim_devices",),
    ),
    Mutant(
        "waits for ever for what given up devices may have had",
        "node/change_shelf.cpp",
        "if (silent[device] != 0) ++(fleet_.is_leaving(device) ? out.lost : out.silent);",
        "if (silent[device] != 0) ++out.silent;",
        ("sim_devices",),
        seed_count=150,
    ),
    Mutant(
        "lets an old place go before the new one has what it shall have",
        "node/sealed_complete.cpp",
        "(is_there ? inventory.moved : inventory.needed)[device].push_back(ids[at]);",
        "inventory.moved[device].push_back(ids[at]);",
        ("sim_devices",),
        seed_count=150,
    ),
    Mutant(
        "ends a change of the fleet before everything is where it shall be",
        "node/sealed_complete.cpp",
        "if (is_changing && changes.are_whole && !inventory.is_pending) DVESP_TRY(end_change());",
        "if (is_changing && changes.are_whole) DVESP_TRY(end_change());",
        ("sim_devices",),
        seed_count=150,
    ),
    Mutant(
        "follows no newer record of the fleet",
        "node/sealed_fleet.cpp",
        "if (!best || other.is_newer_than(*best)) best = other;",
        "if (!best) best = other;",
        ("sim_devices",),
        seed_count=150,
    ),
    Mutant(
        "gives a device a second fragment of a record while the first one is there",
        "node/sealed_complete.cpp",
        "if (!is_full) out.push_back",
        "if (is_full || !is_full) out.push_back",
        ("sim_devices",),
        seed_count=150,
    ),
    Mutant(
        "believes shares of changed fragments",
        "sealed/fragment.cpp",
        'if (!opened.ok()) return not_it("it was changed");',
        "static_cast<void>(opened.ok());",
        ("sim_devices",),
    ),
    Mutant(
        "archive: keeps packs of a round that failed",
        "node/archive_pump.cpp",
        "if (!sent.ok()) packs_.clear();",
        "",
        ("sim_archive",),
    ),
    Mutant(
        "archive: packs all batches but the first after a pack",
        "node/archive_pump.cpp",
        "if (frame->view.head.seq <= packed_up_to) continue;",
        "if (frame->view.head.seq <= packed_up_to + (old.empty() ? 0 : 1)) continue;",
        ("sim_archive",),
    ),
    Mutant(
        "archive: objects are not synced before they get their names",
        "archive/directory.cpp",
        """        if (hasher.finish() != name.sha256) return fail(ErrorCode::integrity, "an object is not what its name says");
        return file->sync();""",
        """        if (hasher.finish() != name.sha256) return fail(ErrorCode::integrity, "an object is not what its name says");
        return {};""",
        ("sim_archive",),
    ),
    Mutant(
        "archive: a new key is used before it is kept",
        "node/archive_keys.cpp",
        "    if (!is_new) return key;\n",
        "    if (!is_new || true) return key;\n",
        ("sim_archive",),
    ),
    Mutant(
        "archive: remembers what a target has without looking",
        "node/archive_record.cpp",
        "return !there.contains({part.stored, part.bytes});",
        "return part.bytes > part.bytes;",
        ("sim_archive",),
    ),
    Mutant(
        "archive: a restored store forgets the batches that are in no segment",
        "store/database_archive.cpp",
        "for (const auto& frame : frames) DVESP_TRY(replay_frame({frame, frame->view.envelope.log_seq}));",
        "",
        ("sim_archive",),
    ),
    Mutant(
        "archive: the manifest goes before its objects",
        "node/archive_pump.cpp",
        "        DVESP_TRY(upload(round.files[at], round.contents[at]));",
        """        if (at == 0) static_cast<void>(target_->put_document(archive::manifest_name(number_ + 1), {}).ok());
        DVESP_TRY(upload(round.files[at], round.contents[at]));""",
        ("sim_archive",),
    ),
]


def compiler_of(build: Path, file: str) -> tuple[list[str], Path]:
    """The compiler call for `file` of cpp/ without its input and output, and the path of the source that was built."""
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        source = Path(entry["file"])
        if source.as_posix().endswith(f"/cpp/{file}"):
            words = shlex.split(entry["command"])
            output = words.index("-o")
            kept = [word for index, word in enumerate(words) if index not in (output, output + 1)]
            return [word for word in kept if word not in ("-c", entry["file"])], source
    raise SystemExit(f"cpp/{file} is not built in {build}")


def link_command(build: Path, program: str) -> list[str]:
    text = subprocess.run(
        ["ninja", "-C", str(build), "-t", "commands", f"bin/{program}"], check=True, capture_output=True, text=True
    ).stdout
    last = text.strip().splitlines()[-1]
    return shlex.split(last.removeprefix(": && ").removesuffix(" && :"))


def run(command: list[str], directory: Path) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=RUN_SECONDS_MAX,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return 1, f"still running after {RUN_SECONDS_MAX} s"
    return done.returncode, done.stdout


def caught_by(mutant: Mutant, build: Path, scratch: Path) -> tuple[str, str]:
    """The program that noticed and its first complaint; two empty texts when none did."""
    compiler, source = compiler_of(build, mutant.file)
    text = source.read_text(encoding="utf-8")
    for search, replace in ((mutant.search, mutant.replace), *mutant.more):
        if text.count(search) != 1:
            raise SystemExit(f"{mutant.name}: the text to replace is {text.count(search)} times in {mutant.file}: {search}")
        text = text.replace(search, replace)
    patched = scratch / source.name
    patched.write_text(text, encoding="utf-8")
    made = scratch / "mutant.o"
    status, output = run([*compiler, "-Wno-error", "-c", str(patched), "-o", str(made)], build)
    if status != 0:
        raise SystemExit(f"{mutant.name}: does not compile\n{output[-3000:]}")
    for program in mutant.programs:
        words = link_command(build, program)
        words[words.index("-o") + 1] = str(scratch / program)
        words.insert(words.index("-o"), str(made))
        status, output = run(words, build)
        if status != 0:
            raise SystemExit(f"{mutant.name}: does not link\n{output[-3000:]}")
        seeds = ["--seed-count", str(mutant.seed_count)] if mutant.seed_count else []
        status, output = run([str(scratch / program), *seeds], scratch)
        if status != 0:
            complaints = [line for line in output.splitlines() if "FAILED" in line] or output.splitlines()[-1:] or ["crashed"]
            return program, complaints[0][:160]
    return "", ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("word", nargs="?", default="")
    arguments = parser.parse_args()
    build: Path = arguments.build.resolve()
    passed = failed = 0
    for mutant in MUTANTS:
        if arguments.word not in mutant.name:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="dvesp-mutant-") as scratch:
            program, complaint = caught_by(mutant, build, Path(scratch))
        passed += bool(program)
        failed += not program
        verdict = f"caught by {program}: {complaint}" if program else f"NOT CAUGHT by {', '.join(mutant.programs)}"
        print(f"{mutant.name} ({time.monotonic() - start:.0f} s): {verdict}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


if __name__ == "__main__":
    sys.exit(main())
