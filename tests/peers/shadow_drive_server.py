"""Shadow Drive on loopback for tests: the HTTP APIs v1.5 and v2 of a service that checks every signature and believes nothing.

usage: python tests/peers/shadow_drive_server.py [--port N] [--bucket NAME=OWNER ...]
It prints {"port": N} and serves until it is killed. `ShadowDrive` serves from a thread of the test instead, and its `fail`
makes the next answers go wrong as services and networks do. tests/python runs the npm @shadow-drive/sdk 6.0.0 against it.
"""

from __future__ import annotations

import argparse
import json
import struct
import threading
import urllib.parse
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from shadow_drive_form import BadForm, parse_form
from shadow_drive_service import FILE_BYTES_MAX, Account, Refusal, Service

BODY_BYTES_MAX = FILE_BYTES_MAX + (1 << 20)
JSON_BYTES_MAX = 1 << 20


@dataclass
class Fault:
    """How the next ``count`` requests whose method and path hold ``where`` are answered.

    ``how``: a status, before anything happens; "half": the connection ends in the middle of the body; "stall": nothing comes
    after half of it; "altered": one bit is wrong; "short": a third is missing, and the length says so; "longer": more than is.
    """

    where: str
    how: int | str
    count: int
    body: bytes = b'{"error": "told to fail"}'  # of a status


def changed(how: int | str, body: bytes) -> bytes:
    if how == "altered":
        at = len(body) * 3 // 4
        return body[:at] + bytes([body[at] ^ 0x10]) + body[at + 1 :]
    if how == "short":
        return body[: len(body) * 2 // 3]
    return body + b"more" if how == "longer" else body


def _handler(drive: ShadowDrive) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Tests look at `requests`."""

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            fault = drive.fault_of(f"{self.command} {self.path}")
            self.answer(fault, *drive.read(self.path))

        def do_POST(self) -> None:
            fault = drive.fault_of(f"POST {self.path}")
            try:
                sent = self.body(self.path)
                if fault is not None and isinstance(fault.how, int):
                    return self.answer(None, fault.how, fault.body)  # before anything happens
                status, body = drive.post(self.path, self.headers.get("Content-Type", ""), sent)
            except Refusal as refusal:
                status, body = refusal.status, json.dumps({"error": refusal.reason}).encode()
                self.close_connection = status == 413
            return self.answer(fault, status, body)

        def body(self, path: str) -> bytes:
            most = BODY_BYTES_MAX if path in drive.service.forms else JSON_BYTES_MAX
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                return self.chunks(most)
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > most:
                raise Refusal(413, "the body is too long, or does not say how long it is")
            return self.rfile.read(int(length))

        def chunks(self, most: int) -> bytes:
            out = bytearray()
            while True:
                length = int(self.rfile.readline(64).split(b";")[0], 16)
                if length < 0 or len(out) + length > most:
                    raise Refusal(413, "the body is too long")
                out += self.rfile.read(length)
                self.rfile.readline(64)
                if length == 0:
                    return bytes(out)

        def answer(self, fault: Fault | None, status: int, body: bytes) -> None:
            how = fault.how if fault is not None else 0
            if fault is not None and isinstance(how, int):
                status, body = how, fault.body
            sent = changed(how, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if self.command == "POST" else "application/octet-stream")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if how in ("half", "stall"):
                sent = sent[: len(sent) // 2]
                self.close_connection = True
            self.wfile.write(sent)
            self.wfile.flush()
            if how == "stall":
                drive.over.wait(60)

    return Handler


class ShadowDrive:
    """The service on a port of loopback, in a thread. A context manager."""

    def __init__(self, port: int = 0) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.service = Service(self.url)
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.requests: list[str] = []  # method and path
        self.faults: list[Fault] = []

    @property
    def files(self) -> dict[tuple[str, str], bytes]:
        return self.service.files

    def add_account(self, address: str, owner: str, reserved: int = 1 << 30) -> None:
        self.service.accounts[address] = Account(owner, reserved)

    def fail(self, where: str, how: int | str, count: int = 1, body: bytes | None = None) -> None:
        """See Fault; ``count`` < 0: for ever."""
        fault = Fault(where, how, count)
        if body is not None:
            fault.body = body
        self.faults.append(fault)

    def fault_of(self, request: str) -> Fault | None:
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.where in request and fault.count != 0:
                    fault.count -= 1
                    return fault
        return None

    def read(self, path: str) -> tuple[int, bytes]:
        address, _, name = urllib.parse.unquote(urllib.parse.urlsplit(path).path).lstrip("/").partition("/")
        with self.lock:
            if (address, name) == ("v1", "bucket/usage"):
                bucket = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query).get("bucket", [""])[0]
                return 200, json.dumps({"bucket": bucket, "storage_used": self.service.used(bucket)}).encode()
            content = self.files.get((address, name))
        return (404, b"Not found") if content is None else (200, content)

    def post(self, path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Raises Refusal."""
        with self.lock:
            try:
                if path in self.service.forms:
                    answer = self.service.forms[path](parse_form(content_type, body))
                elif path in self.service.posts:
                    answer = self.service.posts[path](body)
                else:
                    raise Refusal(404, "no such endpoint")
            except (BadForm, ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error) as error:
                raise Refusal(400, f"{type(error).__name__}: {error}") from error
        return 200, json.dumps(answer).encode()

    def __enter__(self) -> ShadowDrive:
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", action="append", default=[], metavar="NAME=OWNER")
    options = parser.parse_args()
    drive = ShadowDrive(options.port)
    for bucket in options.bucket:
        drive.add_account(*bucket.split("=", 1))
    print(json.dumps({"port": drive.port}), flush=True)
    drive.server.serve_forever()


if __name__ == "__main__":
    main()
