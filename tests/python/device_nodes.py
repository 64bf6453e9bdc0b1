"""Nodes that keep devices, for tests: processes of ``dvesp-node --device``, and a relay that records and alters their words."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from dvesp import TLS, Keyring, VectorStore
from dvesp.cli_serve import node_binary
from node_cluster import end, free_ports, launch

HEAD = struct.Struct("<IHHQQ")  # of a message: docs/formats/rpc.md
PIECE = 1 << 16
Alter = Callable[[bytes], bytes]


class DeviceNodes:
    """``count`` nodes, none of which knows another, each with a device; a context manager.

    ``options`` are those of the node of that number; ``tls`` is what this process shows to them.
    """

    def __init__(self, directory: Path, count: int = 5, options: Callable[[int], list[str]] | None = None) -> None:
        self.directory = directory
        self.addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
        self.options = options or (lambda number: ["--insecure"])
        self.tls: TLS | None = None
        self.processes: dict[int, subprocess.Popen[str]] = {}

    def device(self, number: int) -> Path:
        return self.directory / f"device{number}"

    def start(self, number: int) -> None:
        command = [node_binary(), "--data", str(self.directory / f"n{number}"), "--listen", self.addresses[number]]
        command += ["--device", str(self.device(number)), *self.options(number)]
        self.processes[number] = launch(command, self.directory / f"n{number}.log")

    def end(self, number: int, how: signal.Signals = signal.SIGKILL) -> int:
        return end(self.processes.pop(number), how)

    def signal(self, number: int, what: signal.Signals) -> None:
        self.processes[number].send_signal(what)

    def store(self, path: Path, devices: Sequence[str | Path] | None = None, key: str = "00" * 32) -> VectorStore:
        os.environ["DVESP_TEST_KEY"] = key
        keyring = Keyring.from_environment("DVESP_TEST_KEY")
        return VectorStore(path, devices=devices or self.addresses, keyring=keyring, tls=self.tls)

    def __enter__(self) -> DeviceNodes:
        for number in range(len(self.addresses)):
            self.start(number)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number in list(self.processes):
            self.end(number)
        for log in sorted(self.directory.glob("n*.log")):
            if kind is not None and log.stat().st_size > 0:
                print(log.name, log.read_text(), file=sys.stderr)


class Relay:
    """A TCP relay in front of one address that keeps a copy of every byte in both directions; a context manager.

    ``alter`` is given each whole message of the node, without its head, and says what the client gets; of the same length.
    """

    def __init__(self, target: str, alter: Alter | None = None) -> None:
        self.target = target
        self.alter = alter
        self.captured: list[bytes] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        self.sockets = [self.server]
        self.lock = threading.Lock()

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for one in self.sockets:
            with contextlib.suppress(OSError):  # it has ended by itself
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def bytes(self) -> bytes:
        """Everything so far. Pieces of one direction of one connection are in order; others may lie between them."""
        with self.lock:
            return b"".join(self.captured)

    def _accept(self) -> None:
        host, port = self.target.rsplit(":", 1)
        while True:
            try:
                near, _ = self.server.accept()
                far = socket.create_connection((host, int(port)))
            except OSError:
                return
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets += [near, far]
            threading.Thread(target=self._carry, args=(near, far, None), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, self.alter), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, alter: Alter | None) -> None:
        stream: list[bytes] = []  # one direction of one connection, joined when it ends: nothing hides on a border of pieces
        waiting = b""
        is_greeted = alter is None
        try:
            while piece := source.recv(PIECE):
                stream.append(piece)
                with self.lock:
                    self.captured.append(piece)
                waiting += piece
                if not is_greeted and b"\r\n\r\n" in waiting:
                    end = waiting.index(b"\r\n\r\n") + 4
                    target.sendall(waiting[:end])
                    waiting, is_greeted = waiting[end:], True
                while alter is not None and is_greeted and len(waiting) >= HEAD.size:
                    size = HEAD.unpack_from(waiting)[4]
                    if len(waiting) < HEAD.size + size:
                        break
                    body = alter(waiting[HEAD.size : HEAD.size + size])
                    assert len(body) == size
                    target.sendall(waiting[: HEAD.size] + body)
                    waiting = waiting[HEAD.size + size :]
                if alter is None:
                    target.sendall(waiting)
                    waiting = b""
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return
        finally:
            with self.lock:
                self.captured.append(b"".join(stream))
