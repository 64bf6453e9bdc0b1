"""Fault runs on real processes: clients and faults drawn from a seed, the history judged by Porcupine, the replicas compared.

usage: .venv/bin/python tests/cluster/faults.py [--seed S] [--runs N] [--seconds T] [--nodes 3|5] [--only FAULT,...]
       .venv/bin/python tests/cluster/faults.py --short                 what `make test` runs, with the judge's own tests
       .venv/bin/python tests/cluster/faults.py --campaign SECONDS      new seeds; resumes and adds up

The last line is `N passed, N failed`, five checks a run. A failed run keeps its history, the smallest wrong part of it and the
nodes' logs and data in build/cluster/seed-<S>/ and prints the command that plays its seed again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from clients import COLLECTION, DIMENSION, Client, History, Levels
from dvesp import Error, VectorStore
from judging import JUDGE, ROOT, build_judge, compare_replicas, judge, read_finally, test_judge
from linked_cluster import LinkedCluster
from nemesis import Nemesis

CLIENTS_COUNT = 6
LEVELS = [*[Levels("QUORUM", "QUORUM")] * 3, Levels("ALL", "QUORUM"), Levels("ALL", "ALL"), Levels("QUORUM", "ALL")]
CAMPAIGN = ROOT / "build" / "cluster_campaign.json"
SHORT = [(2, 3), (3, 3), (4, 3), (6, 3), (5, 5)]  # seed, nodes
SHORT_SECONDS = 5.0


@dataclass(frozen=True)
class Shape:
    """What runs have in common, besides their seeds."""

    seconds: float  # of faults
    nodes: int
    quiet_s: float = 20.0  # within which a whole cluster answers and its replicas agree
    only: tuple[str, ...] = ()  # faults by name; empty: all

    def options(self) -> str:
        """The command line that makes this shape."""
        only = f" --only {','.join(self.only)}" if self.only else ""
        return f"--seconds {self.seconds:g} --nodes {self.nodes}{only}"


@dataclass
class Run:
    """What one run came to. `checks`: name -> what is wrong."""

    seed: int
    operations: int = 0
    unknown: int = 0
    applied: list[str] = field(default_factory=list)
    checks: dict[str, list[str]] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return sum(bool(problems) for problems in self.checks.values())


def play(cluster: LinkedCluster, history: History, seed: int, shape: Shape, levels: Levels) -> Nemesis:
    """Clients and faults together, until the time is over and every client has its last answer."""
    numbers = itertools.count(1)
    stop = threading.Event()
    until = time.monotonic() + shape.seconds
    stores = [VectorStore(nodes=cluster.addresses) for _ in range(CLIENTS_COUNT // 2)]  # two threads share each
    clients = [Client(number, stores[number // 2], history, levels, seed) for number in range(CLIENTS_COUNT)]

    def work(client: Client) -> None:
        try:
            client.run(numbers, until + 0.5, stop)
        except Exception as error:
            history.complain(f"client {client.number} ended: {error!r}")
            raise

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    nemesis = Nemesis(cluster, seed, shape.only)
    for thread in threads:
        thread.start()
    try:
        nemesis.run(until)
    except BaseException:
        stop.set()
        raise
    finally:
        for thread in threads:
            thread.join()
        for store in stores:
            store.close()
    return nemesis


def run_checks(cluster: LinkedCluster, history: History, run: Run, quiet_s: float) -> None:
    """Everything that needs the cluster up."""
    run.checks["answers again"] = read_finally(cluster, history, quiet_s)
    try:
        run.checks["replicas agree"] = compare_replicas(cluster, history, quiet_s)
    except Error as error:
        run.checks["replicas agree"] = [f"could not be compared: {error!r}"]
    cluster.look_for_deaths()


def run_once(seed: int, shape: Shape, directory: Path) -> Run:
    """One run in an empty directory."""
    levels = random.Random(f"{seed} levels").choice(LEVELS)
    run = Run(seed)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    history = History(directory / "history.jsonl")
    with LinkedCluster(directory, shape.nodes) as cluster:
        with VectorStore(nodes=cluster.addresses) as store:
            store.create_collection(COLLECTION, DIMENSION, metric="l2", replication_factor=shape.nodes, timeout_ms=10_000)
        nemesis = play(cluster, history, seed, shape, levels)
        run_checks(cluster, history, run, shape.quiet_s)
        complaints = list(cluster.complaints)
    history.close()
    verdict = judge(history.path)
    run.operations, run.unknown, run.applied = verdict["operations"], history.unknown, nemesis.applied
    wrong = [f"{one['key']}: {one['why']} ({one.get('file', '')})" for one in verdict["wrong"]]
    run.checks["linearizable"] = [] if verdict["ok"] else wrong or [str(verdict)]
    run.checks["nodes live"] = complaints
    run.checks["answers make sense"] = history.complaints
    return run


def report(run: Run, shape: Shape, directory: Path) -> None:
    """One line for a good run; for a bad one all that is known, and how to see it again."""
    verdict = "ok" if run.failed == 0 else "FAILED"
    figures = f"{run.operations} operations judged, {run.unknown} unknown, {len(run.applied)} faults"
    print(f"seed {run.seed}, {shape.nodes} nodes, {shape.seconds:g} s: {verdict}, {figures}", flush=True)
    if run.failed == 0:
        shutil.rmtree(directory)
        return
    for name, problems in run.checks.items():
        for problem in problems[:5]:
            print(f"  {name}: {problem}")
    for line in run.applied:
        print(f"  fault at {line}")
    again = f"--seed {run.seed} {shape.options()}"
    print(f"  kept: {directory.relative_to(ROOT)}; again: .venv/bin/python tests/cluster/faults.py {again}", flush=True)


def run_and_report(seed: int, shape: Shape) -> Run:
    directory = JUDGE.parent / f"seed-{seed}"
    try:
        run = run_once(seed, shape, directory)
    except Exception:  # a run that broke off is a failed run, and the others go on
        run = Run(seed, checks={"ran to its end": traceback.format_exc().splitlines()[-5:]})
    report(run, shape, directory)
    return run


def campaign(limit_s: float, shape: Shape) -> list[Run]:
    """New seeds until the time is over; the sums of all campaigns are in CAMPAIGN."""
    known = {"next_seed": 1000, "runs": 0, "operations": 0, "unknown": 0, "faults": 0, "failed_seeds": []}
    if CAMPAIGN.exists():
        known |= json.loads(CAMPAIGN.read_text())
    runs: list[Run] = []
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        run = run_and_report(known["next_seed"], shape)
        runs.append(run)
        known["next_seed"] += 1
        known["runs"] += 1
        known["operations"] += run.operations
        known["unknown"] += run.unknown
        known["faults"] += len(run.applied)
        known["failed_seeds"] += [[run.seed, shape.nodes, shape.seconds]] if run.failed else []
        part = CAMPAIGN.with_suffix(".part")
        part.write_text(json.dumps(known, indent=1))
        part.replace(CAMPAIGN)
    print(f"all campaigns: {json.dumps(known)}")
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; each further one has the next")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="of faults in a run")
    parser.add_argument("--nodes", type=int, choices=(3, 5), default=3)
    parser.add_argument("--quiet", type=float, metavar="SECONDS", default=20.0, help="until replicas must agree")
    parser.add_argument("--only", metavar="FAULT,...", default="", help="the methods of Nemesis, such as kill_all,pause_leader")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--campaign", type=float, metavar="SECONDS")
    options = parser.parse_args()
    shape = Shape(options.seconds, options.nodes, options.quiet, tuple(filter(None, options.only.split(","))))
    build_judge()
    passed, failed, runs = 0, 0, []
    if options.short:
        passed, failed = test_judge()
        runs = [run_and_report(seed, Shape(SHORT_SECONDS, nodes)) for seed, nodes in SHORT]
    elif options.campaign is not None:
        runs = campaign(options.campaign, shape)
    else:
        runs = [run_and_report(seed, shape) for seed in range(options.seed, options.seed + options.runs)]
    passed += sum(len(run.checks) - run.failed for run in runs)
    failed += sum(run.failed for run in runs)
    print(f"{sum(run.operations for run in runs)} operations in {len(runs)} runs")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
