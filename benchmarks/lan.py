"""A LAN on one machine: network namespaces, a tap device in each, and a switch between them that delays every frame.

Needs root, ``ip`` and /dev/net/tun. The switch is a process of its own, in Python, and shares the
machine's cores with what is measured: it adds some tens of microseconds to each frame.
"""

from __future__ import annotations

import collections
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
MTU = 9000  # a LAN with jumbo frames: fewer of them pass the switch
FRAME_BYTES_MAX = MTU + 64
NETWORK = "10.77.0"


class Lan:
    """Namespaces that reach each other; a context manager.

    Args:
        count: of them, numbered from 0; their addresses are ``address(number)``.
        delay_s: of every frame, one way.
    """

    def __init__(self, count: int, delay_s: float) -> None:
        self.names = [f"dvesp{os.getpid()}-{number}" for number in range(count)]
        self.delay_s = delay_s
        self.switch: subprocess.Popen[str] | None = None

    def address(self, number: int) -> str:
        return f"{NETWORK}.{number + 1}"

    def prefix(self, number: int) -> list[str]:
        """In front of a command that is to run in a namespace."""
        return ["ip", "netns", "exec", self.names[number]]

    def __enter__(self) -> Lan:
        command = [sys.executable, "-c", "import sys, lan; lan.switch(float(sys.argv[1]), sys.argv[2:])", str(self.delay_s)]
        taps = [f"dv{os.getpid() % 100_000}x{number}" for number in range(len(self.names))]
        self.switch = subprocess.Popen([*command, *taps], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
        assert self.switch.stdout is not None and self.switch.stdout.readline() == "ready\n"
        for number, (name, tap) in enumerate(zip(self.names, taps, strict=True)):
            _ip("netns", "add", name)
            _ip("link", "set", tap, "netns", name)
            _ip("-n", name, "link", "set", tap, "mtu", str(MTU), "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "address", "add", f"{self.address(number)}/24", "dev", tap)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.switch is not None:
            self.switch.kill()
            self.switch.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _open_tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def switch(delay_s: float, names: list[str]) -> None:
    """Learns who is where, as every switch does, and passes each frame on when its time has come."""
    taps = [_open_tap(name) for name in names]
    places: dict[bytes, int] = {}
    waiting: collections.deque[tuple[float, int, bytes]] = collections.deque()  # one delay: in order
    print("ready", flush=True)
    while True:
        left_s = max(waiting[0][0] - time.perf_counter(), 0) if waiting else None
        readable, _, _ = select.select(taps, [], [], left_s)
        now = time.perf_counter()
        for tap in readable:
            frame = os.read(tap, FRAME_BYTES_MAX)
            places[frame[6:12]] = tap
            waiting.append((now + delay_s, tap, frame))
        while waiting and waiting[0][0] <= time.perf_counter():
            _, source, frame = waiting.popleft()
            target = places.get(frame[:6])
            for tap in taps if target is None else [target]:
                if tap != source:
                    _pass_on(tap, frame)


def _pass_on(tap: int, frame: bytes) -> None:
    try:
        os.write(tap, frame)
    except OSError:  # not up yet, or its queue is full: a frame is lost, as on a wire
        return
