"""``dvesp ca``: the organisation's CA and the certificates that its nodes and clients show each other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import _native
from .cli_common import Commands, UsageError, positive_int, print_json, print_table, say
from .errors import InvalidArgument

__all__ = ["add_commands"]

DAYS = {"node": 7, "client": 90}
DAYS_MAX = 825  # what TLS clients accept of a private CA
DUE = 2 / 3  # of its life: then a certificate is to be renewed
REASONS = (
    "unspecified",
    "key_compromise",
    "affiliation_changed",
    "superseded",
    "cessation_of_operation",
    "privilege_withdrawn",
)


def add_commands(commands: Commands) -> None:
    """Declares ``ca init``, ``issue``, ``renew``, ``revoke``, ``status`` and ``show``."""
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
    issue.add_argument("--role", choices=tuple(DAYS), help="default: node with --host, else client")
    issue.add_argument(
        "--days",
        type=positive_int,
        metavar="N",
        help=f"default: {DAYS['node']} of a node, {DAYS['client']} of a client; at most {DAYS_MAX}",
    )
    issue.add_argument("--out", metavar="DIR", help="where to; default: --dir")

    renew = ca.add(
        "renew",
        _renew,
        "A new key and certificate in the place of the old ones; running nodes read them by themselves.",
        "dvesp ca renew --due --dir ./ca",
    )
    renew.add_argument("name", nargs="*", metavar="NAME", help="as issued")
    renew.add_argument("--dir", required=True, metavar="DIR", help="of the CA")
    renew.add_argument("--due", action="store_true", help="all in --out that are at 2/3 of their life; for a timer")
    renew.add_argument("--days", type=positive_int, metavar="N", help="default: as many as before")
    renew.add_argument("--out", metavar="DIR", help="where the old files are; default: --dir")

    revoke = ca.add(
        "revoke",
        _revoke,
        "Sign that certificates count no more. There is no way back.",
        "dvesp ca revoke node1 --dir ./ca --reason key_compromise",
    )
    revoke.add_argument("name", nargs="?", metavar="NAME", help="all certificates of that name")
    revoke.add_argument("--serial", action="append", default=[], metavar="HEX", help="one certificate, as `ca status` shows it")
    revoke.add_argument("--dir", required=True, metavar="DIR", help="of the CA")
    revoke.add_argument("--reason", choices=REASONS, default="unspecified")

    status = ca.add("status", _status, "What was issued, what ends when, what is revoked.", "dvesp ca status --dir ./ca")
    status.add_argument("--dir", required=True, metavar="DIR", help="of the CA")

    snapshot = ca.add(
        "snapshot",
        _snapshot,
        "All revoked serials as one small signed file.",
        "dvesp ca snapshot --dir ./ca --out ./revoked.gcs",
    )
    snapshot.add_argument("--dir", required=True, metavar="DIR", help="of the CA")
    snapshot.add_argument("--out", required=True, metavar="FILE", help="where to; nothing is overwritten")

    check = ca.add(
        "check",
        _check,
        "Ask such a file whether a certificate is revoked.",
        "dvesp ca check ./ca/node1.crt.pem --snapshot ./revoked.gcs --ca ./ca/ca.pem",
    )
    check.add_argument("file", metavar="FILE", help="a certificate as PEM")
    check.add_argument("--snapshot", required=True, metavar="FILE")
    check.add_argument("--ca", required=True, metavar="FILE", help="ca.pem: who must have signed the snapshot")

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
    days = options.days or DAYS[role]
    _check_days(days)
    hosts = options.host or ([options.name] if role == "node" else [])
    out = options.out or options.dir
    certificate, key = _native.issue_certificate(options.dir, options.name, hosts, role, days, out)
    if options.json:
        return print_json({"certificate": certificate, "key": key, "role": role, "hosts": hosts, "days": days})
    print(certificate)
    print(key)


def _check_days(days: int) -> None:
    if days > DAYS_MAX:
        raise UsageError(f"--days is {days} but must be 1..{DAYS_MAX}")


def _renew(options: argparse.Namespace) -> None:
    if bool(options.name) == options.due:
        raise UsageError("give the names to renew, or --due")
    _check_days(options.days or 0)
    out = options.out or options.dir
    names = options.name or _due_names(options.dir, out)
    renewed = []
    for name in names:
        certificate, key = _native.renew_certificate(options.dir, name, out, options.days or 0)
        said = _native.read_certificate(certificate)
        renewed.append({"name": name, "certificate": certificate, "key": key, "not_after": said["not_after"]})
    if options.json:
        return print_json({"renewed": renewed})
    print_table(("name", "certificate", "not_after"), [(one["name"], one["certificate"], one["not_after"]) for one in renewed])


def _due_names(ca: str, out: str) -> list[str]:
    """The names whose certificate in ``out`` is the last one issued, and at 2/3 of its life."""
    candidates = [one for one in _standing(ca) if one["state"] in ("due", "expired") and one["is_last"]]
    return [one["name"] for one in candidates if _serial_in(Path(out) / f"{one['name']}.crt.pem") == one["serial"]]


def _serial_in(file: Path) -> str | None:
    return str(_native.read_certificate(str(file))["serial"]) if file.exists() else None


def _standing(ca: str) -> list[dict[str, Any]]:
    """What was issued, oldest first, each with ``state``, ``reason`` and whether it is the last of its name."""
    revoked = {one["serial"]: one["reason"] for one in _native.read_revocations(str(Path(ca) / "revocations"))}
    issued = _native.issued_certificates(ca)
    last = {one["name"]: one["serial"] for one in issued}
    for one in issued:
        is_due = one["seconds_left"] <= one["seconds_valid"] * (1 - DUE)
        one["state"] = "expired" if one["seconds_left"] <= 0 else "due" if is_due else "valid"
        if one["serial"] in revoked:
            one["state"] = "revoked"
        one["reason"] = revoked.get(one["serial"])
        one["is_last"] = last[one["name"]] == one["serial"]
    return issued


def _revoke(options: argparse.Namespace) -> None:
    if bool(options.name) == bool(options.serial):
        raise UsageError("give a NAME or --serial")
    serials = options.serial
    if options.name:
        serials = [one["serial"] for one in _standing(options.dir) if one["name"] == options.name]
        if not serials:
            raise InvalidArgument(f"no certificate of {options.name!r} was issued here; `dvesp ca show` has a file's --serial")
    added = _native.revoke_certificates(options.dir, serials, options.reason)
    path = str(Path(options.dir) / "revocations")
    if options.json:
        return print_json({"file": path, "added": added})
    for one in added:
        print(one["serial"])
    if not added:
        return say("All of them were revoked before.")
    say(f"Hand {path} to a node (tls.revocations in dvesp.toml, or POST /v1/revocations): it tells the others.")


def _status(options: argparse.Namespace) -> None:
    issued = _standing(options.dir)
    known = {one["serial"] for one in issued}
    entries = _native.read_revocations(str(Path(options.dir) / "revocations"))
    others = [one for one in entries if one["serial"] not in known]
    if options.json:
        return print_json({"issued": issued, "revoked_elsewhere": others})
    rows = [(one["name"], one["role"], one["state"], one["not_after"], one["serial"]) for one in issued]
    rows += [("-", "-", "revoked", "-", one["serial"]) for one in others]
    print_table(("name", "role", "state", "not_after", "serial"), rows, width_max=48)


def _snapshot(options: argparse.Namespace) -> None:
    count = _native.write_revocation_snapshot(options.dir, options.out)
    size = Path(options.out).stat().st_size
    if options.json:
        return print_json({"file": options.out, "revoked": count, "bytes": size})
    print(options.out)


def _check(options: argparse.Namespace) -> None:
    is_revoked = _native.is_in_revocation_snapshot(options.snapshot, options.ca, options.file)
    if options.json:
        return print_json({"revoked": is_revoked})
    print("revoked" if is_revoked else "not revoked")


def _show(options: argparse.Namespace) -> None:
    said: dict[str, Any] = _native.read_certificate(options.file)
    said["is_expired"] = said["seconds_left"] <= 0
    if options.json:
        return print_json(said)
    days = said.pop("seconds_left") / 86_400
    del said["seconds_valid"]
    said["not_after"] += " (expired)" if said.pop("is_expired") else f" ({days:.0f} days left)"
    said["hosts"] = ", ".join(said["hosts"]) or "-"
    said["uri"] = said["uri"] or "-"
    print_table(("part", "value"), list(said.items()), width_max=128)
