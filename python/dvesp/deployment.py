"""What the arguments of a store may ask for; what they may not is refused by name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import _native
from .arguments import check_int, check_path
from .errors import InvalidArgument, Sealed
from .keyring import Keyring
from .results import DeviceInfo

__all__ = [
    "TLS",
    "check_devices",
    "check_fragments",
    "check_replicas",
    "connect",
    "device_info",
    "device_name",
    "device_place",
    "device_tls",
    "is_on_node",
]


def check_fragments(privacy: Any, fragments: Any, is_sealed: bool) -> tuple[int, int] | None:
    """How a collection is sealed: ``(k, n)``, or None for the planner's choice and for plain ones.

    Raises:
        InvalidArgument: no such privacy; fragments that are no pair of int, or of a plain collection.
        Sealed: a sealed collection in a plain store.
    """
    if privacy not in ("plain", "sealed"):
        raise InvalidArgument(f"privacy is {privacy!r} but must be 'plain' or 'sealed'")
    if privacy == "sealed" and not is_sealed:
        raise Sealed('privacy="sealed" needs a store with devices= and keyring=')
    if isinstance(fragments, str) and fragments == "auto":
        return None
    if not is_sealed:
        raise InvalidArgument(f"fragments is {fragments!r}, but only a sealed collection has fragments: leave it at 'auto'")
    is_pair = isinstance(fragments, (tuple, list)) and len(fragments) == 2
    if not is_pair or any(isinstance(part, bool) or not isinstance(part, int) for part in fragments):
        raise InvalidArgument(f"fragments is {fragments!r} but must be 'auto' or (k, n) such as (3, 5)")
    k, n = fragments
    if not 2 <= k <= n <= 255:
        raise InvalidArgument(f"fragments is {fragments!r} but (k, n) must have 2 <= k <= n <= 255")
    return k, n


def check_replicas(replication_factor: Any, is_local: bool) -> int:
    """The number of replicas, 0 = the cluster's choice.

    Raises:
        InvalidArgument: no int above 0, or more than one replica on one machine.
    """
    if replication_factor is None:
        return 0
    if isinstance(replication_factor, bool) or not isinstance(replication_factor, int) or replication_factor < 1:
        raise InvalidArgument(f"replication_factor is {replication_factor!r} but must be an int of at least 1, or None")
    if replication_factor > 1 and is_local:
        raise InvalidArgument(f"replication_factor is {replication_factor}, but a store on one machine keeps one replica")
    return replication_factor


def open_sealed(path: str | None, nodes: Any, devices: Any, keyring: Any, tls: Any = None) -> _native.Store:
    """A sealed store: made, opened, or brought back from its devices.

    Raises:
        InvalidArgument: no path, nodes too, devices that are no list of different places, no Keyring.
        Sealed: no key, or the wrong one. Unavailable: fewer devices than are needed. IntegrityError: they are of another store.
    """
    if nodes is not None:
        raise InvalidArgument(
            "devices, keyring and nodes are given: devices of a sealed store may lie on nodes, so leave nodes out and write "
            'devices=["node1:7000", ...]'
        )
    if devices is None:
        raise InvalidArgument(
            "keyring is given without devices or archive: a sealed store needs devices=[...], where its fragments lie, and an "
            "archived one archive=[...]"
        )
    places = check_devices(path, devices)
    files = device_tls(places, tls)
    if keyring is None:
        raise Sealed("devices are given without keyring: a sealed store needs keyring=Keyring.from_passphrase(...) or the like")
    if not isinstance(keyring, Keyring):
        raise InvalidArgument(f"keyring is a {type(keyring).__name__} but must be a dvesp.Keyring")
    assert path is not None  # check_devices has refused it
    return _native.Store(path, places, keyring._secret, files)


def check_devices(path: str | None, devices: Any) -> list[str]:
    """Where a sealed store's devices are: directories, and nodes as ``node://HOST:PORT``, each of its own.

    Raises:
        InvalidArgument: no path, no list of places, one that is given twice or is the store's.
    """
    if isinstance(devices, (str, bytes)) or not isinstance(devices, Iterable):
        raise InvalidArgument(
            f'devices is {devices!r} but must be a list of directories and nodes such as ["./d1", "node1:7000"]'
        )
    places = [device_place(device, f"devices: element {position}") for position, device in enumerate(devices)]
    if path is None:
        raise InvalidArgument("devices are given without path: a sealed store keeps its encrypted index in a directory")
    real = [one.partition("#")[0] if is_on_node(one) else os.path.realpath(one) for one in places]
    if len(set(real)) != len(real) or os.path.realpath(path) in real:
        raise InvalidArgument("devices: every device is a directory or a node of its own, and not the store's directory")
    return places


_ON_NODE = re.compile(
    r"(?:https://)?(?P<address>(?:\[[0-9A-Fa-f:.]+\]|[^\[\]/:#\s]+):[0-9]{1,5})(?P<choice>#new|#[0-9a-f]{32})?"
)


def device_place(device: Any, field: str = "device") -> str:
    """An entry of a list of devices as native code takes it: a directory as it is, ``HOST:PORT`` as ``node://HOST:PORT``.

    What has a slash (but for ``https://`` in front), is a path object, or is there as a directory, is a directory.

    Raises:
        InvalidArgument: neither a path nor an address.
    """
    text = check_path(device, field)
    if not isinstance(device, str):
        return text
    found = _ON_NODE.fullmatch(text)
    if found is not None and (text.startswith("https://") or not os.path.isdir(text)):
        if not 1 <= int(found["address"].rpartition(":")[2]) <= 65_535:
            raise InvalidArgument(f"{field} is {text!r}, but a port is 1 to 65535; a directory of that name is './{text}'")
        return f"{_PREFIX}{found['address']}{found['choice'] or ''}"
    if "://" in text:
        raise InvalidArgument(f"{field} is {text!r} but must be a directory, or a node as HOST:PORT or https://HOST:PORT")
    return text


_PREFIX = "node://"


def device_name(native: _native.Store | _native.StoreKeys, given: Any, field: str) -> str:
    """A device as native code finds it: its number as digits, of the place or the number that its owner names.

    Raises:
        InvalidArgument: neither a number nor a place. A place that is no device's is given back as it is.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        return str(check_int(given, field, 1, 255))
    place = device_place(given, field)
    if not is_on_node(place):
        for device in native.devices():
            if not is_on_node(device["place"]) and os.path.realpath(device["place"]) == os.path.realpath(place):
                return str(device["number"])
    return place


def device_info(told: dict[str, Any]) -> DeviceInfo:
    """What native code says of a device, with its place as users write it."""
    return DeviceInfo(**{**told, "place": told["place"].removeprefix(_PREFIX)})


def is_on_node(place: str) -> bool:
    """Whether a place of `device_place` is a node."""
    return place.startswith(_PREFIX)


def device_tls(places: list[str], tls: Any) -> tuple[str, str, str] | None:
    """The files that nodes are shown, found as `connect` finds them; None: plain HTTP, or all devices are directories.

    Raises:
        InvalidArgument: a wrong ``tls``, or one with directories alone; plain HTTP to another machine.
    """
    addresses = [place.removeprefix(_PREFIX).partition("#")[0] for place in places if is_on_node(place)]
    if not addresses:
        if tls is not None:
            raise InvalidArgument("tls is for talking to nodes, and all devices are directories: leave it out")
        return None
    return _shown(addresses, tls, "devices")


def check_nodes(nodes: Any) -> list[str]:
    """Addresses of nodes as a list of ``HOST:PORT``.

    Raises:
        InvalidArgument: no list of str, empty, or an address without a port.
    """
    if isinstance(nodes, str) or not isinstance(nodes, Iterable):
        raise InvalidArgument(f'nodes is {nodes!r} but must be a list of addresses such as ["node1:7000", "node2:7000"]')
    addresses = list(nodes)
    if not addresses:
        raise InvalidArgument("nodes is empty: give the address of at least one node, such as node1:7000")
    for position, address in enumerate(addresses):
        if not isinstance(address, str):
            raise InvalidArgument(f"nodes: element {position} is {address!r} but must be a str such as 'node1:7000'")
        if not address.rpartition(":")[0]:
            raise InvalidArgument(f"nodes: {address!r} has no port; write HOST:PORT, such as node1:7000")
    return addresses


def connect(nodes: Any, tls: Any, api_key: Any) -> _native.RemoteStore:
    """A client of the cluster behind ``nodes``; no node is asked yet.

    Args:
        tls: a `TLS`, or None: ``DVESP_TLS_CA``, ``_CERT`` and ``_KEY``, then ``~/.config/dvesp/{ca,cert,key}.pem``; when there
            are none, plain HTTP, for loopback addresses alone.

    Raises:
        InvalidArgument: wrong addresses or files; plain HTTP to another machine.
    """
    addresses = check_nodes(nodes)
    if api_key is not None:
        raise InvalidArgument("api_key is for REST; the native client shows a certificate: give tls=TLS(ca, cert, key)")
    return _native.RemoteStore(addresses, _shown(addresses, tls, "nodes"))


def _shown(addresses: list[str], tls: Any, field: str) -> tuple[str, str, str] | None:
    if tls is not None and not isinstance(tls, TLS):
        raise InvalidArgument(f"tls is {tls!r} but must be a dvesp.TLS(ca=..., cert=..., key=...)")
    found = tls or TLS.found()
    if found is not None:
        return found.ca, found.cert, found.key
    far = [address for address in addresses if not _is_loopback(address)]
    if far:
        raise InvalidArgument(
            f"{field}: {far[0]!r} is another machine, and there is no certificate to show it: give tls=TLS(ca, cert, key) or "
            "set DVESP_TLS_CA, DVESP_TLS_CERT and DVESP_TLS_KEY (`dvesp ca` makes them)"
        )
    return None


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


@dataclass(frozen=True)
class TLS:
    """The PEM files that a client shows to nodes and trusts them by.

    Attributes:
        ca: the organisation's CA.
        cert, key: this client's certificate and its private key.
    """

    ca: str
    cert: str
    key: str

    def __post_init__(self) -> None:
        """Makes texts of paths; refuses files that are not there."""
        for field in ("ca", "cert", "key"):
            path = check_path(getattr(self, field), f"tls.{field}")
            if not os.path.isfile(path):
                raise InvalidArgument(f"tls.{field}: there is no file {path!r}")
            object.__setattr__(self, field, path)

    @classmethod
    def found(cls) -> TLS | None:
        """The files that the environment or the user's configuration names; None when there are none."""
        named = [os.environ.get(f"DVESP_TLS_{name}") for name in ("CA", "CERT", "KEY")]
        if any(named):
            if not all(named):
                raise InvalidArgument("DVESP_TLS_CA, DVESP_TLS_CERT and DVESP_TLS_KEY belong together: set all three")
            return cls(*(name or "" for name in named))
        home = os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "dvesp")
        usual = [os.path.join(home, f"{name}.pem") for name in ("ca", "cert", "key")]
        return cls(*usual) if all(os.path.isfile(path) for path in usual) else None
