"""multipart/form-data (RFC 7578) as it arrives in one block: parts within bounds, or an error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PARTS_MAX = 32
HEAD_BYTES_MAX = 4096
FIELD_BYTES_MAX = 64 << 10
BOUNDARY = re.compile(r'^multipart/form-data\s*;\s*boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?$', re.IGNORECASE)
DISPOSITION = re.compile(r'^form-data; name="([^"\r\n]{1,64})"(?:; filename="([^"\r\n]{1,255})")?$')


class BadForm(Exception):
    """It is none, or breaks a bound."""


@dataclass
class Form:
    """Texts by name, and files in their order as (filename, content)."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, bytes]] = field(default_factory=list)

    def text(self, name: str) -> str:
        if name not in self.fields:
            raise BadForm(f"{name}: the field is missing")
        return self.fields[name]


def _disposition(head: bytes) -> tuple[str, str | None]:
    for line in head.decode("utf-8", "strict").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            found = DISPOSITION.match(value.strip())
            if found is not None:
                return found[1], found[2]
    raise BadForm("a part does not say its name")


def parse_form(content_type: str, body: bytes) -> Form:
    """Raises BadForm."""
    found = BOUNDARY.match(content_type.strip())
    if found is None:
        raise BadForm("the body is no multipart/form-data with a boundary")
    line = b"--" + found[1].encode()
    form = Form()
    if not body.startswith(line):
        raise BadForm("the body does not begin with its boundary")
    at = len(line)
    for _ in range(PARTS_MAX):
        if body[at : at + 2] == b"--":
            return form
        head_end = body.find(b"\r\n\r\n", at, at + HEAD_BYTES_MAX)
        end = body.find(b"\r\n" + line, head_end + 4) if head_end >= 0 else -1
        if body[at : at + 2] != b"\r\n" or end < 0:
            raise BadForm("a part has no head within its bound, or no end")
        try:
            name, filename = _disposition(body[at + 2 : head_end])
            content = body[head_end + 4 : end]
            if filename is not None:
                if name != "file":
                    raise BadForm("a file's field is not `file`")
                form.files.append((filename, content))
            elif len(content) > FIELD_BYTES_MAX or name in form.fields:
                raise BadForm(f"{name}: too long, or there twice")
            else:
                form.fields[name] = content.decode()
        except UnicodeDecodeError:
            raise BadForm("a text is no UTF-8") from None
        at = end + 2 + len(line)
    raise BadForm("too many parts")
