"""Real nodes behind links that can be cut: `Cluster` with a relay (links.py) in front of each node."""

from __future__ import annotations

import json
import re
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import TracebackType

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from dvesp import Error, VectorStore
from dvesp.cli_serve import node_binary
from node_cluster import Cluster, free_ports

READY_S = 30.0
STOPPING_S = 30.0
CLIENTS = -1


class Links:
    """The relay process, told what each directed pair does. Numbers are nodes; CLIENTS is everybody else."""

    def __init__(self, ports: list[int], targets: list[int]) -> None:
        command = [sys.executable, str(Path(__file__).with_name("links.py"))]
        command += [f"{port}:{target}" for port, target in zip(ports, targets, strict=True)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        self.seed = 0
        self.answer("ready")

    def answer(self, wanted: str) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line == wanted, f"the relay answered {line!r}"

    def send(self, command: dict[str, object]) -> None:
        with self.lock:
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
            self.answer("ok")

    def change(
        self,
        cut: list[tuple[int, int]] | None = None,
        delay_s: list[tuple[int, int, float]] | None = None,
        loss: list[tuple[int, int, float]] | None = None,
        reset: bool = False,
    ) -> None:
        """The whole new state; without arguments every link works. `reset`: connections that were cut break now."""
        self.seed += 1
        self.send({"cut": cut or [], "delay_s": delay_s or [], "loss": loss or [], "reset": reset, "seed": self.seed})

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=STOPPING_S)
        self.process.stdout.close()


class LinkedCluster(Cluster):
    """Nodes listen on a port of their own and advertise the relay's: all see the same address for node j.

    `options` replaces ``--insecure``: with TLS material the same class serves addresses that are no loopback.
    """

    def __init__(self, directory: Path, count: int, options: list[str] | None = None) -> None:
        super().__init__(directory, count, options)
        ports = free_ports(2 * count)
        self.addresses = [f"127.0.0.1:{port}" for port in ports[:count]]
        self.listens = ports[count:]
        self.links = Links(ports[:count], self.listens)
        self.paused: set[int] = set()
        self.complaints: list[str] = []  # what a node did that no fault explains

    def start(self, number: int) -> None:
        """Starts a node unless it runs; returns when it answers requests."""
        if number in self.processes:
            return
        command = [node_binary(), "--data", str(self.directory / f"n{number}"), "--listen", f"127.0.0.1:{self.listens[number]}"]
        command += ["--advertise", self.addresses[number], "--join", ",".join(self.addresses), "--node-id", f"node{number}"]
        with (self.directory / f"n{number}.log").open("a") as log:
            process = subprocess.Popen([*command, *self.options], stdout=subprocess.PIPE, stderr=log, text=True)
        self.processes[number] = process
        self.links.send({"pids": {str(node): one.pid for node, one in self.processes.items()}})
        assert process.stdout is not None
        is_told = select.select([process.stdout], [], [], READY_S)[0]
        line = process.stdout.readline() if is_told else ""
        if not line.startswith("ready "):
            self.complaints.append(f"node {number} did not start within {READY_S} s: {line!r}, {self.log(number)[-2000:]}")

    def kill(self, number: int) -> None:
        """kill -9 of a node that runs; a node that had ended by itself is a complaint."""
        if number in self.processes:
            self.look_for_deaths()
        if number in self.processes:
            self.paused.discard(number)
            super().kill(number)

    def terminate(self, number: int) -> None:
        """SIGTERM, which must end a node cleanly and soon, whatever the network does."""
        if number not in self.processes:
            return
        self.resume(number)
        self.look_for_deaths()
        process = self.processes.get(number)
        if process is None:
            return
        try:
            code = self.stop(number)
        except subprocess.TimeoutExpired:
            self.complaints.append(f"node {number} did not stop within {STOPPING_S} s of SIGTERM")
            self.processes[number] = process
            return self.kill(number)
        if code != 0:
            self.complaints.append(f"node {number} ended with {code} after SIGTERM: {self.log(number)[-2000:]}")

    def pause(self, number: int) -> None:
        """SIGSTOP: the node is there but does nothing; the kernel still takes bytes for it."""
        if number in self.processes:
            self.processes[number].send_signal(signal.SIGSTOP)
            self.paused.add(number)

    def resume(self, number: int) -> None:
        if number in self.paused:
            self.paused.discard(number)
            self.processes[number].send_signal(signal.SIGCONT)

    def look_for_deaths(self) -> None:
        """Nodes that ended although nobody ended them."""
        for number, process in list(self.processes.items()):
            if process.poll() is None:
                continue
            self.complaints.append(f"node {number} ended by itself with {process.returncode}: {self.log(number)[-2000:]}")
            del self.processes[number]
            self.paused.discard(number)

    def leader(self) -> int | None:
        """Who leads the collection's shard, by the nodes' own words: the one of the highest term."""
        found: list[tuple[int, int]] = []
        for number in self.processes:
            if number in self.paused:
                continue
            text = self.metrics(number)
            leads = set(re.findall(r'^dvesp_group_leads\{group="([1-9]\d*)"\} 1$', text, re.MULTILINE))
            terms = dict(re.findall(r'^dvesp_group_term\{group="(\d+)"\} (\d+)$', text, re.MULTILINE))
            found += [(int(terms.get(group, "0")), number) for group in leads]
        return max(found)[1] if found else None

    def metrics(self, number: int) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.listens[number]}/metrics", timeout=0.5) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def heal(self) -> None:
        """All nodes up and running, all links whole."""
        self.links.change()
        for number in list(self.paused):
            self.resume(number)
        self.look_for_deaths()
        for number in range(len(self.addresses)):
            self.start(number)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        with VectorStore(nodes=self.addresses) as store:
            while True:
                try:
                    store.list_collections(timeout_ms=1000)
                    return
                except Error:
                    if time.monotonic() > deadline:
                        raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number in list(self.processes):
            self.kill(number)
        self.links.close()
