"""Kubernetes' other encoding, which `kubectl create secret` and `create namespace` send whatever a server prefers: read as
far as these two need it. The numbers are those of the fields in Kubernetes' generated.proto files."""

from __future__ import annotations

import base64
from collections.abc import Iterator

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
VARINT, BYTES = 0, 2


class Unreadable(Exception):
    """It is not of a kind, or has a field, that is known here."""


def decode(body: bytes) -> dict:
    """The envelope says what is in it."""
    if not body.startswith(MAGIC):
        raise Unreadable(f"it begins with {body[:4]!r}, expected {MAGIC!r}")
    envelope = fields(body[len(MAGIC) :])
    what = fields(envelope[1][0])
    api_version, kind = what[1][0].decode(), what[2][0].decode()
    if (api_version, kind) not in READERS:
        raise Unreadable(f"{api_version} {kind}: only Secret and Namespace are read from protobuf")
    return {"apiVersion": api_version, "kind": kind, **READERS[api_version, kind](fields(envelope[2][0]))}


def secret(found: dict[int, list]) -> dict:
    data = {name: base64.b64encode(value).decode() for name, value in entries(found.get(2, []))}
    return {"metadata": metadata(found[1][0]), "data": data, "type": found[3][0].decode()}


def namespace(found: dict[int, list]) -> dict:
    return {"metadata": metadata(found[1][0])}


def metadata(message: bytes) -> dict:
    found = fields(message)
    plain = {"name": found[1][0].decode()}
    if found.get(3, [b""])[0]:
        plain["namespace"] = found[3][0].decode()
    for number, name in ((11, "labels"), (12, "annotations")):
        if number in found:
            plain[name] = {key: value.decode() for key, value in entries(found[number])}
    return plain


READERS = {("v1", "Secret"): secret, ("v1", "Namespace"): namespace}


def entries(messages: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """Of a map."""
    for message in messages:
        found = fields(message)
        yield found[1][0].decode(), found.get(2, [b""])[0]


def fields(message: bytes) -> dict[int, list]:
    """Number to values, in order."""
    found: dict[int, list] = {}
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        value, at = varint(message, at)
        if tag & 7 == BYTES:
            value, at = message[at : at + value], at + value
        elif tag & 7 != VARINT:
            raise Unreadable(f"a field of wire type {tag & 7}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def varint(message: bytes, at: int) -> tuple[int, int]:
    """The number, and where the next thing begins."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
