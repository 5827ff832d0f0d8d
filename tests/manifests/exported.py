"""What the gateway exports, read off docs/metrics.md, which the gateway's own tests hold to what it really exports."""

from __future__ import annotations

import re
from functools import cache

from rendered import ROOT

# What Prometheus and the ServiceMonitor add to every series.
TARGET_LABELS = {"namespace", "pod", "job", "instance", "service", "endpoint", "container"}
# Prometheus's own.
PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity", "model", "version"}}

ROW = re.compile(r"^\| `(?P<name>[a-z_:]+)` \| (?P<kind>counter|gauge|histogram) \| (?P<labels>[^|]*)\|", re.MULTILINE)


@cache
def exported() -> dict[str, set[str]]:
    """Name of a series to its labels; a histogram is three names."""
    return read((ROOT / "docs" / "metrics.md").read_text())


def read(page: str) -> dict[str, set[str]]:
    series: dict[str, set[str]] = {}
    for row in ROW.finditer(page):
        labels = {label.strip() for label in row["labels"].split(",")} - {""}
        if row["kind"] == "histogram":
            series[row["name"] + "_bucket"] = labels | {"le"}
            series[row["name"] + "_sum"] = series[row["name"] + "_count"] = labels
        else:
            series[row["name"]] = labels
    return series
