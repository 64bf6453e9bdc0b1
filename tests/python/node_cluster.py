"""Real nodes for tests: processes of ``dvesp-node`` on loopback, started, killed and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from dvesp import TLS, Unavailable, VectorStore
from dvesp.cli_serve import node_binary

STARTING_S = 15.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def launch(command: list[str], log: Path) -> subprocess.Popen[str]:
    """Starts a node whose stderr goes to the end of ``log``; returns when it answers requests."""
    with log.open("a") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:  # it has ended
        process.stdout.close()
        process.wait(timeout=30)
    assert line.startswith("ready "), f"{log.name}: {line!r}, {log.read_text()}"
    return process


def end(process: subprocess.Popen[str], how: signal.Signals) -> int:
    """Sends a signal that ends the node, and returns its exit code."""
    process.send_signal(how)
    code = process.wait(timeout=30)
    if process.stdout is not None:
        process.stdout.close()
    return code


class Cluster:
    """``count`` nodes that form one cluster. A context manager; nodes are numbered from 0.

    ``options`` are those of every node, or a function of its number; ``tls`` is what this process shows to ask them.
    """

    def __init__(
        self,
        directory: Path,
        count: int,
        options: list[str] | Callable[[int], list[str]] | None = None,
        tls: TLS | None = None,
    ) -> None:
        self.directory = directory
        self.tls = tls
        self.addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
        self.options = ["--insecure"] if options is None else options
        self.processes: dict[int, subprocess.Popen[str]] = {}

    def start(self, number: int) -> None:
        """Starts a node; returns when it answers requests."""
        command = [node_binary(), "--data", str(self.directory / f"n{number}"), "--listen", self.addresses[number]]
        command += ["--join", ",".join(self.addresses), "--node-id", f"node{number}"]
        command += self.options(number) if callable(self.options) else self.options
        self.processes[number] = launch(command, self.directory / f"n{number}.log")

    def log(self, number: int) -> str:
        """What a node wrote to stderr."""
        return (self.directory / f"n{number}.log").read_text()

    def kill(self, number: int) -> None:
        """kill -9."""
        self.stop(number, signal.SIGKILL)

    def stop(self, number: int, how: signal.Signals = signal.SIGTERM) -> int:
        """Ends a node and returns its exit code."""
        return end(self.processes.pop(number), how)

    def wait_until_ready(self) -> None:
        """Until the cluster answers a question that needs a majority."""
        deadline = time.monotonic() + STARTING_S
        with VectorStore(nodes=self.addresses, tls=self.tls) as store:
            while True:
                try:
                    store.list_collections(timeout_ms=1000)
                    return
                except Unavailable:
                    if time.monotonic() > deadline:
                        raise

    def __enter__(self) -> Cluster:
        for number in range(len(self.addresses)):
            self.start(number)
        self.wait_until_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number in list(self.processes):
            self.kill(number)
        for log in sorted(self.directory.glob("*.log")):
            if log.stat().st_size > 0:
                print(log.name, log.read_text(), file=sys.stderr)
