"""``dvesp ca``: the organisation's CA and the certificates that its nodes and clients show each other."""

from __future__ import annotations

import argparse
from typing import Any

from . import _native
from .cli_common import Commands, UsageError, positive_int, print_json, print_table, say

__all__ = ["add_commands"]

DAYS = 90
DAYS_MAX = 825  # what TLS clients accept of a private CA


def add_commands(commands: Commands) -> None:
    """Declares ``ca init``, ``ca issue`` and ``ca show``."""
    example = "dvesp ca init --dir ./ca --organisation 'Example Ltd' && dvesp ca issue node1 --dir ./ca --host node1"
    ca = commands.group("ca", "Make the certificates of a cluster: without one of your CA nobody gets in.", example)
    init = ca.add("init", _init, "Make a CA: ca.pem for everybody, ca.key.pem for nobody else.", example.partition(" && ")[0])
    init.add_argument("--dir", required=True, metavar="DIR", help="where to; created when absent, nothing is overwritten")
    init.add_argument("--organisation", required=True, metavar="NAME", help="in every certificate's subject")

    example = "dvesp ca issue node1 --dir ./ca --host node1.example.org --host 10.0.0.1"
    issue = ca.add("issue", _issue, "Issue a certificate: <NAME>.crt.pem and <NAME>.key.pem.", example)
    issue.add_argument("name", metavar="NAME", help="of the node or the user; letters, digits and . _ - @")
    issue.add_argument("--dir", required=True, metavar="DIR", help="of the CA")
    issue.add_argument(
        "--host", action="append", default=[], metavar="HOST", help="DNS name or IP address of a node; default: NAME"
    )
    issue.add_argument("--role", choices=("node", "client"), help="default: node with --host, else client")
    issue.add_argument("--days", type=positive_int, default=DAYS, metavar="N", help=f"default: {DAYS}, at most {DAYS_MAX}")
    issue.add_argument("--out", metavar="DIR", help="where to; default: --dir")

    show = ca.add("show", _show, "Print what a certificate says.", "dvesp ca show ./ca/node1.crt.pem")
    show.add_argument("file", metavar="FILE", help="a PEM file")


def _init(options: argparse.Namespace) -> None:
    certificate, key = _native.make_ca(options.dir, options.organisation)
    if options.json:
        return print_json({"certificate": certificate, "key": key})
    print(certificate)
    print(key)
    say(f"Give {certificate} to every node and client. Keep {key} off all of them: who has it can let anybody in.")


def _issue(options: argparse.Namespace) -> None:
    role = options.role or ("node" if options.host else "client")
    if options.days > DAYS_MAX:
        raise UsageError(f"--days is {options.days} but must be 1..{DAYS_MAX}")
    hosts = options.host or ([options.name] if role == "node" else [])
    out = options.out or options.dir
    certificate, key = _native.issue_certificate(options.dir, options.name, hosts, role, options.days, out)
    if options.json:
        return print_json({"certificate": certificate, "key": key, "role": role, "hosts": hosts, "days": options.days})
    print(certificate)
    print(key)


def _show(options: argparse.Namespace) -> None:
    said: dict[str, Any] = _native.read_certificate(options.file)
    said["is_expired"] = said["seconds_left"] <= 0
    if options.json:
        return print_json(said)
    days = said.pop("seconds_left") / 86_400
    said["not_after"] += " (expired)" if said.pop("is_expired") else f" ({days:.0f} days left)"
    said["hosts"] = ", ".join(said["hosts"]) or "-"
    print_table(("part", "value"), list(said.items()), width_max=128)
