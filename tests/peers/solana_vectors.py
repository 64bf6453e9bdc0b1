"""Makes tests/vectors/solana.json with `solders`, Solana's own library: points of the curve, program addresses, transactions.

usage: .venv/bin/python tests/peers/solana_vectors.py      tests/python/test_chain_program.py compares the committed file
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

FILE = Path(__file__).resolve().parents[1] / "vectors" / "solana.json"
# y = 0, 1, p - 1, p, p + 1, 2^255 - 1, with both signs of x: where implementations differ.
_EDGES = ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f"]
_EDGES += ["ff" * 32, "ec" + "ff" * 31, "00" * 31 + "80", "01" + "00" * 30 + "80"]


def _address(numbers: random.Random) -> dict[str, Any]:
    program = Pubkey(numbers.randbytes(32))
    seeds = [numbers.randbytes(numbers.randrange(0, 33)) for _ in range(numbers.randrange(1, 6))]
    address, bump = Pubkey.find_program_address(seeds, program)
    return {"seeds": [seed.hex() for seed in seeds], "program": str(program), "address": str(address), "bump": bump}


def _transaction(numbers: random.Random, kind: int) -> dict[str, Any]:
    signers = [Keypair.from_seed(numbers.randbytes(32)) for _ in range(1 + kind % 3)]
    others = [Pubkey(numbers.randbytes(32)) for _ in range(4)]
    budget = [set_compute_unit_limit(numbers.randrange(1 << 20)), set_compute_unit_price(numbers.randrange(1 << 40))]
    instructions = budget[: kind % 3]
    for program in others[: 1 + kind % 2]:
        accounts = [AccountMeta(key.pubkey(), True, bool(numbers.randrange(2))) for key in signers[1:]]
        accounts += [AccountMeta(other, False, bool(numbers.randrange(2))) for other in others]
        numbers.shuffle(accounts)
        instructions.append(Instruction(program, numbers.randbytes(numbers.randrange(200)), accounts))
    if kind == 5:
        new = {"from_pubkey": signers[0].pubkey(), "to_pubkey": signers[1].pubkey(), "owner": others[0]}
        instructions.append(create_account(CreateAccountParams(lamports=12345, space=170, **new)))
    blockhash = Hash(numbers.randbytes(32))
    message = MessageV0.try_compile(signers[0].pubkey(), instructions, [], blockhash)
    transaction = VersionedTransaction(message, signers)
    return {
        "seeds": [signer.secret().hex() for signer in signers],
        "blockhash": str(blockhash),
        "instructions": [
            {
                "program": str(one.program_id),
                "data": bytes(one.data).hex(),
                "accounts": [[str(account.pubkey), account.is_signer, account.is_writable] for account in one.accounts],
            }
            for one in instructions
        ],
        "bytes": bytes(transaction).hex(),
        "signature": str(transaction.signatures[0]),
    }


def vectors() -> dict[str, Any]:
    """What the file holds."""
    numbers = random.Random(25)
    keys = [numbers.randbytes(32) for _ in range(40)] + [bytes.fromhex(edge) for edge in _EDGES]
    return {
        "on_curve": [[key.hex(), Pubkey(key).is_on_curve()] for key in keys],
        "addresses": [_address(numbers) for _ in range(24)],
        "transactions": [_transaction(numbers, kind) for kind in range(6)],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=0) + "\n", encoding="utf-8")
