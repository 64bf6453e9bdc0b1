"""The network between real processes on loopback: a TCP relay in front of each node, whose links can be cut, slow or lossy.

A process of its own: the clients would slow it down. Nodes and clients know a node by its relay's address. Who calls is
found out by asking the kernel whose socket it is, so every directed pair of nodes is a link of its own: one-way partitions,
bridges and stale leaders that clients still reach, all on loopback, without root.

usage: python links.py PORT:TARGET...       commands as JSON lines on stdin, each answered by a line `ok`; ends with stdin
"""

from __future__ import annotations

import asyncio
import collections
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

CLIENTS = -1  # the number of those who are no node
QUEUED_BYTES_MAX = 4 << 20  # what a link holds back of one connection before it stops reading
OWNER_TRIES = 100
OWNER_PAUSE_S = 0.01


class Network:
    """What every link does now."""

    def __init__(self) -> None:
        self.pids: dict[int, int] = {}
        self.cut: set[tuple[int, int]] = set()
        self.delay_s: dict[tuple[int, int], float] = {}
        self.loss: dict[tuple[int, int], float] = {}
        self.random = random.Random(0)
        self.pipes: set[Pipe] = set()

    def take(self, command: dict[str, Any]) -> None:
        """One command: `pids`, or the whole new state of the links; `reset` breaks the connections that were cut."""
        if "pids" in command:
            self.pids = {int(number): pid for number, pid in command["pids"].items()}
            return
        were_cut = self.cut
        self.cut = {(source, target) for source, target in command["cut"]}
        self.delay_s = {(source, target): seconds for source, target, seconds in command["delay_s"]}
        self.loss = {(source, target): share for source, target, share in command["loss"]}
        self.random.seed(command["seed"])
        for pipe in list(self.pipes):
            if command["reset"] and pipe.link in were_cut - self.cut:
                pipe.abort()
            else:
                pipe.flush()


class Pipe:
    """One direction of one connection: bytes wait here while the link is cut, slow or not connected yet."""

    def __init__(self, network: Network, link: tuple[int, int], source: asyncio.Transport) -> None:
        self.network = network
        self.link = link
        self.source = source
        self.out: asyncio.Transport | None = None
        self.queue: collections.deque[tuple[float, bytes | None]] = collections.deque()  # None: the end
        self.queued_bytes = 0
        self.timer: asyncio.TimerHandle | None = None
        network.pipes.add(self)

    def take(self, data: bytes | None) -> None:
        if data and self.network.random.random() < self.network.loss.get(self.link, 0.0):
            return self.abort()
        now = asyncio.get_running_loop().time()
        self.queue.append((now + self.network.delay_s.get(self.link, 0.0), data))
        self.queued_bytes += len(data or b"")
        self.flush()
        if self.queued_bytes > QUEUED_BYTES_MAX and not self.source.is_closing():
            self.source.pause_reading()

    def flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self.queue and self.out is not None and self.link not in self.network.cut:
            due, data = self.queue[0]
            if due > loop.time():
                if self.timer is not None:
                    self.timer.cancel()
                self.timer = loop.call_at(due, self.flush)
                return
            self.queue.popleft()
            if data is None:
                self.network.pipes.discard(self)
                self.out.close()
                return
            self.queued_bytes -= len(data)
            if not self.out.is_closing():
                self.out.write(data)
        if not self.queue and not self.source.is_closing():
            self.source.resume_reading()

    def abort(self) -> None:
        """Ends the connection in both directions at once, as a reset does."""
        self.network.pipes.discard(self)
        self.queue.clear()
        self.source.abort()
        if self.out is not None:
            self.out.abort()


class End(asyncio.Protocol):
    """A socket that reads into a pipe."""

    def __init__(self) -> None:
        self.pipe: Pipe | None = None
        self.early: list[bytes | None] = []

    def feed(self, pipe: Pipe) -> None:
        self.pipe = pipe
        for data in self.early:
            pipe.take(data)

    def data_received(self, data: bytes) -> None:
        self.pipe.take(data) if self.pipe else self.early.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.pipe.take(None) if self.pipe else self.early.append(None)


class Accepted(End):
    """The caller's end: finds out who calls, connects to the node and joins both directions."""

    def __init__(self, network: Network, node: int, port: int, target: int) -> None:
        super().__init__()
        self.network, self.node, self.port, self.target = network, node, port, target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.task = asyncio.get_running_loop().create_task(self.join(transport))

    async def join(self, transport: asyncio.Transport) -> None:
        caller = await find_owner(self.network, transport.get_extra_info("peername")[1], self.port)
        if caller is None:
            return transport.abort()
        there = Pipe(self.network, (caller, self.node), transport)
        self.feed(there)
        far = End()
        try:
            out, _ = await asyncio.get_running_loop().create_connection(lambda: far, "127.0.0.1", self.target)
        except OSError:
            return there.abort()
        back = Pipe(self.network, (self.node, caller), out)
        there.out, back.out = out, transport
        far.feed(back)
        there.flush()


def inode_of(port: int, remote: int) -> str | None:
    """The inode of the socket of 127.0.0.1:`port` that is connected to `remote`."""
    wanted = (f"0100007F:{port:04X}", f"0100007F:{remote:04X}")
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (fields[1], fields[2]) == wanted:
            return fields[9]
    return None


def holds(pid: int, inode: str) -> bool:
    """Whether a process has this socket open."""
    wanted = f"socket:[{inode}]"
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            return any(os.readlink(entry.path) == wanted for entry in entries)
    except OSError:
        return False  # it ended, or closed a descriptor meanwhile: asked again


async def find_owner(network: Network, port: int, remote: int) -> int | None:
    """The node that called, or CLIENTS; None when the caller is gone. A node that starts now may not be known yet."""
    for _ in range(OWNER_TRIES):
        inode = inode_of(port, remote)
        if inode is None or inode == "0":
            return None
        for node, pid in network.pids.items():
            if holds(pid, inode):
                return node
        if holds(os.getppid(), inode):
            return CLIENTS
        await asyncio.sleep(OWNER_PAUSE_S)
    return None


async def main(pairs: list[str]) -> None:
    loop = asyncio.get_running_loop()
    network = Network()
    for node, pair in enumerate(pairs):
        port, target = (int(part) for part in pair.split(":"))

        def accepted(node: int = node, port: int = port, target: int = target) -> Accepted:
            return Accepted(network, node, port, target)

        await loop.create_server(accepted, "127.0.0.1", port)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print("ready", flush=True)
    while line := await commands.readline():
        network.take(json.loads(line))
        print("ok", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
