"""Reads a gateway's metrics: the text itself, the sum of a metric's samples, and a bounded wait for what is due."""

from __future__ import annotations

import re
import time

from wire import get

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (\S+)( \d+)?$")
SETTLE_TIMEOUT_S = 5
POLL_S = 0.02


def scrape(gateway) -> str:
    response = get(gateway.admin_url("/metrics"))
    assert response.status_code == 200, response.text
    return response.text


def eventually(read, want) -> None:
    """Waits until `read()` is `want`: a request is counted when it has ended, a moment after its answer arrived."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while (got := read()) != want:
        assert time.monotonic() < deadline, f"after {SETTLE_TIMEOUT_S} s still {got}, expected {want}"
        time.sleep(POLL_S)


def total(text: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry all the given labels."""
    found = 0.0
    for line in text.splitlines():
        sample = SAMPLE.match(line)
        if sample and sample[1] == name and all(f'{k}="{v}"' in (sample[2] or "") for k, v in labels.items()):
            found += float(sample[3])
    return found
