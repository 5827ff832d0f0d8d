"""What probes and scrapers read: truthful `/livez` and `/readyz`, and metrics in Prometheus' text format.

Both ports answer probes, the admin port has the metrics. The counters must add up: a request that was answered is counted once, under its model.
"""

from __future__ import annotations

import re

import pytest

from metrics import SAMPLE, eventually, scrape, total
from wire import get, post, tensor, v2


HISTOGRAMS = [
    "tidegate_queue_delay_seconds",
    "tidegate_execution_duration_seconds",
    "tidegate_request_duration_seconds",
    "tidegate_batch_rows",
]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_are_answered_on_both_ports(digits, path):
    assert get(digits.url(path)).status_code == 200
    assert get(digits.admin_url(path)).status_code == 200


def test_every_metric_line_is_well_formed_and_every_family_has_a_type_and_help(digits):
    text = scrape(digits)
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert samples
    for line in samples:
        assert SAMPLE.match(line), f"not a Prometheus sample: {line!r}"
    typed, helped = (set(re.findall(rf"^# {word} (\S+)", text, re.MULTILINE)) for word in ("TYPE", "HELP"))
    assert typed == helped


def test_an_answered_request_is_counted_once_with_its_rows(fixtures):
    labels = {"model": "affine", "version": "1"}
    rises = {"tidegate_requests_total": 1, "nv_inference_request_success": 1, "nv_inference_count": 3}

    def read() -> dict[str, float]:
        text = scrape(fixtures)
        return {name: total(text, name, **labels) for name in rises}

    before = read()
    body = v2(tensor("x", "FP32", [3, 4], [0] * 12))
    assert post(fixtures.url("/v2/models/affine/infer"), body).status_code == 200
    eventually(read, {name: before[name] + rise for name, rise in rises.items()})


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_distributions_are_histograms_by_model_and_version(digits, samples, name):
    post(digits.url("/v2/models/digits/versions/1/infer"), samples["seven.v2.json"][0])
    eventually(lambda: total(scrape(digits), f"{name}_count", model="digits", version="1") >= 1, True)
    assert f"# TYPE {name} histogram" in scrape(digits)
