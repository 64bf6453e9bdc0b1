"""The configuration file of a node, ``dvesp.toml``: which keys there are, of which type, and which options they become."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from .cli_common import UsageError

__all__ = ["read_config"]

_PATH, _TEXT, _LIST, _COUNT = "path", "text", "list", "count"
_ROLE, _FORMAT, _LEVEL = "role", "format", "level"
_CHOICES = {
    _ROLE: ("storage", "coordinator", "edge"),
    _FORMAT: ("text", "json"),
    _LEVEL: ("debug", "info", "warning", "error"),
}
_KEYS = {
    "node": {
        "data": _PATH,
        "listen": _TEXT,
        "advertise": _TEXT,
        "join": _LIST,
        "node_id": _TEXT,
        "role": _ROLE,
        "device": _PATH,
        "scrub_seconds": _COUNT,
    },
    "tls": {"ca": _PATH, "cert": _PATH, "key": _PATH, "revocations": _PATH},
    "log": {"format": _FORMAT, "level": _LEVEL},
    "rest": {"token_file": _PATH, "snapshots": _PATH},
}
_NAMES = {("tls", key): f"tls_{key}" for key in _KEYS["tls"]} | {("log", "format"): "log", ("log", "level"): "log_level"}


def read_config(path: str) -> tuple[bool, dict[str, str]]:
    """Reads a ``dvesp.toml``.

    Args:
        path: the file; paths in it are relative to its directory.

    Returns:
        Whether it says ``insecure = true``, and option -> value as ``dvesp-node`` takes them (``tls_ca`` for ``--tls-ca``).

    Raises:
        UsageError: no such file, no TOML, a key that does not exist or whose value has the wrong type; the key is named.
    """
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"--config: cannot read {path!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no TOML: {error}") from None
    is_insecure = table.pop("insecure", False)
    if not isinstance(is_insecure, bool):
        raise UsageError(f"{path}: insecure is {is_insecure!r} but must be true or false")
    options: dict[str, str] = {}
    for section, values in table.items():
        options |= _section(path, section, values)
    if is_insecure and any(name.startswith("tls_") for name in options):
        raise UsageError(f"{path}: insecure = true and the section [tls] exclude each other: remove one")
    return is_insecure, options


def _section(path: str, section: str, values: Any) -> dict[str, str]:
    if section not in _KEYS:
        raise UsageError(f"{path}: unknown key {section!r}; there are insecure and the sections {', '.join(_KEYS)}")
    if not isinstance(values, dict):
        raise UsageError(f"{path}: {section} is {values!r} but must be a section: write [{section}]")
    options: dict[str, str] = {}
    for key, value in values.items():
        kind = _KEYS[section].get(key)
        if kind is None:
            raise UsageError(f"{path}: unknown key {section}.{key}; [{section}] has {', '.join(_KEYS[section])}")
        text = _value(f"{path}: {section}.{key}", kind, value)
        options[_NAMES.get((section, str(key)), str(key))] = str(Path(path).parent / text) if kind == _PATH else text
    return options


def _value(where: str, kind: str, value: Any) -> str:
    if kind == _LIST:
        if not isinstance(value, list) or not value or not all(_is_text(one) and "," not in one for one in value):
            raise UsageError(f'{where} is {value!r} but must be a list of addresses such as ["node1:7000", "node2:7000"]')
        return ",".join(value)
    if kind == _COUNT:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
            raise UsageError(f"{where} is {value!r} but must be a whole number from 0")
        return str(value)
    if not _is_text(value):
        raise UsageError(f"{where} is {value!r} but must be a non-empty string")
    if value not in _CHOICES.get(kind, (value,)):
        raise UsageError(f"{where} is {value!r} but must be one of {', '.join(_CHOICES[kind])}")
    text: str = value
    return text


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value
