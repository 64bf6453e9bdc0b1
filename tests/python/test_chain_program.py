"""The Solana program in the real virtual machine (LiteSVM): what it writes, every refusal by its number, and its own bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import FeatureSet, LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))
import solana_vectors

PROGRAM = Path(__file__).resolve().parents[2] / "programs" / "dvesp_root"
PROGRAM_ID = Keypair.from_seed(bytes([7]) * 32).pubkey()
COLLECTION = hashlib.sha256(b"a collection").digest()
ZEROS = bytes(32)


class Record(NamedTuple):
    """The account of docs/formats/chain.md, field by field."""

    discriminator: bytes
    version: int
    bump: int
    authority: bytes
    collection_id: bytes
    merkle_root: bytes
    leaf_count: int
    sequence: int
    chain_hash: bytes
    slot: int
    unix_timestamp: int


RECORD = struct.Struct("<8sBB32s32s32sQQ32sQq")


def discriminator(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:8]


class Machine:
    """A virtual machine with the program, an authority with money, and a stranger with money."""

    def __init__(self, svm: LiteSVM) -> None:
        self.svm = svm
        svm.add_program_from_file(PROGRAM_ID, str(PROGRAM / "dvesp_root.so"))
        self.authority, self.stranger = Keypair.from_seed(bytes([1]) * 32), Keypair.from_seed(bytes([2]) * 32)
        for who in (self.authority, self.stranger):
            svm.airdrop(who.pubkey(), 10**10)

    def address(self, who: Keypair | None = None, collection: bytes = COLLECTION) -> Pubkey:
        seeds = [b"root", bytes((who or self.authority).pubkey()), collection]
        return Pubkey.find_program_address(seeds, PROGRAM_ID)[0]

    def send(self, instruction: Instruction, signer: Keypair | None = None) -> Any:
        self.svm.expire_blockhash()
        payer = signer or self.authority
        message = MessageV0.try_compile(payer.pubkey(), [instruction], [], self.svm.latest_blockhash())
        return self.svm.send_transaction(VersionedTransaction(message, [payer]))

    def ok(self, instruction: Instruction, signer: Keypair | None = None) -> Any:
        result = self.send(instruction, signer)
        assert not hasattr(result, "err"), f"{result.err()} {result.meta().logs()}"
        return result

    def code(self, instruction: Instruction, signer: Keypair | None = None) -> int:
        result = self.send(instruction, signer)
        assert hasattr(result, "err"), "the program took it"
        return int(result.err().err.code)

    def record(self, address: Pubkey | None = None) -> Record:
        account = self.svm.get_account(address or self.address())
        assert account is not None and account.owner == PROGRAM_ID and len(account.data) == RECORD.size == 170
        return Record(*RECORD.unpack(account.data))

    def initialize(self, **changed: Any) -> Instruction:
        authority = changed.get("authority", self.authority)
        collection = changed.get("collection", COLLECTION)
        accounts = [
            AccountMeta(changed.get("record", self.address(authority, collection)), False, changed.get("writable", True)),
            AccountMeta(authority.pubkey(), changed.get("signs", True), changed.get("authority_writable", True)),
            AccountMeta(changed.get("system", SYSTEM), False, False),
        ]
        data = changed.get("data", discriminator("global:initialize") + collection)
        return Instruction(PROGRAM_ID, data, accounts[: changed.get("accounts", 3)])

    def change(self, name: str, arguments: bytes, **changed: Any) -> Instruction:
        authority = changed.get("authority", self.authority)
        accounts = [
            AccountMeta(changed.get("record", self.address()), False, changed.get("writable", True)),
            AccountMeta(authority.pubkey(), changed.get("signs", True), changed.get("authority_writable", name == "close")),
        ]
        data = discriminator(f"global:{name}") + arguments
        return Instruction(PROGRAM_ID, data[: changed.get("bytes", len(data))], accounts[: changed.get("accounts", 2)])

    def post(self, sequence: int, root: bytes, leaves: int, **changed: Any) -> Instruction:
        return self.change("post_root", struct.pack("<Q32sQ", sequence, root, leaves), **changed)


@pytest.fixture
def machine() -> Machine:
    return Machine(LiteSVM())


@pytest.fixture
def posted(machine: Machine) -> Machine:
    machine.ok(machine.initialize())
    machine.ok(machine.post(0, bytes([5]) * 32, 1))
    return machine


def test_committed_program_is_what_its_source_builds(tmp_path: Path) -> None:
    assert shutil.which("clang-19"), "clang-19 is missing: tools/setup test installs it"
    fresh = tmp_path / "fresh.so"
    subprocess.run([str(PROGRAM / "build.sh"), str(fresh)], check=True)
    assert fresh.read_bytes() == (PROGRAM / "dvesp_root.so").read_bytes()


def test_committed_vectors_are_those_of_solders() -> None:
    assert json.loads(solana_vectors.FILE.read_text(encoding="utf-8")) == solana_vectors.vectors()


def test_description_has_the_discriminators_of_anchor() -> None:
    idl = json.loads((PROGRAM / "dvesp_root.json").read_text(encoding="utf-8"))
    for kind, prefix in (("instructions", "global"), ("accounts", "account"), ("events", "event")):
        for item in idl[kind]:
            assert bytes(item["discriminator"]) == discriminator(f"{prefix}:{item['name']}"), item["name"]
    source = (PROGRAM / "dvesp_root.c").read_text(encoding="utf-8")
    names = ["global:initialize", "global:post_root", "global:transfer_authority", "global:close"]
    for name in [*names, "account:CollectionRoot", "event:RootPosted"]:
        assert f"0x{int.from_bytes(discriminator(name), 'little'):016x}ULL" in source, name


@pytest.mark.parametrize("features", ["default", "mainnet", "all"])
def test_record_of_posts_is_written_field_by_field(features: str) -> None:
    svm = LiteSVM()
    if features != "default":
        chosen = LiteSVM.mainnet_feature_set() if features == "mainnet" else FeatureSet.all_enabled()
        svm = svm.with_feature_set(chosen).with_builtins().with_lamports(10**17).with_sysvars().with_default_programs()
    machine = Machine(svm)
    machine.ok(machine.initialize())
    bump = Pubkey.find_program_address([b"root", bytes(machine.authority.pubkey()), COLLECTION], PROGRAM_ID)[1]
    first = machine.record()
    assert first[:8] == (
        discriminator("account:CollectionRoot"),
        1,
        bump,
        bytes(machine.authority.pubkey()),
        COLLECTION,
        ZEROS,
        0,
        0,
    )
    assert first.chain_hash == ZEROS
    account = machine.svm.get_account(machine.address())
    assert account is not None and account.lamports == machine.svm.minimum_balance_for_rent_exemption(RECORD.size)
    clock = machine.svm.get_clock()
    clock.unix_timestamp = 1_760_000_000
    machine.svm.set_clock(clock)
    machine.svm.warp_to_slot(777)
    root = hashlib.sha256(b"root").digest()
    result = machine.ok(machine.post(0, root, 42))
    second = machine.record()
    chain_hash = hashlib.sha256(ZEROS + root + struct.pack("<Q", 1)).digest()
    assert second == (*first[:5], root, 42, 1, chain_hash, 777, 1_760_000_000)
    logged = [line.removeprefix("Program data: ") for line in result.logs() if line.startswith("Program data: ")]
    assert len(logged) == 1
    event = base64.b64decode(logged[0])
    assert event == discriminator("event:RootPosted") + RECORD.pack(*second)[10:]


def test_thousand_posts_are_kept_linked_and_cheap(machine: Machine) -> None:
    machine.ok(machine.initialize())
    random_numbers = random.Random(6962)
    chain_hash, units = ZEROS, []
    for batch in range(1000):
        root = random_numbers.randbytes(32)
        units.append(machine.ok(machine.post(batch, root, batch + 1)).compute_units_consumed())
        chain_hash = hashlib.sha256(chain_hash + root + struct.pack("<Q", batch + 1)).digest()
        record = machine.record()
        assert (record.merkle_root, record.leaf_count, record.sequence) == (root, batch + 1, batch + 1)
        assert record.chain_hash == chain_hash
    print(f"compute units of post_root: {min(units)}..{max(units)}")
    assert max(units) < 1500


def test_money_sent_to_an_address_does_not_keep_its_record_away(machine: Machine) -> None:
    for name, lamports in ((b"some", 900_000), (b"plenty", 10**8)):
        collection = hashlib.sha256(name).digest()
        address = machine.address(collection=collection)
        gift = transfer(TransferParams(from_pubkey=machine.stranger.pubkey(), to_pubkey=address, lamports=lamports))
        machine.ok(gift, machine.stranger)
        machine.ok(machine.initialize(collection=collection))
        assert machine.record(address).collection_id == collection


HALF = discriminator("global:initialize") + bytes(31)
REFUSED_POSTS: dict[str, tuple[int, Callable[[Machine], tuple[Instruction, Keypair]]]] = {
    "stale sequence": (6000, lambda m: (m.post(0, ZEROS, 1), m.authority)),
    "sequence of the future": (6000, lambda m: (m.post(2, ZEROS, 1), m.authority)),
    "other authority": (2001, lambda m: (m.post(1, ZEROS, 1, authority=m.stranger), m.stranger)),
    "authority did not sign": (3010, lambda m: (m.post(1, ZEROS, 1, signs=False), m.stranger)),
    "record read-only": (3006, lambda m: (m.post(1, ZEROS, 1, writable=False), m.authority)),
    "record of a stranger": (3007, lambda m: (m.post(1, ZEROS, 1, record=m.stranger.pubkey()), m.authority)),
    "one account": (3005, lambda m: (m.post(1, ZEROS, 1, accounts=1), m.authority)),
    "no accounts": (3005, lambda m: (m.post(1, ZEROS, 1, accounts=0), m.authority)),
    "no arguments": (102, lambda m: (m.post(1, ZEROS, 1, bytes=8), m.authority)),
    "a byte too few": (102, lambda m: (m.post(1, ZEROS, 1, bytes=55), m.authority)),
    "a byte too many": (102, lambda m: (m.change("post_root", bytes([1]) + bytes(48)), m.authority)),
    "unknown instruction": (101, lambda m: (m.change("steal", b""), m.authority)),
    "half a discriminator": (101, lambda m: (m.post(1, ZEROS, 1, bytes=7), m.authority)),
    "no data": (101, lambda m: (m.post(1, ZEROS, 1, bytes=0), m.authority)),
    "transfer by another": (2001, lambda m: (m.change("transfer_authority", ZEROS, authority=m.stranger), m.stranger)),
    "transfer unsigned": (3010, lambda m: (m.change("transfer_authority", ZEROS, signs=False), m.stranger)),
    "transfer to half a key": (102, lambda m: (m.change("transfer_authority", bytes(31)), m.authority)),
    "close by another": (2001, lambda m: (m.change("close", b"", authority=m.stranger), m.stranger)),
    "close unsigned": (3010, lambda m: (m.change("close", b"", signs=False), m.stranger)),
    "close with arguments": (102, lambda m: (m.change("close", b"\x01"), m.authority)),
    "record twice": (6001, lambda m: (m.initialize(), m.authority)),
    "address of another collection": (2006, lambda m: (m.initialize(record=m.address(collection=ZEROS)), m.authority)),
    "address of another owner": (2006, lambda m: (m.initialize(record=m.address(m.stranger)), m.authority)),
    "initialize unsigned": (3010, lambda m: (m.initialize(signs=False), m.stranger)),
    "initialize read-only record": (3006, lambda m: (m.initialize(writable=False), m.authority)),
    "initialize without payer": (3006, lambda m: (m.initialize(authority_writable=False, signs=False), m.stranger)),
    "initialize with another program": (3008, lambda m: (m.initialize(system=PROGRAM_ID), m.authority)),
    "initialize with two accounts": (3005, lambda m: (m.initialize(accounts=2), m.authority)),
    "initialize half a collection": (
        102,
        lambda m: (m.initialize(data=discriminator("global:initialize") + bytes(31)), m.authority),
    ),
}


@pytest.mark.parametrize("name", REFUSED_POSTS)
def test_wrong_call_is_refused_by_its_number_and_changes_nothing(posted: Machine, name: str) -> None:
    code, make = REFUSED_POSTS[name]
    before = posted.record()
    assert posted.code(*make(posted)) == code
    assert posted.record() == before


@pytest.mark.parametrize("damage", ["discriminator", "short", "long"])
def test_account_that_is_no_record_is_refused(posted: Machine, damage: str) -> None:
    data = RECORD.pack(*posted.record())
    forged = {"discriminator": b"\0" * 8 + data[8:], "short": data[:-1], "long": data + b"\0"}[damage]
    address = Keypair.from_seed(bytes([9]) * 32).pubkey()
    posted.svm.set_account(address, Account(10**9, forged, PROGRAM_ID))
    assert posted.code(posted.post(1, ZEROS, 1, record=address)) == 3002


def test_authority_moves_and_the_old_one_is_refused(posted: Machine) -> None:
    posted.ok(posted.change("transfer_authority", bytes(posted.stranger.pubkey())))
    assert posted.record().authority == bytes(posted.stranger.pubkey())
    assert posted.code(posted.post(1, ZEROS, 2)) == 2001
    posted.ok(posted.post(1, bytes([6]) * 32, 2, authority=posted.stranger), posted.stranger)
    assert posted.record().sequence == 2


def test_close_gives_the_lamports_back_and_the_record_can_begin_anew(posted: Machine) -> None:
    rent = posted.svm.get_account(posted.address())
    assert rent is not None
    before = posted.svm.get_balance(posted.authority.pubkey()) or 0
    posted.ok(posted.change("close", b""))
    assert posted.svm.get_balance(posted.authority.pubkey()) == before + rent.lamports - 5000
    gone = posted.svm.get_account(posted.address())
    assert gone is None or (gone.lamports == 0 and not gone.data)
    posted.ok(posted.initialize())
    assert posted.record().sequence == 0
