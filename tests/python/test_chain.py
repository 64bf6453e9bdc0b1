"""Roots on Solana: posted, read, followed in the background, deployed and checked, over the real virtual machine."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain_support import PROGRAM, PROGRAM_ID, Wallet, frame_roots, make_wallet, merkle_root, solana, wait_for
from dvesp import (
    Directory,
    InvalidArgument,
    Keyring,
    PermissionDenied,
    Solana,
    Unavailable,
    VectorStore,
    VersionConflict,
    _native,
)
from solana_rpc import SolanaNode, running_node
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from test_chain_program import Machine

Vectors = Callable[..., Any]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node() -> Iterator[SolanaNode]:
    """A node with the program, in slots of 20 ms."""
    with running_node({PROGRAM_ID: str(PROGRAM / "dvesp_root.so")}, slot_ms=20) as running:
        yield running


@pytest.fixture
def wallet(node: SolanaNode, tmp_path: Path) -> Wallet:
    return make_wallet(tmp_path, node)


def native_of(chain: Solana) -> _native.Chain:
    return chain._native


# ---- the client


def test_addresses_are_those_of_solders(node: SolanaNode, wallet: Wallet) -> None:
    chain = native_of(solana(node, wallet))
    for number in range(50):
        collection = bytes([number]) * 32
        seeds = [b"root", bytes(wallet.key.pubkey()), collection]
        assert chain.address(collection) == str(Pubkey.find_program_address(seeds, Pubkey.from_string(PROGRAM_ID))[0])


def test_roots_are_posted_read_and_remembered(node: SolanaNode, wallet: Wallet) -> None:
    chain, collection = native_of(solana(node, wallet, priority_microlamports=1000)), bytes(range(32))
    assert chain.read(collection) is None
    before = chain.balance()
    for number in range(1, 4):
        posted = chain.post(collection, bytes([number]) * 32, number, True)
        assert (posted["sequence"], posted["root"]) == (number, (bytes([number]) * 32).hex()) and posted["signature"]
        assert chain.read(collection) == {key: posted[key] for key in chain.read(collection)}
    again = chain.post(collection, bytes([3]) * 32, 3, True)
    assert again["signature"] == "" and again["sequence"] == 3
    past = chain.history(collection, 10)
    assert [one["sequence"] for one in past] == [3, 2, 1]
    assert past[0]["chain_hash"] == chain.read(collection)["chain_hash"]
    assert chain.history(collection, 2) == past[:2]
    rent = node.call("getMinimumBalanceForRentExemption", 170)
    spent = before - chain.balance()
    assert rent + 15_000 <= spent <= rent + 15_100  # a priority of less than 100 lamports for three posts


def test_transactions_on_the_wire_are_those_that_solders_compiles(node: SolanaNode, wallet: Wallet) -> None:
    chain, collection = native_of(solana(node, wallet, priority_microlamports=7)), bytes([77]) * 32
    for number in (1, 2):
        signature = chain.post(collection, bytes(32), number, True)["signature"]
        raw = base64.b64decode(node.call("getTransaction", signature, {"encoding": "base64"})["transaction"][0])
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.verify_and_hash_message()
        message = transaction.message
        keys = message.account_keys
        instructions = []
        for one in message.instructions:
            accounts = [(keys[at], message.is_signer(at), message.is_maybe_writable(at)) for at in one.accounts]
            instructions.append(_instruction(keys[one.program_id_index], bytes(one.data), accounts))
        again = MessageV0.try_compile(keys[0], instructions, [], message.recent_blockhash)
        assert to_bytes_versioned(again) == to_bytes_versioned(message)


def _instruction(program: Pubkey, data: bytes, accounts: list[tuple[Pubkey, bool, bool]]) -> Any:
    from solders.instruction import AccountMeta, Instruction

    return Instruction(program, data, [AccountMeta(*account) for account in accounts])


@pytest.mark.parametrize("status", [429, 503, 0])
def test_busy_or_broken_node_is_asked_again(node: SolanaNode, wallet: Wallet, status: int) -> None:
    chain, collection = native_of(solana(node, wallet)), bytes([status % 251]) * 32
    for method in ("getLatestBlockhash", "sendTransaction", "getSignatureStatuses", "getAccountInfo"):
        node.call("testFail", method, 1, status)
    assert chain.post(collection, bytes([1]) * 32, 1, True)["sequence"] == 1


def test_lost_transaction_is_sent_again(node: SolanaNode, wallet: Wallet) -> None:
    chain = native_of(solana(node, wallet))
    node.call("testLose", 1)
    assert chain.post(bytes([12]) * 32, bytes([1]) * 32, 1, True)["sequence"] == 1


def test_expired_blockhash_is_signed_anew(node: SolanaNode, wallet: Wallet) -> None:
    chain = native_of(solana(node, wallet))
    asked = node.call("testCalls").get("getLatestBlockhash", 0)
    node.call("testLose", 2)
    node.call("testFail", "getSignatureStatuses", 0, 200)
    with _in_background(lambda: chain.post(bytes([13]) * 32, bytes([1]) * 32, 1, True)) as posted:
        sent = node.call("testCalls").get("sendTransaction", 0)
        wait_for(lambda: node.call("testCalls").get("sendTransaction", 0) > sent, "the first transaction")
        node.call("testSkipSlots", 200)
    assert posted()["sequence"] == 1
    assert node.call("testCalls")["getLatestBlockhash"] >= asked + 2


class _in_background:
    """Runs a function in a thread while the block runs; the value is called for its result."""

    def __init__(self, function: Callable[[], Any]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.pool = ThreadPoolExecutor(1)
        self.future = self.pool.submit(function)

    def __enter__(self) -> Callable[[], Any]:
        return lambda: self.future.result(timeout=60)

    def __exit__(self, *_: object) -> None:
        self.future.exception(timeout=60)
        self.pool.shutdown()


def test_two_writers_of_one_record_never_lose_a_post(node: SolanaNode, wallet: Wallet) -> None:
    one, two, collection = native_of(solana(node, wallet)), native_of(solana(node, wallet)), bytes([14]) * 32
    one.post(collection, bytes([1]) * 32, 1, True)
    other = _in_background(lambda: two.post(collection, bytes([9]) * 32, 9, True))
    with other as second, contextlib.suppress(VersionConflict):  # the larger state was there first
        one.post(collection, bytes([2]) * 32, 2, True)
    assert second()["leaf_count"] == 9
    assert one.read(collection)["leaf_count"] == 9
    sequences = [root["sequence"] for root in one.history(collection, 10)]
    assert sequences in ([3, 2, 1], [2, 1])


def test_smaller_state_never_replaces_a_larger_one(node: SolanaNode, wallet: Wallet) -> None:
    chain, collection = native_of(solana(node, wallet)), bytes([15]) * 32
    chain.post(collection, bytes([5]) * 32, 5, True)
    with pytest.raises(VersionConflict, match="older copy"):
        chain.post(collection, bytes([4]) * 32, 4, True)
    assert chain.post(collection, bytes([4]) * 32, 4, False)["leaf_count"] == 4


def test_empty_wallet_is_told_how_much_it_needs(node: SolanaNode, tmp_path: Path) -> None:
    poor = make_wallet(tmp_path, node, lamports=0)
    with pytest.raises(Unavailable, match=f"wallet {poor.address} has 0 lamports"):
        native_of(solana(node, poor)).post(bytes([1]) * 32, bytes(32), 1, True)
    node.call("requestAirdrop", poor.address, 1_000_000)
    with pytest.raises(Unavailable, match="has 1000000 lamports: too few for posting a root"):
        native_of(solana(node, poor)).post(bytes([1]) * 32, bytes(32), 1, True)


def test_program_that_is_not_there_is_named(node: SolanaNode, wallet: Wallet) -> None:
    absent = str(Keypair().pubkey())
    with pytest.raises(InvalidArgument, match=f"program_id: there is no program {absent}.*dvesp chain deploy"):
        native_of(solana(node, wallet, program_id=absent)).post(bytes([1]) * 32, bytes(32), 1, True)


def test_node_that_is_not_there_is_unavailable(wallet: Wallet) -> None:
    chain = _native.Chain("http://127.0.0.1:9", PROGRAM_ID, "confirmed", 0, "program", None, wallet.address)
    started = time.monotonic()
    with _in_background(lambda: chain.balance()) as result:
        time.sleep(0.3)
        chain.cancel()
    with pytest.raises((Unavailable, InvalidArgument)):
        result()
    assert time.monotonic() - started < 10


def test_record_of_another_authority_is_refused(node: SolanaNode, wallet: Wallet, tmp_path: Path) -> None:
    collection = bytes([16]) * 32
    native_of(solana(node, wallet)).post(collection, bytes([1]) * 32, 1, True)
    stranger = make_wallet(tmp_path, node, "stranger.json")
    with pytest.raises(PermissionDenied, match="another authority"):
        native_of(solana(node, stranger, creator=wallet.address)).post(collection, bytes([2]) * 32, 2, True)


def test_transferred_record_is_continued_by_the_new_authority(node: SolanaNode, wallet: Wallet, tmp_path: Path) -> None:
    collection, heir = bytes([20]) * 32, make_wallet(tmp_path, node, "heir.json")
    old = native_of(solana(node, wallet))
    old.post(collection, bytes([1]) * 32, 1, True)
    accounts = [(Pubkey.from_string(old.address(collection)), False, True), (wallet.key.pubkey(), True, False)]
    data = hashlib.sha256(b"global:transfer_authority").digest()[:8] + bytes(heir.key.pubkey())
    blockhash = Hash.from_string(node.call("getLatestBlockhash")["value"]["blockhash"])
    transfer = _instruction(Pubkey.from_string(PROGRAM_ID), data, accounts)
    message = MessageV0.try_compile(wallet.key.pubkey(), [transfer], [], blockhash)
    raw = base64.b64encode(bytes(VersionedTransaction(message, [wallet.key]))).decode()
    node.call("sendTransaction", raw, {"encoding": "base64"})
    with pytest.raises(PermissionDenied):
        old.post(collection, bytes([2]) * 32, 2, True)
    new = native_of(solana(node, heir, creator=wallet.address))
    posted = new.post(collection, bytes([2]) * 32, 2, True)
    assert posted["sequence"] == 2 and posted["authority"] == heir.address and old.read(collection) == new.read(collection)


def test_memos_keep_roots_where_there_is_no_program(node: SolanaNode, wallet: Wallet) -> None:
    chain = native_of(solana(node, wallet, anchor_mode="memo", program_id=str(Keypair().pubkey())))
    one, two = bytes([17]) * 32, bytes([18]) * 32
    assert chain.read(one) is None
    for number in range(1, 4):
        assert chain.post(one, bytes([number]) * 32, number, True)["sequence"] == number
        chain.post(two, bytes([100 + number]) * 32, number, True)
    assert chain.post(one, bytes([3]) * 32, 3, True)["signature"] == ""
    read = chain.read(one)
    assert (read["root"], read["leaf_count"], read["sequence"]) == ((bytes([3]) * 32).hex(), 3, 3)
    assert [past["sequence"] for past in chain.history(two, 10)] == [3, 2, 1]
    reader = _native.Chain(node.url, PROGRAM_ID, "confirmed", 0, "memo", None, wallet.address)
    assert reader.read(one) == read


@pytest.mark.parametrize("commitment", ["processed", "confirmed", "finalized"])
def test_every_commitment_is_waited_for(node: SolanaNode, wallet: Wallet, commitment: str) -> None:
    chain = native_of(solana(node, wallet, commitment=commitment))
    signature = chain.post(bytes([19]) * 32, bytes([1]) * 32, 1, True)["signature"]
    words = ["processed", "confirmed", "finalized"]
    status = node.call("getSignatureStatuses", [signature])["value"][0]["confirmationStatus"]
    assert words.index(status) >= words.index(commitment)


# ---- the store


def test_roots_follow_writes_and_are_those_computed_in_python(
    node: SolanaNode, wallet: Wallet, tmp_path: Path, vectors: Vectors
) -> None:
    with VectorStore(tmp_path / "s", chain=solana(node, wallet)) as store:
        for batch in range(25):
            store.insert(vectors(3, seed=batch), collection="a")
            if batch % 5 == 0:
                store.upsert({"id": "x", "vector": vectors(1, seed=batch)[0]}, collection="b")
        store.delete(ids=["x"], collection="b")
        status = wait_for(lambda: _settled(store), "the last root")
        for name, count in (("a", 25), ("b", 6)):
            roots = frame_roots(store, name)
            assert len(roots) == count
            posted = status["collections"][name]
            data = node.account(posted["address"])
            assert data is not None and data[74:106] == merkle_root(roots)
            assert int.from_bytes(data[106:114], "little") == count == posted["leaf_count"]
            assert posted["posted_root"] == merkle_root(roots).hex()
            assert 1 <= posted["posted_sequence"] < count  # many batches, few posts
        assert status["configured"] and status["last_error"] is None and 0 < status["lamports"] < 10**10
        assert status["posted_root"] in {one["posted_root"] for one in status["collections"].values()}
        assert status["posted_sequence"] > 0


def _settled(store: VectorStore) -> dict[str, Any] | None:
    status: dict[str, Any] = store.status(detail=True)["chain"]
    return status if status["pending"] == 0 else None


def test_account_after_each_of_a_thousand_batches_is_the_root_that_python_computes(vectors: Vectors) -> None:
    """In the machine itself, since a node takes a slot for each; the leaves are what the writers were told."""
    machine = Machine(LiteSVM())
    leaves: list[bytes] = []
    with VectorStore() as store:
        store.create_collection("c", 8)
        native = store._native
        assert isinstance(native, _native.Store)
        identity = _native.chain_root(native, "c", "frames", None)["collection_id"]
        machine.ok(machine.initialize(collection=identity))
        address = machine.address(collection=identity)
        for batch in range(1000):
            leaves.append(bytes.fromhex(store.insert(vectors(2, seed=batch), collection="c").consistency_hash))
            if batch in (200, 500):
                store.flush("c")
            if batch == 700:
                store.compact("c")
            local = _native.chain_root(native, "c", "frames", None)
            machine.ok(machine.post(batch, local["root"], local["leaf_count"], record=address))
            record = machine.record(address)
            assert (record.merkle_root, record.leaf_count) == (merkle_root(leaves), batch + 1)


def test_ids_are_rooted_where_they_are_asked_for(node: SolanaNode, wallet: Wallet, vectors: Vectors) -> None:
    with VectorStore(chain=solana(node, wallet, root_of="ids")) as store:
        store.insert(vectors(4), ids=["d", "a", "ü", "b"])
        store.delete(ids=["b"])
        status = wait_for(lambda: _settled(store), "the root")
        assert status["posted_root"] == merkle_root([id.encode() for id in ("a", "d", "ü")]).hex()
        assert status["collections"]["default"]["leaf_count"] == 3


def test_roots_of_sealed_stores_follow_too_and_their_records_are_proven(
    node: SolanaNode, wallet: Wallet, tmp_path: Path, vectors: Vectors
) -> None:
    keyring = Keyring.from_passphrase("correct horse battery staple")
    devices = [tmp_path / f"d{number}" for number in range(5)]
    with VectorStore(tmp_path / "s", devices=devices, keyring=keyring, chain=solana(node, wallet)) as store:
        for batch in range(3):
            store.insert(vectors(2, seed=batch), ids=[f"{batch}a", f"{batch}b"])
        status = wait_for(lambda: _settled(store), "the root")
        assert status["posted_root"] == merkle_root(frame_roots(store)).hex()
        proof = _native.chain_prove(store._native, "default", "1b", None)  # type: ignore[arg-type]
        assert proof["root"] == status["posted_root"] and proof["frame_index"] == 1 and proof["leaf_index"] == 1


def test_store_whose_chain_is_off_posts_nothing(node: SolanaNode, wallet: Wallet, vectors: Vectors) -> None:
    with VectorStore(chain=solana(node, wallet, anchor_mode="off")) as store:
        store.insert(vectors(2))
        chain = store.status(detail=True)["chain"]
        assert not chain["configured"] and chain["posted_root"] is None and chain["pending"] == 0


def test_writes_neither_wait_nor_fail_when_the_chain_is_gone_and_the_next_process_posts(
    tmp_path: Path, vectors: Vectors
) -> None:
    program = {PROGRAM_ID: str(PROGRAM / "dvesp_root.so")}
    with running_node(slot_ms=20) as empty:
        wallet = make_wallet(tmp_path, None)
        with VectorStore(tmp_path / "s", chain=solana(empty, wallet)) as store:
            took = []
            for batch in range(20):
                started = time.monotonic()
                store.insert(vectors(2, seed=batch))
                took.append(time.monotonic() - started)
            status = wait_for(lambda: _failed(store), "an error of the chain")
            assert "program_id" in status["last_error"] and "collection default" in status["last_error"]
            assert status["pending"] == 1 and status["posted_sequence"] == 0 and status["posted_root"] is None
            assert np.median(took) < 0.5
            closing = time.monotonic()
        assert time.monotonic() - closing < 5
    with running_node(program, slot_ms=20) as node:
        node.call("requestAirdrop", wallet.address, 10**9)
        with VectorStore(tmp_path / "s", chain=solana(node, wallet)) as store:
            status = wait_for(lambda: _settled(store), "the root of the process before")
            assert status["posted_root"] == merkle_root(frame_roots(store)).hex()
            assert status["posted_sequence"] == 1
        with VectorStore(tmp_path / "s", chain=solana(node, wallet)) as store:  # nothing new: nothing is paid
            status = wait_for(lambda: _settled(store), "the look at the chain")
            assert status["posted_sequence"] == 1
            node.process.kill()
            node.process.wait()
            for batch in range(5):
                store.insert(vectors(2, seed=100 + batch))
            assert store.count() == 50
            closing = time.monotonic()
        assert time.monotonic() - closing < 5


def _failed(store: VectorStore) -> dict[str, Any] | None:
    status: dict[str, Any] = store.status(detail=True)["chain"]
    return status if status["last_error"] else None


# ---- settings


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rpc_url": "localhost:8899"}, "rpc_url"),
    ({"rpc_url": "ftp://x"}, "rpc_url"),
    ({"rpc_url": "http://a b"}, "rpc_url"),
    ({"rpc_url": None}, "rpc_url"),
    ({"rpc_url": "http://[::1"}, "rpc_url"),
    ({"program_id": "x"}, "program_id"),
    ({"program_id": b"x"}, "program_id"),
    ({"program_id": "z" * 44}, "program_id"),
    ({"wallet": "absent.json"}, "wallet"),
    ({"wallet": 7}, "wallet"),
    ({"commitment": "sure"}, "commitment"),
    ({"priority_microlamports": -1}, "priority_microlamports"),
    ({"priority_microlamports": True}, "priority_microlamports"),
    ({"anchor_mode": "tape"}, "anchor_mode"),
    ({"root_of": "rows"}, "root_of"),
    ({"creator": "me"}, "creator"),
]


@pytest.mark.parametrize(("changed", "word"), WRONG)
def test_wrong_setting_is_refused_by_name(tmp_path: Path, changed: dict[str, Any], word: str) -> None:
    wallet = make_wallet(tmp_path, None)
    settings = {"rpc_url": "http://localhost:8899", "program_id": PROGRAM_ID, "wallet": wallet.file}
    with pytest.raises(InvalidArgument, match=word):
        Solana(**{**settings, **changed})


def test_settings_show_no_secret_and_do_not_change(tmp_path: Path) -> None:
    wallet = make_wallet(tmp_path, None)
    chain = Solana("https://user:word@host.example/key-123?token=456", PROGRAM_ID, wallet.file)
    shown = repr(chain) + str(chain)
    for secret in ("word", "123", "456", "id.json", str(list(bytes(wallet.key)))[1:20]):
        assert secret not in shown
    assert "https://host.example" in shown
    with pytest.raises(dataclasses.FrozenInstanceError):
        chain.commitment = "finalized"  # type: ignore[misc]
    with pytest.raises(InvalidArgument):
        pickle.dumps(chain)


def test_chain_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    chain = Solana("http://localhost:8899", PROGRAM_ID, make_wallet(tmp_path, None).file)
    with pytest.raises(InvalidArgument, match="chain is a list"):
        VectorStore(tmp_path / "s", chain=["x"])
    with pytest.raises(InvalidArgument, match="chain is for a store on this machine"):
        VectorStore(nodes=["127.0.0.1:1"], chain=chain)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("way", ["snapshot", "archive"])
def test_store_that_came_back_has_the_same_name_and_root_on_the_chain(tmp_path: Path, vectors: Vectors, way: str) -> None:
    target = Directory(tmp_path / "archive", archive_public=True)

    def state(store: VectorStore) -> dict[str, Any]:
        return _native.chain_root(store._native, "default", "frames", None)  # type: ignore[arg-type]

    with VectorStore(tmp_path / "s", archive=[target] if way == "archive" else None) as store:
        for batch in range(6):
            store.insert(vectors(3, seed=batch), ids=[f"{batch}-{row}" for row in range(3)])
            if batch == 2:
                store.flush()
                store.delete(ids=["1-1"])
        store.update("3-1", metadata={"n": 1})
        before = state(store)
        if way == "archive":
            store.archive("default")
        else:
            store.snapshot(tmp_path / "snapshot")
    assert before["leaf_count"] == 8
    back = {"from_": [target]} if way == "archive" else {"source": tmp_path / "snapshot"}
    with VectorStore.restore(path=tmp_path / "back", **back) as store:
        assert state(store) == before
