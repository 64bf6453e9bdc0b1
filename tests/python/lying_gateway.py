"""A gateway of IPFS that stands in front of an honest one and misbehaves as told."""

from __future__ import annotations

import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from types import TracebackType

Change = Callable[[str, bytes], bytes]


def flipped(path: str, body: bytes) -> bytes:
    """One bit of the second half is wrong."""
    at = len(body) * 3 // 4
    return body[:at] + bytes([body[at] ^ 0x10]) + body[at + 1 :]


def truncated(path: str, body: bytes) -> bytes:
    return body[: len(body) * 2 // 3]


def swapped(path: str, body: bytes) -> bytes:
    """The empty file, whole and true, but not what was asked for."""
    return b"" if "format=raw" in path else EMPTY_CAR


# A CAR of the one block of an empty file: header (roots, version 1), length, CIDv1 raw.
EMPTY_DIGEST = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
EMPTY_CID = b"\x01\x55\x12\x20" + EMPTY_DIGEST
EMPTY_CAR = b"\x3a\xa2\x65roots\x81\xd8\x2a\x58\x25\x00" + EMPTY_CID + b"\x67version\x01\x24" + EMPTY_CID


class LyingGateway:
    """Forwards to ``honest``, and changes bodies by ``change``, or answers ``status``. A context manager.

    ``keeps_length`` announces the whole length although less is sent; ``stalls`` sends half, and then nothing for a minute.
    """

    def __init__(
        self,
        honest: str,
        change: Change | None = None,
        status: int | None = None,
        keeps_length: bool = False,
        stalls: bool = False,
    ) -> None:
        self.requests: list[str] = []
        self.over = threading.Event()
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gateway.requests.append(self.path)
                if status is not None:
                    self.send_error(status)
                    return
                request = urllib.request.Request(honest + self.path, headers={"Accept": self.headers.get("Accept", "*/*")})
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        body: bytes = answer.read()
                except urllib.error.HTTPError as error:
                    self.send_error(error.code)
                    return
                changed = change(self.path, body) if change is not None else body
                self.send_response(200)
                self.send_header("Content-Length", str(len(body) if keeps_length or stalls else len(changed)))
                self.end_headers()
                self.wfile.write(changed[: len(changed) // 2] if stalls else changed)
                self.wfile.flush()
                if stalls:
                    gateway.over.wait(60)

            def log_message(self, format: str, *arguments: object) -> None:
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def __enter__(self) -> LyingGateway:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
