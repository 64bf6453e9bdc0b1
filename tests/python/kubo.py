"""IPFS nodes (kubo) for tests: processes on loopback that know nobody but each other, and our own target's tool beside them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from node_cluster import free_ports

ROOT = Path(__file__).resolve().parents[2]
IPFS = ROOT / "build" / "peers" / "ipfs"
TOOL = ROOT / "build" / "release" / "bin" / "archive_ipfs_tool"
STARTING_S = 30.0


class Kubo:
    """One node with its repository in ``directory``. It starts at once; a context manager that kills it.

    It is cut off from the world: no bootstrap peers, no delegated routers, resolvers or publishers, no mDNS, no telemetry,
    addresses of loopback alone, and the LAN's DHT for those that ``connect`` makes known to each other.
    """

    def __init__(self, directory: Path, config: dict[str, Any] | None = None) -> None:
        self.directory = directory
        assert IPFS.exists(), "build/peers/ipfs is missing: tools/setup test builds it, and says why where it cannot"
        self.environment = {**os.environ, "IPFS_PATH": str(directory), "IPFS_TELEMETRY": "off", "DO_NOT_TRACK": "1"}
        api, gateway, swarm = free_ports(3)
        self.api, self.gateway = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{gateway}"
        self.process: subprocess.Popen[bytes] | None = None
        self.call("init", "--profile=test", "--empty-repo")
        path = directory / "config"
        settings = json.loads(path.read_text())
        settings["Addresses"] |= {
            "API": f"/ip4/127.0.0.1/tcp/{api}",
            "Gateway": f"/ip4/127.0.0.1/tcp/{gateway}",
            "Swarm": [f"/ip4/127.0.0.1/tcp/{swarm}"],
        }
        settings |= {"Bootstrap": [], "DNS": {"Resolvers": {}}, "AutoConf": {"Enabled": False}, "AutoTLS": {"Enabled": False}}
        settings["Discovery"] = {"MDNS": {"Enabled": False}}
        settings["Routing"] = {"Type": "dhtserver", "DelegatedRouters": [], "LoopbackAddressesOnLanDHT": True}
        settings["Ipns"] = {"DelegatedPublishers": []}
        settings["HTTPRetrieval"] = {"Enabled": False}
        settings["Plugins"] = {"Plugins": {"telemetry": {"Config": {"Mode": "off"}}}}
        settings["Gateway"] = {**settings.get("Gateway", {}), "RetrievalTimeout": "2s"}
        path.write_text(json.dumps(settings | (config or {})))
        self.start()

    def call(self, *arguments: str) -> str:
        """Runs the ``ipfs`` command; its output."""
        done = subprocess.run([str(IPFS), *arguments], env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        """Returns when the node answers."""
        log = self.directory / "daemon.log"
        before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self.process = subprocess.Popen([str(IPFS), "daemon"], env=self.environment, stdout=out, stderr=out)
        deadline = time.monotonic() + STARTING_S
        while b"Daemon is ready" not in log.read_bytes()[before:]:
            assert self.process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(timeout=30)
        self.process = None

    def rpc(self, command: str, **arguments: str) -> Any:
        """The answer of ``/api/v0/<command>``: parsed, of several lines the last one."""
        url = f"{self.api}/api/v0/{command}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60) as answer:
            lines = answer.read().decode().strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    def add(self, path: Path) -> str:
        """The CID that kubo itself computes; nothing is kept."""
        return self.call("add", "--quieter", "--only-hash", "--cid-version=1", str(path))

    def connect(self, other: Kubo) -> None:
        address = next(one for one in other.rpc("id")["Addresses"] if one.startswith("/ip4/127.0.0.1/tcp/"))
        self.rpc("swarm/connect", arg=address)

    def __enter__(self) -> Kubo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None:
            self.stop(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


class ToolError(Exception):
    """An error of the target: ``code`` is its name in errors.def."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def name_of(path: Path) -> dict[str, Any]:
    """What the archive calls the object in ``path``."""
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


class Tool:
    """The IPFS target in a process of its own. A context manager."""

    def __init__(self, **settings: Any) -> None:
        assert TOOL.exists(), "build/release/bin/archive_ipfs_tool is missing: cmake --build --preset release"
        self.process = subprocess.Popen(
            [str(TOOL), json.dumps(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.seconds = 0.0
        self.peak_mb = 0

    def ask(self, do: str, **command: Any) -> dict[str, Any]:
        """Runs one command of tests/archive/ipfs_tool.cpp. Raises: ToolError."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **command}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.seconds, self.peak_mb = answer["seconds"], answer["peak_mb"]
        if "error" in answer:
            raise ToolError(answer["error"], answer["message"])
        return answer

    def put(self, path: Path) -> str:
        """The locator."""
        locator: str = self.ask("put", path=str(path), **name_of(path))["locator"]
        return locator

    def get(self, path: Path, into: Path, locator: str = "") -> None:
        """Fetches what ``path`` holds; it is the same when this returns."""
        self.ask("get", path=str(into), locator=locator, **name_of(path))
        assert name_of(into) == name_of(path)

    def has(self, path: Path) -> bool:
        has: bool = self.ask("has", **name_of(path))["has"]
        return has

    def root(self) -> str:
        root: str = self.ask("root")["root"]
        return root

    def documents(self) -> list[str]:
        names: list[str] = self.ask("list_documents")["names"]
        return names

    def document(self, name: str) -> str | None:
        text: str | None = self.ask("get_document", name=name)["text"]
        return text

    def __enter__(self) -> Tool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()
