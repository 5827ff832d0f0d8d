"""Kubernetes' other encoding, which `kubectl create namespace` sends whatever a server prefers: read as far as that needs
it. The numbers are those of the fields in Kubernetes' generated.proto files."""

from __future__ import annotations

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
VARINT, BYTES = 0, 2
LABELS, ANNOTATIONS = 11, 12


class Unreadable(Exception):
    """It is not of a kind, or has a field, that is known here."""


def decode(body: bytes) -> dict:
    """The envelope says what is in it."""
    if not body.startswith(MAGIC):
        raise Unreadable(f"it begins with {body[:4]!r}, expected {MAGIC!r}")
    envelope = fields(body[len(MAGIC) :])
    what = fields(envelope[1][0])
    api_version, kind = what[1][0].decode(), what[2][0].decode()
    if (api_version, kind) != ("v1", "Namespace"):
        raise Unreadable(f"{api_version} {kind}: only a Namespace is read from protobuf")
    metadata = fields(fields(envelope[2][0])[1][0])
    if set(metadata) & {LABELS, ANNOTATIONS}:
        raise Unreadable("a Namespace is read by its name alone, and this one has labels or annotations")
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": metadata[1][0].decode()}}


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
