"""A Solana RPC node on loopback for tests: JSON-RPC over HTTP in front of the real virtual machine (LiteSVM, PyPI `solders`).

usage: python tests/peers/solana_rpc.py [--program ADDRESS=FILE.so ...] [--slot-ms 50]
It prints {"port": N} and serves until it is killed.

Time goes in slots of --slot-ms; a transaction is confirmed after one slot, finalized after 32; a blockhash lives 150 slots. The
methods `test...` are no part of Solana's: they make the node fail as nodes do. `SolanaNode` starts one and is a client of it.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import itertools
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from solders.account import Account
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

Json = Any
FIRST_SLOT, BLOCKHASH_SLOTS, FINAL_SLOTS = 1000, 150, 32
TRANSACTION_BYTES_MAX = 1232
PREFLIGHT_FAILED, BAD_SIGNATURE, BAD_PARAMETERS, NO_METHOD = -32002, -32003, -32602, -32601


class RpcError(Exception):
    """What goes into the member `error` of an answer."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


@dataclass
class Landed:
    """A transaction that the chain took."""

    slot: int
    error: Json
    log: list[str]
    units: int
    raw: bytes
    unix_timestamp: int
    memo: str | None


@dataclass
class Fault:
    """How the next calls of a method fail: an HTTP status, or a JSON-RPC error, or silence."""

    count: int
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def _error_json(error: Any) -> Json:
    if type(error).__name__ != "TransactionErrorInstructionError":
        return str(error).rpartition(".")[2]
    inner = error.err
    custom = {"Custom": inner.code} if type(inner).__name__ == "InstructionErrorCustom" else str(inner).rpartition(".")[2]
    return {"InstructionError": [error.index, custom]}


def _memo_of(log: list[str]) -> str | None:
    """The memo of a transaction as nodes list it: ``[bytes] text``."""
    for line, text in itertools.pairwise(log):
        if line.startswith("Program log: Memo (len "):
            length = line.removeprefix("Program log: Memo (len ").partition(")")[0]
            return f"[{length}] {text.removeprefix('Program log: ')}"
    return None


class Chain:
    """The virtual machine, the slots and what happened."""

    def __init__(self, slot_ms: int) -> None:
        self.svm = LiteSVM().with_sysvars().with_blockhash_check(False)
        self.slot_ms = slot_ms
        self.started = time.monotonic()
        self.skipped_slots = 0
        self.current = -1
        self.blockhashes: dict[str, int] = {}
        self.history: dict[str, Landed] = {}
        self.touched: dict[str, list[str]] = {}
        self.lost = 0  # transactions that will be accepted and forgotten

    def slot(self) -> int:
        now = FIRST_SLOT + self.skipped_slots + int((time.monotonic() - self.started) * 1000 / self.slot_ms)
        if now != self.current:
            self.current = now
            self.svm.warp_to_slot(now)
            clock = self.svm.get_clock()
            clock.unix_timestamp = int(time.time())
            self.svm.set_clock(clock)
            self.svm.expire_blockhash()
            self.blockhashes[str(self.svm.latest_blockhash())] = now
            self.blockhashes = {text: slot for text, slot in self.blockhashes.items() if slot >= now - BLOCKHASH_SLOTS}
        return now

    def status(self, signature: str) -> Json:
        landed = self.history.get(signature)
        if landed is None:
            return None
        age = self.slot() - landed.slot
        word = "finalized" if age >= FINAL_SLOTS else "confirmed" if age >= 1 else "processed"
        return {
            "slot": landed.slot,
            "confirmations": None if word == "finalized" else age,
            "err": landed.error,
            "status": {"Ok": None} if landed.error is None else {"Err": landed.error},
            "confirmationStatus": word,
        }

    def decode(self, text: str, options: Json) -> tuple[VersionedTransaction, bytes]:
        if (options or {}).get("encoding") != "base64":
            raise RpcError(BAD_PARAMETERS, "this node reads base64 alone")
        try:
            raw = base64.b64decode(text, validate=True)
            transaction = VersionedTransaction.from_bytes(raw)
        except Exception as error:
            raise RpcError(BAD_PARAMETERS, f"failed to deserialize transaction: {error}") from None
        if len(raw) > TRANSACTION_BYTES_MAX:
            raise RpcError(BAD_PARAMETERS, f"decoded too large: {len(raw)} bytes")
        return transaction, raw

    def simulate(self, text: str, options: Json = None) -> Json:
        transaction, _ = self.decode(text, options)
        self.slot()
        value: dict[str, Json] = {"err": None, "logs": [], "unitsConsumed": 0, "accounts": None, "returnData": None}
        if not options.get("replaceRecentBlockhash") and str(transaction.message.recent_blockhash) not in self.blockhashes:
            return value | {"err": "BlockhashNotFound"}
        self.svm = self.svm.with_sigverify(bool(options.get("sigVerify")))
        result = self.svm.simulate_transaction(transaction)
        self.svm = self.svm.with_sigverify(True)
        meta = result.meta()
        error = _error_json(result.err()) if hasattr(result, "err") else None
        return value | {"err": error, "logs": meta.logs(), "unitsConsumed": meta.compute_units_consumed()}

    def send(self, text: str, options: Json = None) -> str:
        transaction, raw = self.decode(text, options)
        slot = self.slot()
        try:
            transaction.verify_and_hash_message()
        except Exception:
            raise RpcError(BAD_SIGNATURE, "Transaction signature verification failure") from None
        signature = str(transaction.signatures[0])
        if signature in self.history:
            self.refuse("AlreadyProcessed")
        if str(transaction.message.recent_blockhash) not in self.blockhashes:
            self.refuse("BlockhashNotFound")
        if not (options or {}).get("skipPreflight"):
            simulated = self.svm.simulate_transaction(transaction)
            if hasattr(simulated, "err"):
                self.refuse(_error_json(simulated.err()), simulated.meta().logs())
        if self.lost > 0:
            self.lost -= 1
            return signature
        result = self.svm.send_transaction(transaction)
        meta = result.meta() if hasattr(result, "err") else result
        error = _error_json(result.err()) if hasattr(result, "err") else None
        memo = _memo_of(meta.logs())
        units = meta.compute_units_consumed()
        self.history[signature] = Landed(slot, error, meta.logs(), units, raw, int(time.time()), memo)
        for key in transaction.message.account_keys:
            self.touched.setdefault(str(key), []).append(signature)
        return signature

    @staticmethod
    def refuse(error: Json, log: list[str] | None = None) -> None:
        words = {"BlockhashNotFound": "Blockhash not found", "AlreadyProcessed": "This transaction has already been processed"}
        message = words.get(error) if isinstance(error, str) else f"Error processing Instruction: {json.dumps(error)}"
        data = {"err": error, "logs": log or [], "unitsConsumed": 0, "accounts": None}
        raise RpcError(PREFLIGHT_FAILED, f"Transaction simulation failed: {message or error}", data)

    def account(self, key: str) -> Json:
        account = self.svm.get_account(Pubkey.from_string(key))
        if account is None or (account.lamports == 0 and not account.data):
            return None
        return {
            "lamports": account.lamports,
            "owner": str(account.owner),
            "data": [base64.b64encode(bytes(account.data)).decode(), "base64"],
            "executable": account.executable,
            "rentEpoch": account.rent_epoch,
            "space": len(account.data),
        }

    def airdrop(self, key: str, lamports: int) -> str:
        slot = self.slot()
        self.svm.airdrop(Pubkey.from_string(key), lamports)
        signature = str(Signature(hashlib.sha512(f"{key} {lamports} {time.time()}".encode()).digest()))
        self.history[signature] = Landed(slot, None, [], 0, b"", int(time.time()), None)
        return signature

    def signatures_of(self, key: str, options: Json = None) -> Json:
        options = options or {}
        signatures = list(reversed(self.touched.get(key, [])))
        if "before" in options:
            signatures = signatures[signatures.index(options["before"]) + 1 :]
        out = []
        for signature in signatures[: options.get("limit", 1000)]:
            landed, status = self.history[signature], self.status(signature)
            one = {"signature": signature, "slot": landed.slot, "err": landed.error, "memo": landed.memo}
            out.append(one | {"blockTime": landed.unix_timestamp, "confirmationStatus": status["confirmationStatus"]})
        return out

    def transaction(self, signature: str) -> Json:
        landed = self.history.get(signature)
        if landed is None:
            return None
        status = {"Ok": None} if landed.error is None else {"Err": landed.error}
        meta = {"err": landed.error, "fee": 5000, "logMessages": landed.log, "computeUnitsConsumed": landed.units}
        meta |= {"preBalances": [], "postBalances": [], "innerInstructions": [], "status": status}
        raw = [base64.b64encode(landed.raw).decode(), "base64"]
        return {"slot": landed.slot, "blockTime": landed.unix_timestamp, "transaction": raw, "version": 0, "meta": meta}


class Methods:
    """The methods of the node, by name."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.faults: dict[str, Fault] = {}
        self.calls: dict[str, int] = {}
        self.table: dict[str, Callable[..., Json]] = {
            "getHealth": lambda: "ok",
            "getVersion": lambda: {"solana-core": "2.3.0", "feature-set": 0},
            "getGenesisHash": lambda: "4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn",
            "getSlot": lambda _=None: chain.slot(),
            "getBlockHeight": lambda _=None: chain.slot(),
            "getLatestBlockhash": self.latest_blockhash,
            "getBalance": lambda key, _=None: self.value(chain.svm.get_balance(Pubkey.from_string(key)) or 0),
            "getMinimumBalanceForRentExemption": lambda size, _=None: chain.svm.minimum_balance_for_rent_exemption(size),
            "getAccountInfo": lambda key, _=None: self.value(chain.account(key)),
            "getMultipleAccounts": lambda keys, _=None: self.value([chain.account(key) for key in keys]),
            "requestAirdrop": lambda key, lamports, _=None: chain.airdrop(key, lamports),
            "sendTransaction": chain.send,
            "simulateTransaction": lambda text, options=None: self.value(chain.simulate(text, options)),
            "getSignatureStatuses": lambda all_, _=None: self.value([chain.status(one) for one in all_]),
            "getTransaction": lambda signature, _=None: chain.transaction(signature),
            "getSignaturesForAddress": chain.signatures_of,
            "getFeeForMessage": lambda _message, _=None: self.value(5000),
            "testFail": self.fail,
            "testLose": self.lose,
            "testSkipSlots": self.skip_slots,
            "testCalls": lambda: self.calls,
            "testSetAccount": self.set_account,
        }

    def value(self, value: Json) -> Json:
        return {"context": {"slot": self.chain.slot(), "apiVersion": "2.3.0"}, "value": value}

    def latest_blockhash(self, _: Json = None) -> Json:
        slot = self.chain.slot()
        blockhash = str(self.chain.svm.latest_blockhash())
        return self.value({"blockhash": blockhash, "lastValidBlockHeight": slot + BLOCKHASH_SLOTS})

    def fail(self, method: str, count: int, status: int, body: str = "", headers: dict[str, str] | None = None) -> Json:
        """The next `count` calls of `method` are answered so; status 0 = the connection ends."""
        self.faults[method] = Fault(count, status, body, headers or {})
        return True

    def lose(self, count: int) -> Json:
        self.chain.lost = count
        return True

    def skip_slots(self, count: int) -> Json:
        self.chain.skipped_slots += count
        return self.chain.slot()

    def set_account(self, key: str, owner: str, data: str, lamports: int = 10**9) -> Json:
        account = Account(lamports, base64.b64decode(data), Pubkey.from_string(owner))
        self.chain.svm.set_account(Pubkey.from_string(key), account)
        return True

    def fault_of(self, method: str) -> Fault | None:
        self.calls[method] = self.calls.get(method, 0) + 1
        fault = self.faults.get(method)
        if fault is None or fault.count == 0:
            return None
        fault.count -= 1
        return fault

    def answer(self, question: Json) -> Json:
        out = {"jsonrpc": "2.0", "id": question.get("id")}
        try:
            method = self.table.get(question.get("method"))
            if method is None:
                raise RpcError(NO_METHOD, "Method not found")
            return out | {"result": method(*(question.get("params") or []))}
        except RpcError as error:
            data = {} if error.data is None else {"data": error.data}
            return out | {"error": {"code": error.code, "message": error.message, **data}}
        except Exception as error:
            return out | {"error": {"code": BAD_PARAMETERS, "message": f"{type(error).__name__}: {error}"}}


def _handler(methods: Methods) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Tests read stdout."""

        def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if isinstance(question, list):
                return self.reply(200, json.dumps([methods.answer(one) for one in question]).encode(), {})
            fault = methods.fault_of(question.get("method", ""))
            if fault is None:
                return self.reply(200, json.dumps(methods.answer(question)).encode(), {})
            if fault.status != 0:
                return self.reply(fault.status, fault.body.encode(), fault.headers)
            self.close_connection = True
            return None

    return Handler


class SolanaNode:
    """A node in a process of its own, and the calls that tests make of it."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = process

    def call(self, method: str, *parameters: Json) -> Json:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            answer = json.loads(reply.read())
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def account(self, key: str) -> bytes | None:
        value = self.call("getAccountInfo", key, {"encoding": "base64"})["value"]
        return None if value is None else base64.b64decode(value["data"][0])


@contextlib.contextmanager
def running_node(programs: dict[str, str] | None = None, slot_ms: int = 50) -> Iterator[SolanaNode]:
    """A node on a free port of loopback; `programs`: address -> file."""
    arguments = [sys.executable, __file__, "--slot-ms", str(slot_ms)]
    for address, file in (programs or {}).items():
        arguments += ["--program", f"{address}={file}"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield SolanaNode(json.loads(process.stdout.readline())["port"], process)
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", action="append", default=[], metavar="ADDRESS=FILE")
    parser.add_argument("--slot-ms", type=int, default=50)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    chain = Chain(options.slot_ms)
    for program in options.program:
        address, _, file = program.partition("=")
        chain.svm.add_program_from_file(Pubkey.from_string(address), file)
    server = HTTPServer(("127.0.0.1", options.port), _handler(Methods(chain)))
    print(json.dumps({"port": server.server_port}), flush=True)
    chain.slot()
    server.serve_forever()


if __name__ == "__main__":
    main()
