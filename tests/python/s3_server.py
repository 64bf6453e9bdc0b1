"""An S3 server for tests: versitygw on a directory, on loopback; and a proxy in front of it that misbehaves when told to."""

from __future__ import annotations

import http.client
import http.server
import os
import signal
import socketserver
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from types import TracebackType

from dvesp import S3
from node_cluster import free_ports

VERSITYGW = Path(__file__).resolve().parents[2] / "build" / "peers" / "versitygw"
ACCESS_KEY, SECRET_KEY = "test-access", "test-secret-key"
STARTING_S = 20.0


class S3Server:
    """versitygw with one bucket, ``archive``. It starts at once; a context manager that kills it."""

    def __init__(self, directory: Path) -> None:
        assert VERSITYGW.exists(), "build/peers/versitygw is missing: tools/setup test builds it, and says why where it cannot"
        self.directory = directory
        self.bucket = directory / "archive"
        self.bucket.mkdir(parents=True)
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        address = f"127.0.0.1:{self.port}"
        command = [
            str(VERSITYGW),
            "--port",
            address,
            "--access",
            ACCESS_KEY,
            "--secret",
            SECRET_KEY,
            "posix",
            str(self.directory),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
        deadline = time.monotonic() + STARTING_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/", timeout=5):
                    return
            except urllib.error.HTTPError:
                return  # it refuses who does not sign: it is there
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)
        self.process = None

    def target(self, prefix: str = "", url: str | None = None, secret_key: str = SECRET_KEY) -> S3:
        return S3(url or self.url, "archive", ACCESS_KEY, secret_key, prefix=prefix)

    def __enter__(self) -> S3Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None:
            self.stop()


class Unreliable:
    """Passes requests on to ``port``, except that each does first what is next in ``faults``: ``"429"``, ``"500"``, ``"half"``,
    ``"drop"``, ``"flip"``, ``"stall"``, or ``""`` for nothing."""

    def __init__(self, port: int) -> None:
        self.faults: list[str] = []
        self.seen: list[str] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                owner.seen.append(f"{self.command} {self.path}")
                fault = owner.faults.pop(0) if owner.faults else ""
                self.close_connection = True
                if fault == "drop":
                    return
                if fault in ("429", "500", "503"):
                    self.send_response(int(fault))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                inner = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                inner.request(self.command, self.path, body, headers)
                answer = inner.getresponse()
                content = answer.read()
                inner.close()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if fault == "flip" and content:
                    content = bytes([content[0] ^ 1]) + content[1:]
                if fault in ("half", "stall"):
                    content = content[: len(content) // 2]
                self.wfile.write(content)
                self.wfile.flush()
                if fault == "stall":
                    owner.stalled.wait(60)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        self.stalled = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Unreliable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stalled.set()
        self.server.shutdown()
        self.server.server_close()
