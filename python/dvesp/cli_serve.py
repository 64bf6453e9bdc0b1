"""``dvesp serve``: becomes the node binary, which travels in the wheel."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from .cli_common import Commands
from .deployment import TLS
from .errors import Unavailable
from .node_config import read_config

__all__ = ["add_commands", "node_arguments", "node_binary"]


def add_commands(commands: Commands) -> None:
    """Declares ``serve``."""
    example = "dvesp serve --data ./n1 --listen 127.0.0.1:7000 --join 127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002 --insecure"
    serve = commands.add("serve", _serve, "Run one node of a cluster; prints `ready HOST:PORT`.", example)
    serve.add_argument("--data", metavar="DIR", help="where the node keeps everything; created when absent")
    serve.add_argument("--listen", metavar="HOST:PORT", help="one port for REST, clients and nodes; port 0: any")
    serve.add_argument("--advertise", metavar="HOST:PORT", help="how the others reach it; default: --listen")
    serve.add_argument("--join", metavar="HOST:PORT,...", help="nodes of the cluster; empty nodes that share it found one")
    serve.add_argument("--node-id", metavar="NAME", help="default: the address")
    serve.add_argument("--role", choices=("storage", "coordinator", "edge"), help="default: storage")
    serve.add_argument("--device", metavar="DIR", help="keep fragments of sealed stores for others, in this directory")
    serve.add_argument("--config", metavar="FILE", help="a dvesp.toml; options on the command line win")
    serve.add_argument("--tls-ca", metavar="FILE", help="the organisation's CA; default: as for clients")
    serve.add_argument("--tls-cert", metavar="FILE")
    serve.add_argument("--tls-key", metavar="FILE")
    serve.add_argument("--tls-revocations", metavar="FILE", help="written by `dvesp ca revoke`; read again when it changes")
    serve.add_argument("--token-file", metavar="FILE", help="lines of bearer tokens that REST accepts")
    serve.add_argument("--snapshots", metavar="DIR", help="where snapshots go that REST asks for; default: it makes none")
    serve.add_argument("--log", choices=("text", "json"), help="how lines on stderr are written; default: text")
    serve.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="default: info")
    serve.add_argument(
        "--scrub-seconds", metavar="N", help="everything on the disk is read and checked this often; default: a day"
    )
    serve.add_argument("--insecure", action="store_true", help="plain HTTP without certificates, on loopback alone")


def node_binary() -> str:
    """The path of ``dvesp-node``.

    Raises:
        Unavailable: the package was built without cargo.
    """
    beside = [Path(sysconfig.get_path("scripts")), Path(sys.executable).parent]
    for directory in beside:
        if os.access(directory / "dvesp-node", os.X_OK):
            return str(directory / "dvesp-node")
    found = shutil.which("dvesp-node")
    if found is None:
        raise Unavailable(
            "dvesp-node is not installed: this package was built without cargo; install cargo 1.85 and build again"
        )
    return found


def _serve(options: argparse.Namespace) -> None:
    arguments = [node_binary(), *node_arguments(options)]
    sys.stdout.flush()
    os.execv(arguments[0], arguments)  # one process: signals and exit codes are the node's own


def node_arguments(options: argparse.Namespace) -> list[str]:
    """What ``dvesp-node`` is called with: the command line, then the file, then the certificates that clients use too.

    Raises:
        UsageError: the file of ``--config`` is wrong.
    """
    typed = {name: getattr(options, name) for name in _PASSED if getattr(options, name) is not None}
    is_insecure, filed = read_config(options.config) if options.config is not None else (False, {})
    if options.insecure:  # typed: it also wins over certificates in the file
        is_insecure, filed = True, {name: value for name, value in filed.items() if not name.startswith("tls_")}
    elif any(name in typed for name in _TLS):
        is_insecure = False
    given = filed | typed
    if not is_insecure and not any(name in given for name in _TLS):
        found = TLS.found()
        if found is not None:
            given |= {"tls_ca": found.ca, "tls_cert": found.cert, "tls_key": found.key}
    arguments = [text for name in _PASSED if name in given for text in ("--" + name.replace("_", "-"), given[name])]
    return [*arguments, "--insecure"] if is_insecure else arguments


_TLS = ("tls_ca", "tls_cert", "tls_key")
_PASSED = (
    *("data", "listen", "advertise", "join", "node_id", "role", "device"),
    *_TLS,
    *("tls_revocations", "token_file", "snapshots", "scrub_seconds", "log", "log_level"),
)
