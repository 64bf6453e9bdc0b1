"""A REST client of the tests on the standard library alone, and a check of values against the published JSON Schema."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from typing import Any, NamedTuple
from urllib.parse import quote


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, which must have exactly the documented shape."""
        assert set(self.json) == {"error"}, self.body
        error: dict[str, Any] = self.json["error"]
        assert {"code", "message", "outcome"} <= set(error) <= {"code", "message", "outcome", "vector_ids"}
        assert error["message"]
        return error


class Rest:
    """Asks one node; a connection for each question."""

    def __init__(self, address: str, context: ssl.SSLContext | None = None) -> None:
        self.address = address
        self.context = context

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """Sends ``body`` as it is when it is bytes, else as JSON."""
        host, port = self.address.rsplit(":", 1)
        connection: http.client.HTTPConnection
        if self.context is None:
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
        else:
            connection = http.client.HTTPSConnection(host, int(port), timeout=60, context=self.context)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            sent = {} if data is None else {"Content-Type": "application/json"}
            connection.request(method, path, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(self, collection: str, what: str, body: Any = None, **headers: str) -> Reply:
        """POST to a route of a collection."""
        path = f"/v1/collections/{quote(collection, safe='')}/{what}"
        return self.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def done(self, collection: str, what: str, body: Any = None) -> Any:
        """The JSON of a POST that must succeed."""
        reply = self.post(collection, what, body)
        assert reply.status == 200, reply.body
        assert reply.headers["content-type"] == "application/json"
        return reply.json


TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None),
}  # fmt: skip


KEYWORDS = {
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "exclusiveMinimum",
    "format",
    "items",
    "maximum",
    "maxItems",
    "maxLength",
    "minimum",
    "minItems",
    "minLength",
    "pattern",
    "properties",
    "required",
    "type",
}


def problems(document: Any, schema: Any, value: Any, where: str = "$") -> list[str]:
    """What is wrong with ``value``; knows the keywords that the document uses, and refuses others."""
    found = [f"{where}: keyword {name}" for name in set(schema) - KEYWORDS]
    if "$ref" in schema:
        found += problems(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]], value, where)
    for part in schema.get("allOf", ()):
        found += problems(document, part, value, where)
    if "anyOf" in schema and all(problems(document, part, value, where) for part in schema["anyOf"]):
        found.append(f"{where}: none of anyOf")
    names = schema.get("type", list(TYPES))
    types = [names] if isinstance(names, str) else names
    is_flag = isinstance(value, bool)
    if not any(isinstance(value, TYPES[name]) and (not is_flag or name == "boolean") for name in types):
        return [*found, f"{where}: {value!r} is no {names}"]
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        found.append(f"{where}: {value!r}")
    if isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{where}: {value} out of range")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{where}: {value!r} does not fit {schema['pattern']}")
    if isinstance(value, list):
        for at, item in enumerate(value):
            found += problems(document, schema.get("items", {}), item, f"{where}[{at}]")
    if isinstance(value, dict):
        found += [f"{where}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, member in value.items():
            rest = schema.get("additionalProperties", {})
            if rest is False and name not in schema.get("properties", {}):
                found.append(f"{where}: {name} is unknown")
                continue
            found += problems(document, schema.get("properties", {}).get(name, rest or {}), member, f"{where}.{name}")
    return found
