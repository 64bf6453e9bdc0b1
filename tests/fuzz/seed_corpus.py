"""Writes the seeds of the fuzz targets into tests/fuzz/corpus, from the golden store and from a few values made here.

usage: .venv/bin/python tests/fuzz/seed_corpus.py        the result is committed; run it again when an input format changes
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
import struct
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
GOLDEN = FUZZ.parent / "vectors" / "format-1" / "store"
CORPUS = FUZZ / "corpus"
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    for low, code, limit in ((24, ">B", 1 << 8), (25, ">H", 1 << 16), (26, ">I", 1 << 32), (27, ">Q", 1 << 64)):
        if value < limit:
            return bytes([major << 5 | low]) + struct.pack(code, value)
    raise ValueError(value)


def cbor(value: Json) -> bytes:
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(cbor(element) for element in value)
    return head(5, len(value)) + b"".join(cbor(key) + cbor(member) for key, member in value.items())


def save(target: str, *parts: bytes) -> None:
    data = b"".join(parts)
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def u16(data: bytes) -> bytes:
    assert len(data) < 1 << 16
    return struct.pack("<H", len(data)) + data


VALUES: list[Json] = [
    {},
    {"a": 1},
    {"a": -1, "b": 1.5, "t": "x"},
    {"a": {"b": 2, "c": {"d": None}}, "a.b": True},
    {"tags": ["red", 5, None, [1, 2]]},
    {"n": 1 << 53, "m": (1 << 53) + 1, "k": -(1 << 64)},
    {"long": "x" * 230},
    {"": 0, ".": {"": 1}, "a.": {"b": -0.0}},
]
FILTERS: list[Json] = [
    {},
    {"a": 1},
    {"a.b": {"$gt": 1, "$lte": 7.5}},
    {"$or": [{"a": 1}, {"$not": {"t": "x"}}]},
    {"tags": {"$contains": "red"}},
    {"tags": {"$in": ["red", 5, "x" * 230]}},
    {"n": {"$ne": 1 << 53}},
    {"$and": [{"a": {"$exists": True}}, {"b": {"$nin": [1.5]}}]},
    {"long": {"$gte": "x"}},
    {"a": {"$not": {"$lt": 3}}},
    {"tags": ["red", 5, None, [1, 2]]},
    {"long": {"$contains": "xx"}},
]


def sections_of(path: Path) -> tuple[int, list[tuple[int, bytes]]]:
    """A container's kind and its (id, content)s: docs/formats/segment.md."""
    data = path.read_bytes()
    kind, count = struct.unpack_from("<II", data, len(data) - 52)
    (directory,) = struct.unpack_from("<Q", data, len(data) - 32)
    out = []
    for at in range(count):
        ident, _, offset, size = struct.unpack_from("<IIQQ", data, directory + 24 * at)
        out.append((ident, data[offset : offset + size]))
    return kind, out


def packed(sections: list[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes([ident]) + u16(content) for ident, content in sections)


def cbor_seeds() -> None:
    for value in [*VALUES, *FILTERS]:
        for path in (b"a", b"a.b", b""):
            save("cbor_fuzz", bytes([len(path)]), path, cbor(value))


def filter_seeds() -> None:
    rows = b"".join(u16(cbor(value)) for value in VALUES)
    for wanted in FILTERS:
        save("filter_fuzz", u16(cbor(wanted)), rows, u16(b""))


def config_fields(dimension: int, metric: int, index: int) -> dict[str, Json]:
    return {"dimension": dimension, "metric": metric, "index": index, "M": 16, "ef_construction": 200, "nlist": 0}


def config_seeds() -> None:
    for metric, index in ((0, 0), (1, 1), (2, 2)):
        save("config_fuzz", cbor(config_fields(384, metric, index)))


def container_seeds() -> None:
    for path in sorted((GOLDEN / "seg").iterdir()):
        kind, sections = sections_of(path)
        if kind == 1:
            save("segment_fuzz", b"\x02", packed(sections))
            by_id = dict(sections)
            save("filter_index_fuzz", u16(by_id[16]), by_id[17])
            if path.stat().st_size < 20_000:
                save("segment_fuzz", b"\x01", path.read_bytes())
    chosen = random.Random(1)
    properties = bytes(32) + struct.pack("<QI", 16, 1)
    calibration = struct.pack("<IffII", 10, 1.1, 0.99, 12, 10)
    links = b"".join(struct.pack("<I", chosen.choice([0xFFFFFFFF, *range(16)])) for _ in range(16 * 4))
    graph = [(1, properties + struct.pack("<II", 4, 4)), (18, links), (19, struct.pack("<II", 3, 9)), (20, calibration)]
    graph += [(24, chosen.randbytes(16 * 64)), (25, struct.pack("<8f", 0.1, 0, 0.5, -1, 0.3, 0.2, 0, 0.4))]
    graph += [(26, struct.pack("<16f", *(chosen.uniform(0, 3) for _ in range(16))))]
    save("index_file_fuzz", b"\x01\x02", packed(graph))
    centroids = struct.pack("<12f", *(chosen.uniform(-3, 3) for _ in range(12)))
    rows = struct.pack("<16I", *chosen.sample(range(16), 16))
    lists = [(1, properties + bytes(8)), (21, centroids), (22, struct.pack("<3I", 4, 9, 16)), (23, rows), (20, calibration)]
    save("index_file_fuzz", b"\x00\x02", packed(lists))


def frame_seeds() -> None:
    seen = 0
    for path in sorted((GOLDEN / "log").iterdir()):
        data = path.read_bytes()
        at = 0
        while at + 64 <= len(data) and data[at : at + 4] == b"DVF1":
            (end,) = struct.unpack_from("<Q", data, at + 32)
            padded = (end + 4095) // 4096 * 4096
            if padded == 4096 and seen < 8:
                save("frame_fuzz", b"\x01", data[at : at + padded])
                seen += 1
            at += padded


def manifest_seeds() -> None:
    data = (GOLDEN / "manifest").read_bytes()
    (payload_bytes,) = struct.unpack_from("<Q", data, 16)
    save("manifest_fuzz", b"\x00", data)
    save("manifest_fuzz", b"\x01", data[24 : 24 + payload_bytes])


def log_seeds() -> None:
    chosen = random.Random(2)
    for seed in range(12):
        ordinary = bytes(chosen.randrange(256) if chosen.random() < 0.3 else chosen.choice([0, 1, 2, 5, 9]) for _ in range(80))
        save("log_fuzz", b"\x00", bytes([seed % 3, 1]), ordinary)
    for columns, head_bytes in (create_frame(), put_frame()):
        save("log_fuzz", b"\x01\x01", head_bytes, u16(columns), b"\0")
    (created, created_head), (rows, rows_head) = create_frame(), put_frame()
    save("log_fuzz", b"\x01\x01", created_head, u16(created), b"\0", rows_head, u16(rows), b"\0")


REST_BODIES: list[tuple[int, Json]] = [
    (0, {"vectors": [[1, 2.5], [-3, 1e-3]], "ids": ["a", "b"], "metadata": [None, {"k": [1, {"x": None}]}], "timeout_ms": 5}),
    (1, {"records": [{"id": "a", "vector": [1, 2], "metadata": {"k": 1.5}}], "consistency_level": "ALL"}),
    (1, {"records": {"id": "a", "vector": [1]}}),
    (2, {"id": "a", "vector": [1, 2], "metadata": {}, "if_version": 3}),
    (3, {"ids": ["a"], "filter": {"a": {"$gt": 1}}}),
    (4, {"ids": ["a", "b"]}),
    (5, {"filter": {"a": 1}, "batch_size": 7, "after": "a", "on_damage": "skip"}),
    (6, {"filter": {"$or": [{"a": 1}, {"b": True}]}}),
    (7, {"query_vector": [1, 2], "top_k": 3, "distance_metric": "l2", "params": {"ef": 9, "exact": True, "recall": 0.5}}),
    (8, {"query_vectors": [[1], [2]], "include_vectors": False}),
    (9, {"name": "c", "dimension": 3, "metric": "l2", "index": "ivf", "index_params": {"nlist": "auto"}, "exist_ok": True}),
]
REST_TEXTS = ["/v1/collections/a%2Fb/search", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "0123456789abcdef"]


def rest_seeds() -> None:
    for kind, body in REST_BODIES:
        save("rest_fuzz", bytes([kind]), json.dumps(body).encode())
    for text in REST_TEXTS:
        save("rest_fuzz", b"\x0a", text.encode())


def crypto_seeds() -> None:
    for text in ("2NEpo7TZRRrLZSi2U", "11233QC4", "1111111111", "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L", "z" * 174, "2g0"):
        save("crypto_fuzz", b"\x00", text.encode())
    for count in (1, 3):  # fragments as long as a payload of 40 bytes asks
        fragment = bytes(32 + (40 + 16 + count - 1) // count)
        fragments = b"".join(bytes([x + 1, len(fragment)]) + fragment for x in range(count))
        save("crypto_fuzz", b"\x01", struct.pack("<H", 40), fragments)
    for changes in (b"", b"\x00\x05\x00\x01", b"\x02\x21\x00\x80"):
        save("crypto_fuzz", b"\x02\x02\x02", struct.pack("<H", 100), changes)
    save("crypto_fuzz", b"\x03\x03\x05\x02\x01\x02\x04", bytes(range(200)))


def gossip(kind: int, bits: int, about: int, counts: tuple[int, ...], *parts: bytes) -> bytes:
    """A message of docs/formats/gossip.md."""
    head = struct.pack("<4B5Q", 1, kind, bits, 0, 0 if kind == 5 else 7, 1, about, 11, 12)
    return head + struct.pack("<5H", *counts) + b"".join(parts)


def gossip_seeds() -> None:
    suspect = struct.pack("<3Q2BHQ", 3, 1, 2, 1, 1, 2, 4) + b"ab"
    accused = struct.pack("<3Q2BH", 1, 5, 9, 2, 0, 0xFFFF)
    item = bytes([1]) + bytes(32) + struct.pack("<H", 3) + b"xyz"
    whole = bytes(33) + b"\xff" * 33
    messages = [
        gossip(1, 0, 0, (1, 1, 0, 0, 0), suspect, item),
        gossip(2, 0, 3, (0, 0, 0, 0, 0)),
        gossip(3, 0, 2, (1, 0, 0, 0, 0), accused),
        gossip(4, 0, 3, (0, 0, 0, 0, 0)),
        gossip(5, 5, 0, (2, 0, 2, 0, 0), whole, suspect, accused, struct.pack("<2Q", 1, 2)),
        gossip(5, 2, 0, (0, 1, 0, 1, 1), item, struct.pack("<2Q", 3, 99)),
    ]
    for message in messages:
        save("gossip_fuzz", b"\0", message)
    save("gossip_fuzz", b"\1", *(bytes([2 + at % 3]) + u16(message) for at, message in enumerate(messages)))


def encrypted_file_seeds() -> None:
    """Offsets and lengths of five writes, then a cut (or none), then changed bytes: in headers, the saved page, and pages."""
    writes = b"".join(struct.pack("<HHB", 700 * n, 5000 - 900 * n, n % 2) for n in range(5))
    for changes in (b"", b"\x20\x00\x00\xff", b"\x20\x10\x00\xff\x20\x00\x00\xff", b"\x01\x40\x00\x05", b"\x10\x20\x00\x09"):
        save("encrypted_file_fuzz", b"\x01", writes, b"\x01\x00", changes)
    save("encrypted_file_fuzz", b"\x01", writes, b"\x04\x10")
    save("encrypted_file_fuzz", b"\x00", bytes(16384 + 4124) + b"\x01" * 40)
    save("encrypted_file_fuzz", b"\x00", b"\0\0DVENC1" + struct.pack("<II", 1, 4096), bytes(4096))


def audit_seeds() -> None:
    """An entry, notes, what a device remembers, proofs, and a log of entries, checkpoints and other bytes (audit_fuzz.cpp)."""
    entry = struct.pack("<BBQ8sIQ32s", 1, 3, 1_700_000_000_000, b"actor", 2, 10, b"touched")
    origin = "dvesp/audit/" + "07" * 16
    lines = [f"\u2014 {origin} {base64.b64encode(bytes(68)).decode()}", f"\u2014 w {base64.b64encode(bytes(76)).decode()}"]
    note = "\n".join([origin, "23", base64.b64encode(bytes(32)).decode(), "", *lines, ""]).encode()
    log = bytes(16) + bytes(32) + struct.pack("<I", len(note)) + note
    save("audit_fuzz", b"\0", entry)
    save("audit_fuzz", b"\1", note)
    save("audit_fuzz", b"\1", base64.b64encode(entry))
    save("audit_fuzz", b"\2", b"DVWT\1", bytes(32), b"\1", log)
    save("audit_fuzz", b"\2", b"DVWT\1", bytes(32), b"\0")
    for size, number in ((40, 13), (40, 32), (7, 6), (63, 1)):
        save("audit_fuzz", b"\3", bytes([size, number]), bytes(range(0, 18, 3)))
        save("audit_fuzz", b"\3", bytes([size, number]), bytes(range(1, 19, 3)))
    entries = b"\0\2\5" * 9 + b"\1\1" + b"\0\0\1" * 4 + b"\1\1\2\1"
    save("audit_fuzz", b"\4\7\3\0\x10", entries)
    save("audit_fuzz", b"\4\7\0\0\0", entries, b"\3", u16(b"DVAR\1"))


def revocation(serial: bytes, reason: int, signature: bytes) -> bytes:
    head = b"DVRV" + bytes([1, reason, len(serial), 0]) + struct.pack("<Q", 1_700_000_000) + b"c" * 32 + b"k" * 32
    return head + serial.ljust(20, b"\0") + struct.pack("<HH", len(signature), 0) + signature


def revocation_seeds() -> None:
    entries = [revocation(b"\x01" * size, reason, b"s" * size) for size, reason in ((1, 0), (16, 1), (20, 9))]
    for entry in entries:
        save("revocation_fuzz", b"\0", entry)
    save("revocation_fuzz", b"\1", *entries)
    save("rest_fuzz", b"\x09", json.dumps({"entries": [entry.hex() for entry in entries]}).encode())
    codes = bytes(8) + b"\x01\x02\x03\x05"  # three differences of 20 bits or more
    for count in (0, 1, 3, 4):
        head = b"DVRS" + bytes([1, 19, 0, 0]) + struct.pack("<Q", 7) + b"c" * 32
        size = (20 * count + 7) // 8
        coded = codes[:size] if count else b""
        save("revocation_fuzz", b"\2", head, struct.pack("<III", 1, count, size), coded, u16(b"sig"))


def column(data: bytes) -> bytes:
    return data.ljust((len(data) + 63) // 64 * 64, b"\0")


def create_frame() -> tuple[bytes, bytes]:
    """Columns (docs/formats/log.md) and head (log_fuzz.cpp, add_raw_frame) of a frame that creates collection "c"."""
    config = cbor(config_fields(2, 1, 2))
    columns = bytes(32) + column(struct.pack("<I", 1)) + column(b"c") + column(struct.pack("<Q", 1)) + bytes(64)
    columns += column(struct.pack("<Q", len(config))) + config
    return columns, bytes([1, 3, 1, 0]) + struct.pack("<H", 1) + bytes([1, 0, 1]) + struct.pack("<H", len(config))


def put_frame() -> tuple[bytes, bytes]:
    """The same of a frame with one row."""
    columns = bytes(32) + column(struct.pack("<I", 1)) + column(b"r") + column(struct.pack("<Q", 1)) + bytes(64)
    columns += column(struct.pack("<2f", 1, 2)) + bytes(64)
    return columns, bytes([1, 1, 1, 1]) + struct.pack("<H", 2) + bytes([1, 2, 1]) + struct.pack("<H", 0)


def device_seeds() -> None:
    """Requests and answers of docs/formats/device.md, of every operation."""
    store, session, device, one, other = bytes(16), b"\7" * 16, b"d" * 16, b"i" * 32, b"j" * 32

    def request(op: int, count: int = 0, body: bytes = b"", kind: int = 0, after: int = 0) -> bytes:
        return struct.pack("<BBBBI", op, kind, after, 0, count) + store + session + body

    def blob(data: bytes) -> bytes:
        return struct.pack("<I", len(data)) + data

    items = one + b"\1" + blob(b"fragment") + other + b"\2" + blob(b"change")
    requests = [request(op) for op in (1, 3, 4, 5, 13)]
    requests += [request(2, body=device), request(6, 2, items), request(7, 2, one + other), request(8, 1, one)]
    requests += [request(9, 2, one + other), request(10, kind=1), request(10, kind=1, after=1, body=one)]
    requests += [request(11, body=blob(b"keys") + blob(b"table")), request(12, body=blob(b"keys"))]
    for each in requests:
        save("device_fuzz", b"\0", each)
    save("device_fuzz", b"\7", *(u16(each) for each in (requests[6], requests[7], requests[10], requests[12], requests[13])))
    save("device_fuzz", b"\7", *(u16(each) for each in (*requests[:5], *requests[8:12], requests[6], requests[4])))
    done = struct.pack("<HBBI", 0, 0, 0, 0)
    counted = struct.pack("<HBBI", 0, 0, 0, 2)
    answers = {1: counted + store + device + session + device, 2: done, 3: done + device, 5: done + device}
    answers |= {7: counted + b"\1" + blob(b"fragment") + b"\0" + blob(b""), 9: counted + b"\1\0", 10: counted + one + other}
    answers |= {12: struct.pack("<HBBI", 0, 0, 0, 1) + b"\1" + blob(b"table"), 13: counted + blob(b"damaged") + blob(b"")}
    answers |= {4: struct.pack("<HBBI", 11, 0, 0, 0) + b"another client"}
    for op, answer in answers.items():
        save("device_fuzz", bytes([1, op - 1]), answer)


def archive_seeds() -> None:
    part = bytes(32) + struct.pack("<QI", 7, 3) + b"cid"
    file = struct.pack("<BI", 1, 2) + bytes(32) + struct.pack("<QI", 5, 2) + part * 2
    body = struct.pack("<Q", 4) + b"root" + struct.pack("<QQ", 0, 2) + file * 2
    save("archive_fuzz", b"\x00", body)
    numbers = struct.pack("<QQ", 3, 1_700_000_000_000)
    document = b"DVARCHM1" + struct.pack("<II", 1, 0) + bytes(16) + numbers + bytes(64) + struct.pack("<QQQ", len(body), 0, 0)
    save("archive_fuzz", b"\x01", document, body, bytes(64))
    frame = next(path for path in sorted((GOLDEN / "log").iterdir()))
    data = frame.read_bytes()[:4096]
    (end,) = struct.unpack_from("<Q", data, 32)
    (crc,) = struct.unpack_from("<I", data, 44)
    pack = b"DVARCHF1" + struct.pack("<QQII", 1, end - 64, crc, 0) + data[64:end]
    save("archive_fuzz", b"\x02", pack)
    save("archive_fuzz", b"\x03", bytes(100))


def s3_seeds() -> None:
    def answer(status: int, body: bytes) -> bytes:
        return bytes([status, len(body)]) + body

    key = b"p/objects/" + b"0" * 64
    page = b"<Contents><Key>" + key + b"</Key><Size>7</Size></Contents><IsTruncated>true</IsTruncated>"
    token = b"<NextContinuationToken>a&amp;b</NextContinuationToken>"
    save("s3_fuzz", b"\0", answer(0, page + token), answer(0, b"<IsTruncated>false</IsTruncated>"))
    save("s3_fuzz", b"\1", answer(0, b"<Contents><Key>p/documents/keyring</Key><Size>7</Size></Contents>"))
    save("s3_fuzz", b"\2", answer(0, b"<Upload><Key>" + key + b"</Key><UploadId>u</UploadId></Upload>"))
    save("s3_fuzz", b"\3", answer(0, b"content"))
    save("s3_fuzz", b"\4", answer(6, b""), answer(8, b""), answer(6, b""), answer(0, b""))
    for method in b"\0\4\5\6\7":
        save("s3_fuzz", bytes([method]), answer(5, b"<Error><Code>AccessDenied</Code></Error>"))


def ipfs_seeds() -> None:
    """Texts of CIDs, blocks, CARs and a record of the vectors; answers of kubo."""
    vectors = FUZZ.parent / "vectors" / "ipfs"
    cids = ["QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", "bafkreie5qrjvaw64n4tjm6hbnm7fnqvcssfed4whsjqxzslbd3jwhsk3mm"]
    cids += ["k51qzi5uqu5dmjjgoe7s21dncepi970722cn30qlhm9qridas1c9ktkjb6ejux", "f015500050001020304"]
    for text in [*cids, "12D3KooWSzRuSFHgLsKr6jJboAPdP7xMga2YBgBspYuErxswcgvt", "2026-11-29T20:00:00.25Z"]:
        save("ipfs_fuzz", b"\0", text.encode())
    blocks = [line.split("block=")[1].split()[0] for line in (vectors / "dag_pb.txt").read_text().splitlines()[1:]]
    for block in blocks:
        save("ipfs_fuzz", b"\1", bytes.fromhex(block.replace("-", "")))
    raw = b"\x01\x55\x00\x03abc"
    link = b"\x0a\x07" + raw + b"\x12\x00\x18\x03"
    links = bytes([0x12, len(link)]) + link
    for data in (b"\x08\x02\x18\x06\x20\x03\x20\x03", b"\x08\x01", b"\x08\x05", b"\x08\x02\x12\x03abc\x18\x09\x20\x03\x20\x03"):
        save("ipfs_fuzz", b"\1", links * 2, bytes([0x0A, len(data)]), data)
    record = (vectors / "ipns_record.txt").read_text().split("record=")[1].split()[0]
    save("ipfs_fuzz", b"\2", bytes.fromhex(record))
    for path in sorted(vectors.glob("*.car")):
        save("ipfs_fuzz", b"\3\xff", path.read_bytes())
        save("ipfs_fuzz", b"\3\0", path.read_bytes())
    entry = {"Name": "x", "Type": 0, "Size": 10, "Hash": cids[1], "CumulativeSize": 20}
    answers: list[Json] = [{"Keys": {cids[1]: {"Type": "recursive"}}}, {"Progress": 5, "Bytes": 7}, {"Pins": [cids[1]]}, entry]
    answers += [
        {"Entries": [entry, entry]},
        {"Entries": None},
        {"Root": {"Cid": {"/": cids[1]}, "PinErrorMsg": ""}},
        {"Stats": {}},
    ]
    for answer in answers:
        save("ipfs_fuzz", b"\4\0", json.dumps(answer).encode() + b"\n")
    for message in ("path 'x' is not pinned", "file does not exist", "no space left on device"):
        save("ipfs_fuzz", b"\4\1", json.dumps({"Message": message, "Code": 0, "Type": "error"}).encode())


def chain_seeds() -> None:
    def answer(value: Json, kind: int = 0) -> bytes:
        return bytes([kind]) + u16(json.dumps(value).encode())

    def prefix(name: str) -> bytes:
        return hashlib.sha256(name.encode()).digest()[:8]

    owner = "T1" + "1" * 30  # any key
    program = "UKrXU5bFrTzrqqpZXs8GVDbp4xPweiM65ADXNAy3ddR"  # 07 00 00 ...
    body = bytes(96) + struct.pack("<QQ32sQq", 2, 1, bytes(32), 77, 1_760_000_000)
    record = prefix("account:CollectionRoot") + b"\1\xff" + body
    data = [base64.b64encode(record).decode(), "base64"]
    account = answer({"value": {"owner": program, "lamports": 9, "executable": False, "data": data}})
    nothing = answer({"value": None})
    there = answer({"value": {"owner": owner, "lamports": 9, "executable": True, "data": ["", "base64"]}})
    simulated = answer({"value": {"err": None, "unitsConsumed": 900}})
    refused = answer({"value": {"err": {"InstructionError": [1, {"Custom": 6000}]}, "unitsConsumed": 9}})
    blockhash = answer({"value": {"blockhash": program, "lastValidBlockHeight": 5}})
    sent = answer({"code": -32002, "message": "x", "data": {"err": "AlreadyProcessed"}}, 4)
    status = answer({"value": [{"slot": 9, "err": None, "confirmationStatus": "confirmed"}]})
    number = answer({"value": 10**9})
    rent = answer(10**6)
    past = answer([{"signature": "2" * 64, "slot": 7, "err": None, "memo": "[4] memo", "blockTime": 5}])
    event = base64.b64encode(prefix("event:RootPosted") + body).decode()
    lines = [f"Program {'1' * 32} invoke [1]", f"Program data: {event}", f"Program {'1' * 32} success"]
    transaction = answer({"meta": {"err": None, "logMessages": lines}})
    save("chain_fuzz", b"\0\2", account, account, simulated, blockhash, sent, status, account, number)
    save("chain_fuzz", b"\0\2", nothing, nothing, there, refused, account)
    save("chain_fuzz", b"\0\4", account, past, transaction, number)
    save("chain_fuzz", b"\0\7", past, past, simulated, blockhash, sent, status, past, number)
    save("chain_fuzz", b"\0\10", account, nothing, number, rent, rent, rent, nothing, nothing, rent, simulated, blockhash, sent)
    save("chain_fuzz", b"\1", record)
    save("chain_fuzz", b"\1", prefix("event:RootPosted"), body)
    save("chain_fuzz", b"\2", f"dvesp/root/1 {'00' * 32} 1 2 {'11' * 32}".encode())
    save("chain_fuzz", b"\2", program.encode())
    save("chain_fuzz", b"\3", "\n".join(lines).encode())


WRITERS = [cbor_seeds, filter_seeds, config_seeds, container_seeds, frame_seeds, manifest_seeds, log_seeds, rest_seeds]
WRITERS += [crypto_seeds, gossip_seeds, encrypted_file_seeds, audit_seeds, revocation_seeds, device_seeds, archive_seeds]
WRITERS += [ipfs_seeds, chain_seeds, s3_seeds]


def main() -> None:
    shutil.rmtree(CORPUS, ignore_errors=True)
    for write in WRITERS:
        write()
    total = sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file())
    print(f"{total} bytes in {CORPUS}")


if __name__ == "__main__":
    main()
