"""Asks a running gateway, with nothing but Python's standard library: what the pipelines' scripts share.

It answers with what was said or raises `GatewayError` with the gateway's own words; no retries, those are the caller's.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections import Counter

TIMEOUT_S = 30
# What a client did wrong, or did not wait for, is no fault of a new image or model.
NOT_OUR_FAULT = {"response", "caller_gone", "invalid_argument", "too_large", "unimplemented"}


class GatewayError(Exception):
    """The path, and the answer or why there was none."""


class Gateway:
    """One port of one gateway; `api_key` is shown where there is one."""

    def __init__(self, url: str, api_key: str | None = None):
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, body, self._headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise GatewayError(f"{path}: {error.code} {error.read(1000).decode(errors='replace')}") from None
        except OSError as error:
            raise GatewayError(f"{path}: {error}") from None

    def ask_json(self, path: str, body: bytes | None = None) -> dict:
        try:
            return json.loads(self.ask(path, body))
        except ValueError as error:
            raise GatewayError(f"{path}: the answer is not JSON: {error}") from None

    def model(self, name: str) -> dict:
        """A model as the admin port describes it."""
        return self.ask_json(f"/admin/v1/models/{name}")

    def outcomes(self, model: str) -> Counter[str]:
        """How many requests for the model ended how, since the gateway started; of the admin port's metrics."""
        counted: Counter[str] = Counter()
        for labels, value in re.findall(r"^tidegate_requests_total\{(.*)\} (\S+)$", self.ask("/metrics").decode(), re.MULTILINE):
            said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if said["model"] == model:
                counted[said["outcome"]] += int(float(value))
        return counted


def failed_share(before: Counter[str], after: Counter[str]) -> tuple[float, int]:
    """Which part of the requests between two looks failed through no fault of the caller, and of how many."""
    between = {outcome: after[outcome] - before[outcome] for outcome in after}
    requests = sum(between.values())
    failed = sum(count for outcome, count in between.items() if outcome not in NOT_OUR_FAULT)
    return (failed / requests if requests else 0.0), requests


def api_key(file: str | None) -> str | None:
    """The first key of a file as the gateway reads it: `NAME KEY [SCOPES]`, or a lone `KEY`."""
    if not file:
        return None
    with open(file) as lines:
        words = next((words for line in lines if (words := line.split()) and not words[0].startswith("#")), None)
    if words is None:
        raise GatewayError(f"{file} holds no key")
    return words[0] if len(words) == 1 else words[1]
