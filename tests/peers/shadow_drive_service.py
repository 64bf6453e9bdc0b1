"""What Shadow Drive does with the requests of its APIs v1.5 and v2, without HTTP: signatures are checked, files kept in memory.

Written after the SDKs that speak to the service: @shadow-drive/sdk 6.0.0 and shdwdrive-v2-sdk.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from typing import Any

from shadow_drive_form import Form
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Transaction

Json = Any
FILE_BYTES_MAX = 1 << 30
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
