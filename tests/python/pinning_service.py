"""A pinning service of IPFS in memory, as the Pinning Service API says it (ipfs.github.io/pinning-services-api-spec)."""

from __future__ import annotations

import http.server
import itertools
import json
import threading
import urllib.parse
from types import TracebackType
from typing import Any

TOKEN = "service-s3cret"


class PinningService:
    """What was asked for is in ``pins``, by request id; new ones are of ``status``. A context manager."""

    def __init__(self, status: str = "queued") -> None:
        self.pins: dict[str, dict[str, Any]] = {}
        self.refused = 0
        numbers = itertools.count(1)
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status: int, body: Any = None) -> None:
                data = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def is_known(self) -> bool:
                if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                    return True
                service.refused += 1
                self.answer(401, {"error": {"reason": "UNAUTHORIZED", "details": "the token is wrong"}})
                return False

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not self.is_known():
                    return
                number = str(next(numbers))
                service.pins[number] = {
                    "requestid": number,
                    "status": status,
                    "created": "2026-11-28T20:00:00Z",
                    "pin": json.loads(body),
                    "delegates": [],
                }
                self.answer(202, service.pins[number])

            def do_GET(self) -> None:
                if not self.is_known():
                    return
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                cids, states = query.get("cid", [""])[0].split(","), query.get("status", ["pinned"])[0].split(",")
                found = [one for one in service.pins.values() if one["pin"]["cid"] in cids and one["status"] in states]
                self.answer(200, {"count": len(found), "results": found})

            def do_DELETE(self) -> None:
                if self.is_known():
                    found = service.pins.pop(self.path.rpartition("/")[2], None)
                    self.answer(202 if found else 404)

            def log_message(self, format: str, *arguments: object) -> None:
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def __enter__(self) -> PinningService:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
