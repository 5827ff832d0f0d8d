"""Reads a gateway's metrics: the text itself, and the sum of a metric's samples by name and labels."""

from __future__ import annotations

import re

from wire import get

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (\S+)( \d+)?$")


def scrape(gateway) -> str:
    response = get(gateway.admin_url("/metrics"))
    assert response.status_code == 200, response.text
    return response.text


def total(text: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry all the given labels."""
    found = 0.0
    for line in text.splitlines():
        sample = SAMPLE.match(line)
        if sample and sample[1] == name and all(f'{k}="{v}"' in (sample[2] or "") for k, v in labels.items()):
            found += float(sample[3])
    return found
