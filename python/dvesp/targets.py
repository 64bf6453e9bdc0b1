"""Where an archive goes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from .arguments import check_path

__all__ = ["Directory", "Target"]


class Target:
    """A place that keeps an archive."""

    def _settings(self) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True)
class Directory(Target):
    """A directory."""

    path: str | os.PathLike[str]
    archive_public: bool = False

    def _settings(self) -> dict[str, Any]:
        return {"kind": "directory", "path": os.path.abspath(check_path(self.path)), "public": self.archive_public}
