"""The command ``mcp``: a Model Context Protocol server over one store, on stdin and stdout."""

from __future__ import annotations

import argparse
import importlib.util

from .cli_common import Commands, UsageError, open_store
from .errors import Unavailable

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Declares ``mcp``."""
    summary = "Serve a store to language models (Model Context Protocol over stdin and stdout). Read-only by default."
    mcp = commands.add("mcp", _mcp, summary, "dvesp mcp ./my-store --embedder my_package.embedding:embed")
    mcp.add_argument("store", metavar="STORE", help="the store's directory, or HOST:PORT,... of a cluster")
    mcp.add_argument("--writable", action="store_true", help="offer the tool upsert, too; creates an absent directory")
    mcp.add_argument(
        "--embedder",
        metavar="MODULE:FUNCTION",
        help="takes a list of texts, returns their vectors; makes text searchable. Collections of `dvesp demo` need none",
    )
    mcp.add_argument("--text-key", metavar="NAME", default="text", help="member of the metadata with the text (default: text)")


def _mcp(options: argparse.Namespace) -> None:
    if options.json:
        raise UsageError("--json says nothing here: what this command prints is the protocol")
    if importlib.util.find_spec("mcp") is None:
        raise Unavailable("the package mcp is not installed: run `pip install 'dvesp[mcp]'`")
    from .integrations.mcp import load_embedder, serve  # needs mcp

    embed = None if options.embedder is None else load_embedder(options.embedder)
    with open_store(options.store, create=options.writable) as store:
        serve(store, embed, writable=options.writable, text_key=options.text_key)
