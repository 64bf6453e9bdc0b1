"""Shadow Drive on loopback for tests: the HTTP APIs v1.5 and v2 of a service that checks every signature and believes nothing.

usage: python tests/peers/shadow_drive_server.py [--port N] [--bucket NAME=OWNER ...]
It prints {"port": N} and serves until it is killed. `ShadowDrive` serves from a thread of the test instead.

Written after the SDKs that speak to the service: @shadow-drive/sdk 6.0.0, which tests/python runs against this, and
shdwdrive-v2-sdk. Files live in memory. `fail` makes the next answers go wrong as services and networks do.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import struct
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from shadow_drive_form import BadForm, Form, parse_form
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Transaction

Json = Any
FILE_BYTES_MAX = 1 << 30
BODY_BYTES_MAX = FILE_BYTES_MAX + (1 << 20)
JSON_BYTES_MAX = 1 << 20
PART_BYTES_MAX = 5 << 20
FILES_PER_UPLOAD_MAX = 5
PROGRAM = Pubkey.from_string("2e1wdyNhUvE76y6yUCvah2KaviavMJYKoRun8acMRBZZ")
NEW_ACCOUNT = hashlib.sha256(b"global:initialize_account2").digest()[:8]
STORAGE_ACCOUNT_AT, OWNER_AT = 2, 5  # among the accounts of that instruction
SIGNED = "Shadow Drive Signed Message:\n"


class Refusal(Exception):
    """An answer of another status than 200."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass
class Account:
    """A storage account of v1.5, or a bucket of v2."""

    owner: str
    reserved: int
    identifier: str = ""
    created: int = field(default_factory=lambda: int(time.time()))


@dataclass
class Upload:
    """One that comes in parts; ``parts``: number -> (ETag, bytes)."""

    bucket: str
    key: str
    size: int
    signer: str
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)


@dataclass
class Fault:
    """How the next ``count`` requests whose method and path hold ``where`` are answered.

    ``how``: a status; "half": the connection ends in the middle of the body; "stall": nothing comes after half of it;
    "altered": one bit is wrong; "short": a third is missing, and the length says so; "longer": more than there is.
    """

    where: str
    how: int | str
    count: int
    body: bytes = b'{"error": "told to fail"}'  # of a status


def check_signature(text: str, signature: str, signer: str) -> None:
    try:
        good = Signature.from_string(signature).verify(Pubkey.from_string(signer), (SIGNED + text).encode())
    except ValueError:
        good = False
    if not good:
        raise Refusal(401, "Message signature verification failed")


def new_account(raw: bytes) -> tuple[str, Account, str]:
    """Address, account and signature of a transaction that asks for an account. The chain is not asked."""
    transaction = Transaction.from_bytes(raw)
    message, keys = transaction.message, transaction.message.account_keys
    signers = keys[: message.header.num_required_signatures]
    if not transaction.signatures[0].verify(keys[0], bytes(message)):
        raise Refusal(401, "the transaction is not signed by its payer")
    for instruction in message.instructions:
        data = bytes(instruction.data)
        if keys[instruction.program_id_index] != PROGRAM or data[:8] != NEW_ACCOUNT:
            continue
        (length,) = struct.unpack_from("<I", data, 8)
        (reserved,) = struct.unpack_from("<Q", data, 12 + length)
        address, owner = (keys[instruction.accounts[at]] for at in (STORAGE_ACCOUNT_AT, OWNER_AT))
        if owner != keys[0] or owner not in signers:
            raise Refusal(401, "the owner did not sign")
        account = Account(str(owner), reserved, data[12 : 12 + length].decode())
        return str(address), account, str(transaction.signatures[0])
    raise Refusal(400, "no instruction asks for an account")


def text_of(question: Json, name: str) -> str:
    value = question.get(name) if isinstance(question, dict) else None
    if not isinstance(value, str):
        raise Refusal(400, f"{name}: a text is missing")
    return value


class Service:
    """What the two APIs do, without HTTP. Every method under the lock."""

    def __init__(self, files_base: str) -> None:
        self.files_base = files_base
        self.accounts: dict[str, Account] = {}
        self.files: dict[tuple[str, str], bytes] = {}
        self.owners: dict[tuple[str, str], str] = {}
        self.uploads: dict[str, Upload] = {}
        self.posts = {
            "/storage-account": self.create_account,
            "/storage-account-info": self.account_info,
            "/list-objects": lambda body: {"keys": self.names(self.account_of(text_of(json.loads(body), "storageAccount")))},
            "/list-objects-and-sizes": self.list_sizes,
            "/get-object-data": self.object_data,
            "/delete-file": self.delete_file,
            "/v1/object/list": self.list_bucket,
            "/v1/object/delete": self.delete_object,
            "/v1/object/multipart/create": self.create_upload,
            "/v1/object/multipart/complete": self.complete_upload,
        }
        self.forms = {
            "/upload": self.upload,
            "/v1/object/upload": self.upload_object,
            "/v1/object/multipart/upload-part": self.upload_part,
        }

    # --- both ---

    def account_of(self, address: str) -> str:
        if address not in self.accounts:
            raise Refusal(404, "Storage account not found")
        return address

    def owned(self, address: str, signer: str) -> str:
        if self.accounts[self.account_of(address)].owner != signer:
            raise Refusal(403, "Signer is not the owner of the storage account")
        return address

    def names(self, address: str) -> list[str]:
        return sorted(name for at, name in self.files if at == address)

    def used(self, address: str) -> int:
        return sum(len(content) for (at, _), content in self.files.items() if at == address)

    def url_of(self, address: str, name: str) -> str:
        return f"{self.files_base}/{address}/{urllib.parse.quote(name)}"

    def keep(self, address: str, name: str, content: bytes, signer: str) -> None:
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise Refusal(400, "bad file name")
        if len(content) > FILE_BYTES_MAX:
            raise Refusal(413, "Exceeds the 1GB limit.")
        before = len(self.files.get((address, name), b""))
        if self.used(address) - before + len(content) > self.accounts[address].reserved:
            raise Refusal(400, "Not enough storage available on this account")
        self.files[address, name] = content
        self.owners[address, name] = signer

    # --- v1.5 ---

    def create_account(self, body: bytes) -> Json:
        address, account, signature = new_account(base64.b64decode(text_of(json.loads(body), "transaction")))
        if address in self.accounts:
            raise Refusal(409, "the account exists")
        self.accounts[address] = account
        return {"shdw_bucket": address, "transaction_signature": signature}

    def account_info(self, body: bytes) -> Json:
        address = self.account_of(text_of(json.loads(body), "storage_account"))
        account = self.accounts[address]
        return {
            "storage_account": address,
            "reserved_bytes": account.reserved,
            "current_usage": self.used(address),
            "immutable": False,
            "to_be_deleted": False,
            "delete_request_epoch": 0,
            "owner1": account.owner,
            "account_counter_seed": 0,
            "creation_time": account.created,
            "creation_epoch": 0,
            "last_fee_epoch": 0,
            "identifier": account.identifier,
            "version": "V2",
        }

    def upload(self, form: Form) -> Json:
        address, signer = form.text("storage_account"), form.text("signer")
        names = form.text("fileNames")
        hashed = hashlib.sha256(names.encode()).hexdigest()
        check_signature(f"Storage Account: {address}\nUpload files with hash: {hashed}", form.text("message"), signer)
        self.owned(address, signer)
        if not 1 <= len(form.files) <= FILES_PER_UPLOAD_MAX:
            raise Refusal(400, "1 to 5 files")
        places, errors = [], []
        for name, content in form.files:
            try:
                if name not in names.split(","):
                    raise Refusal(401, "the signature does not cover this name")
                if (address, name) in self.files and form.fields.get("overwrite") != "true":
                    raise Refusal(409, "File already exists")
                self.keep(address, name, content, signer)
                places.append(self.url_of(address, name))
            except Refusal as refusal:
                errors.append({"file": name, "storage_account": address, "error": refusal.reason})
        return {"finalized_locations": places, "message": f"{len(places)} files", "upload_errors": errors}

    def list_sizes(self, body: bytes) -> Json:
        address = self.account_of(text_of(json.loads(body), "storageAccount"))
        if not self.names(address):  # as the service does, says its SDK
            raise Refusal(500, "Internal Server Error")
        return {"files": [{"file_name": name, "size": len(self.files[address, name])} for name in self.names(address)]}

    def at(self, location: str) -> tuple[str, str]:
        address, _, name = urllib.parse.unquote(urllib.parse.urlsplit(location).path).lstrip("/").partition("/")
        if (address, name) not in self.files:
            raise Refusal(404, "File not found")
        return address, name

    def object_data(self, body: bytes) -> Json:
        address, name = self.at(text_of(json.loads(body), "location"))
        owner = self.owners[address, name]
        data = {"owner-account-pubkey": owner, "storage-account-pubkey": address, "size": len(self.files[address, name])}
        return {"file_data": data}

    def delete_file(self, body: bytes) -> Json:
        question = json.loads(body)
        location, signer = text_of(question, "location"), text_of(question, "signer")
        address = urllib.parse.urlsplit(location).path.lstrip("/").partition("/")[0]
        check_signature(f"StorageAccount: {address}\nFile to delete: {location}", text_of(question, "message"), signer)
        self.owned(address, signer)
        del self.files[self.at(location)]
        return {"message": "File deleted."}

    # --- v2 ---

    def upload_object(self, form: Form) -> Json:
        bucket, signer, name = form.text("storage_account"), form.text("signer"), form.text("name")
        hashed = hashlib.sha256(name.encode()).hexdigest()
        check_signature(f"Storage Account: {bucket}\nUpload file with hash: {hashed}", form.text("message"), signer)
        self.owned(bucket, signer)
        if len(form.files) != 1 or form.files[0][0] != name:
            raise Refusal(400, "one file, of the name that is signed")
        if len(form.files[0][1]) > PART_BYTES_MAX:
            raise Refusal(413, "Over 5 MiB: upload it in parts")
        key = form.text("full_path").lstrip("/")
        if key != form.text("directory").lstrip("/") + name:
            raise Refusal(400, "full_path is not directory and name")
        self.keep(bucket, key, form.files[0][1], signer)
        return {"finalized_location": self.url_of(bucket, key), "message": "ok"}

    def create_upload(self, body: bytes) -> Json:
        question = json.loads(body)
        bucket, name, signer = (text_of(question, one) for one in ("bucket", "filename", "signer"))
        size = question.get("size")
        if not isinstance(size, int) or not 0 < size <= FILE_BYTES_MAX:
            raise Refusal(413, "Exceeds the 1GB limit.")
        text = f"Initialize multipart upload\nBucket: {bucket}\nFilename: {name}\nFile size: {size}"
        check_signature(text, text_of(question, "message"), signer)
        self.owned(bucket, signer)
        upload_id = uuid.uuid4().hex
        self.uploads[upload_id] = Upload(bucket, name, size, signer)
        return {"uploadId": upload_id, "key": name}

    def upload_of(self, upload_id: str, bucket: str, key: str, signer: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key, upload.signer) != (bucket, key, signer):
            raise Refusal(404, "no such upload")
        return upload

    def upload_part(self, form: Form) -> Json:
        upload = self.upload_of(*(form.text(one) for one in ("uploadId", "bucket", "key", "signer")))
        number = form.text("partNumber")
        if not number.isdecimal() or not 1 <= int(number) <= 10_000 or len(form.files) != 1:
            raise Refusal(400, "one file and its partNumber, 1 to 10000")
        content = form.files[0][1]
        if not 0 < len(content) <= PART_BYTES_MAX:
            raise Refusal(413, "a part has 1 byte to 5 MiB")
        upload.parts[int(number)] = (hashlib.md5(content).hexdigest(), content)
        return {"ETag": upload.parts[int(number)][0], "PartNumber": int(number)}

    def complete_upload(self, body: bytes) -> Json:
        question = json.loads(body)
        upload_id = text_of(question, "uploadId")
        upload = self.upload_of(upload_id, *(text_of(question, one) for one in ("bucket", "key", "signer")))
        listed = [(part["PartNumber"], part["ETag"]) for part in question["parts"]]
        kept = [(number, tag) for number, (tag, _) in sorted(upload.parts.items())]
        if listed != kept or [number for number, _ in kept] != list(range(1, len(kept) + 1)):
            raise Refusal(400, "the parts are not those that came")
        parts = [upload.parts[number][1] for number, _ in kept]
        if any(len(part) != PART_BYTES_MAX for part in parts[:-1]) or sum(map(len, parts)) != upload.size:
            raise Refusal(400, "the parts have other sizes than the upload")
        self.keep(upload.bucket, upload.key, b"".join(parts), upload.signer)
        del self.uploads[upload_id]
        return {"finalized_location": self.url_of(upload.bucket, upload.key), "message": "ok"}

    def list_bucket(self, body: bytes) -> Json:
        question = json.loads(body)
        bucket = self.owned(text_of(question, "bucket"), text_of(question, "owner"))
        stamp = "2026-11-28T00:00:00Z"
        names = self.names(bucket)
        return {"objects": [{"key": one, "size": len(self.files[bucket, one]), "lastModified": stamp} for one in names]}

    def delete_object(self, body: bytes) -> Json:
        question = json.loads(body)
        bucket, name, signer = (text_of(question, one) for one in ("bucket", "filename", "signer"))
        check_signature(f"Delete file\nBucket: {bucket}\nFilename: {name}", text_of(question, "message"), signer)
        self.owned(bucket, signer)
        if (bucket, name) not in self.files:
            raise Refusal(404, "File not found")
        del self.files[bucket, name]
        return {"message": "File deleted successfully"}


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
            self.answer(*drive.read(self.command, self.path))

        def do_POST(self) -> None:
            try:
                status, body = drive.post(self.path, self.headers.get("Content-Type", ""), self.body(self.path))
            except Refusal as refusal:
                status, body = refusal.status, json.dumps({"error": refusal.reason}).encode()
                self.close_connection = status == 413
            self.answer(status, body)

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

        def answer(self, status: int, body: bytes) -> None:
            fault = drive.fault_of(f"{self.command} {self.path}")
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

    def read(self, method: str, path: str) -> tuple[int, bytes]:
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
