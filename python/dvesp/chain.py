"""Where the roots of a store go: `Solana`, what `VectorStore(chain=...)` takes; and what the chain says of a store's data."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from . import _native
from . import arguments as check
from .errors import InvalidArgument
from .keyring import Keyring

__all__ = ["ChainComparison", "Solana", "attach", "check_chain", "compare", "connect"]

COMMITMENTS = ("processed", "confirmed", "finalized")
ANCHOR_MODES = ("program", "memo", "off")
ROOTS_OF = ("frames", "ids")
PRIORITY_MAX = 10**12
_KEY = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")


@dataclass(frozen=True)
class Solana:
    """A Solana cluster that keeps the Merkle root of each collection, for ``VectorStore(path, chain=Solana(...))``.

    Roots follow writes in the background: a write never waits for the chain. Each post costs 5,000 lamports, the first of a
    collection also what keeps its record alive (2,074,080 lamports, given back when the record is closed).

    Attributes:
        rpc_url: ``http://`` or ``https://`` address of an RPC node. What is behind the host may be a secret of the service
            and is not shown.
        program_id: of the program ``dvesp_root`` (``dvesp chain deploy`` prints it), base58.
        wallet: who pays and signs: a file (the Solana CLI's JSON, or base58), or a `Keyring` made of one. Not shown.
        commitment: when a post counts as done: ``"processed"``, ``"confirmed"`` (about 0.4 s), ``"finalized"`` (about 13 s).
        priority_microlamports: a fee for each compute unit, in millionths of a lamport; 0: none.
        anchor_mode: ``"program"``; ``"memo"``: roots as memos, where the program is not deployed; ``"off"``: nothing is posted.
        root_of: ``"frames"``: over every batch that was ever written, so that single records can be proven; ``"ids"``: over
            the sorted ids that live.
        creator: whose records these are when the wallet is another one's, after the authority was transferred; base58.

    Raises:
        InvalidArgument: names the field that is wrong.

    Example:
        >>> chain = Solana("http://localhost:8899", program_id, wallet="~/.config/solana/id.json")
        >>> store = VectorStore("./my-store", chain=chain)
    """

    rpc_url: str
    program_id: str
    wallet: str | os.PathLike[str] | Keyring = field(repr=False)
    commitment: str = "confirmed"
    priority_microlamports: int = 0
    anchor_mode: str = "program"
    root_of: str = "frames"
    creator: str | None = None
    _native: _native.Chain = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Checks everything that can be checked without asking the chain, and reads the wallet."""
        check.check_choice(self.root_of, "root_of", ROOTS_OF)
        wallet = self.wallet if isinstance(self.wallet, Keyring) else _wallet_file(self.wallet)
        settings = (self.commitment, self.priority_microlamports, self.anchor_mode)
        native = connect(self.rpc_url, self.program_id, *settings, wallet=wallet, creator=self.creator)
        object.__setattr__(self, "wallet", wallet)
        object.__setattr__(self, "_native", native)

    def __repr__(self) -> str:
        shown = f"{_place(self.rpc_url)!r}, {self.program_id!r}, commitment={self.commitment!r}"
        return f"Solana({shown}, anchor_mode={self.anchor_mode!r}, root_of={self.root_of!r})"

    def __reduce__(self) -> Any:
        raise InvalidArgument("a Solana is not pickled: its wallet would be written")


def _wallet_file(path: Any) -> Keyring:
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidArgument(f"wallet is a {type(path).__name__} but must be the path of a wallet's file, or a Keyring of one")
    try:
        return Keyring.from_wallet(os.path.expanduser(path))
    except InvalidArgument as error:
        raise InvalidArgument(f"wallet: {str(error).removeprefix('keyring: ')}") from None


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _check_url(url: Any) -> str:
    is_url = isinstance(url, str) and url.isascii() and url.isprintable() and " " not in url
    try:
        parts = urlsplit(url) if is_url else None
        is_url = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise InvalidArgument("rpc_url must be an http:// or https:// address such as 'http://localhost:8899'")
    return str(url)


def connect(
    rpc_url: Any,
    program_id: Any,
    commitment: Any = "confirmed",
    priority_microlamports: Any = 0,
    anchor_mode: Any = "program",
    *,
    wallet: Keyring | None = None,
    creator: Any = None,
) -> _native.Chain:
    """A client of the chain; nobody is asked yet.

    Args:
        wallet: who signs; None: for reading.
        creator: whose records are meant, base58; None: the wallet's.

    Raises:
        InvalidArgument: names the argument that is wrong.
    """
    url = _check_url(rpc_url)
    for name, key in (("program_id", program_id), ("creator", creator)):
        if (key is not None or name == "program_id") and not (isinstance(key, str) and _KEY.fullmatch(key)):
            raise InvalidArgument(f"{name} is {key!r} but must be a Solana address: 32 bytes in base58")
    check.check_choice(commitment, "commitment", COMMITMENTS)
    check.check_choice(anchor_mode, "anchor_mode", ANCHOR_MODES)
    priority = check.check_int(priority_microlamports, "priority_microlamports", 0, PRIORITY_MAX)
    secret = None if wallet is None else wallet._secret
    return _native.Chain(url, program_id, commitment, priority, anchor_mode, secret, creator)


def check_chain(chain: Any, nodes: Any) -> None:
    """Whether ``chain`` is one, and the store one that can have it.

    Raises:
        InvalidArgument: no `Solana`, or the store is a cluster.
    """
    if chain is None:
        return
    if not isinstance(chain, Solana):
        raise InvalidArgument(f"chain is a {type(chain).__name__} but must be a dvesp.Solana(rpc_url, program_id, wallet)")
    if nodes is not None:
        raise InvalidArgument("chain is for a store on this machine (path=...): a cluster's nodes do not post roots")


def attach(native: _native.Store, chain: Solana | None) -> None:
    """Lets the roots of an open store follow its writes to ``chain``; None, or mode ``"off"``: nowhere."""
    if chain is not None and chain.anchor_mode != "off":
        _native.chain_attach(native, chain._native, chain.root_of)


@dataclass(frozen=True)
class ChainComparison:
    """A collection here against its root on the chain.

    Attributes:
        collection: its name.
        state: ``"same"``; ``"behind"``: the chain has an earlier state of just this data; ``"missing"``: nothing was posted;
            ``"ahead"``: the chain has more batches than there are here; ``"differs"``: other data.
        local_root, local_leaf_count: computed from the store.
        chain_root, chain_leaf_count, sequence, slot, unix_timestamp: of the chain; None when nothing was posted.
        address: the account that says so.
    """

    collection: str
    state: str
    local_root: str
    local_leaf_count: int
    chain_root: str | None
    chain_leaf_count: int | None
    sequence: int | None
    slot: int | None
    unix_timestamp: int | None
    address: str

    def __bool__(self) -> bool:
        return self.state == "same"

    def sentence(self) -> str:
        """What differs, in words."""
        here = f"{self.collection}: here root {self.local_root} over {self.local_leaf_count} leaves"
        if self.state == "missing":
            return f"{here}; on the chain nothing was ever posted at {self.address}"
        there = f"on the chain root {self.chain_root} over {self.chain_leaf_count} leaves"
        there += f", sequence {self.sequence}, slot {self.slot}"
        words = {
            "same": "the same",
            "behind": f"an earlier state: the newest {self.local_leaf_count - (self.chain_leaf_count or 0)} are not posted yet",
            "ahead": "a later state: this store is an older copy, or another one posts under its name",
            "differs": "other data",
        }
        return f"{here}; {there}: {words[self.state]}"


def compare(native: _native.Store, collection: str, chain: _native.Chain, root_of: str = "frames") -> ChainComparison:
    """Computes a collection's root from what the store holds and compares it with the chain.

    Raises:
        CollectionNotFound, Corruption. Unavailable: the chain cannot be reached.
    """
    local = _native.chain_root(native, collection, root_of, None)
    there = chain.read(local["collection_id"])
    local_root, leaves = local["root"].hex(), local["leaf_count"]
    state = "missing"
    if there is not None and there["sequence"] > 0:
        state = "differs"
        if (there["root"], there["leaf_count"]) == (local_root, leaves):
            state = "same"
        elif root_of == "frames" and there["leaf_count"] > leaves:
            state = "ahead"
        elif root_of == "frames":
            earlier = _native.chain_root(native, collection, root_of, there["leaf_count"])["earlier_root"]
            state = "behind" if earlier is not None and earlier.hex() == there["root"] else "differs"
    posted = there if there is not None and there["sequence"] > 0 else {}
    return ChainComparison(
        collection=collection,
        state=state,
        local_root=local_root,
        local_leaf_count=leaves,
        chain_root=posted.get("root"),
        chain_leaf_count=posted.get("leaf_count"),
        sequence=posted.get("sequence"),
        slot=posted.get("slot"),
        unix_timestamp=posted.get("unix_timestamp"),
        address=chain.address(local["collection_id"]),
    )
