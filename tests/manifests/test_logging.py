"""The log pipelines, on lines that a gateway wrote: the parsers' fields, formats and patterns are taken out of the
configurations and applied. Neither Fluent Bit nor Fluentd is run."""

from __future__ import annotations

import fnmatch
import json
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml

import fluentd_config
from gateway import environment, serving
from rendered import K8S, ROOT, VARIANTS, load

RECORDED = Path(__file__).with_name("fixtures") / "gateway.log"
CONTAINER_ID = "0123456789abcdef" * 4
# What an access line and an event have at least: docs/metrics.md.
ACCESS = {"request_id", "protocol", "outcome", "status", "latency_ms"}


@pytest.fixture(params=["recorded", "fresh"])
def lines(request, tmp_path) -> list[str]:
    """A gateway's lines: those in the repository, and those of the gateway that is built."""
    if request.param == "recorded":
        return RECORDED.read_text().splitlines()
    manifests = load(request.getfixturevalue("rendered_text")("dev"))
    question = (ROOT / "examples" / "digits" / "samples" / "seven.json").read_bytes()
    with serving(tmp_path, environment(manifests, tmp_path)) as gateway:
        gateway.until(lambda: gateway.ask("admin", "/readyz")[0] == 200)
        assert gateway.ask("data", "/predict", "dev-only-not-a-secret", question)[0] == 200
    return gateway.log.read_text().splitlines()


@pytest.fixture
def fluent_bit() -> dict:
    return yaml.safe_load((K8S / "logging" / "fluent-bit.yaml").read_text())


@pytest.fixture
def fluentd() -> fluentd_config.Section:
    return fluentd_config.read((K8S / "logging" / "fluentd.conf").read_text())


def instant(text: str, time_format: str) -> datetime:
    """As both programs read it: %L is the fraction of a second, of any length; %z takes `Z`, too."""
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    return datetime.strptime(text, time_format.replace("%L", "%f"))


def wrapped(line: str, tag: str = "F") -> str:
    """As containerd and CRI-O write it."""
    return f"2026-11-23T03:50:15.355435123Z stderr {tag} {line}"


def file_of(namespace: str, pod: str = "tidegate-7d9c5b6f4-x2x7q", container: str = "tidegate") -> str:
    return f"/var/log/containers/{pod}_{namespace}_{container}-{CONTAINER_ID}.log"


def expect_our_records(records: list[dict], lines: list[str]):
    assert len(records) == len(lines) > 5
    assert {"starting", "ready", "request", "stopped"} <= {record["message"] for record in records}
    for record in records:
        assert {"level", "target", "timestamp"} <= record.keys()
        if record["target"] == "tidegate::access":
            assert ACCESS <= record.keys()


def test_fluent_bit_reads_our_lines_and_time(fluent_bit, lines):
    (parser,) = fluent_bit["parsers"]
    assert parser["format"] == "json" and parser["time_keep"] is True
    records = [json.loads(line) for line in lines]
    expect_our_records(records, lines)
    for record in records:
        text = record[parser["time_key"]]
        assert instant(text, parser["time_format"]) == datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_fluent_bit_sorts_the_access_log_out(fluent_bit, lines):
    (rule,) = [one["rule"] for one in fluent_bit["pipeline"]["filters"] if one["name"] == "rewrite_tag"]
    key, pattern, tag, keep = rule.split()
    assert (key, keep) == ("$target", "false")
    records = [json.loads(line) for line in lines]
    sorted_out = [record for record in records if re.search(pattern, record[key[1:]])]
    assert sorted_out and sorted_out == [record for record in records if record["message"] == "request"]
    assert any(output["match"] == tag for output in fluent_bit["pipeline"]["outputs"])


def test_fluent_bit_names_parsers_that_there_are(fluent_bit):
    used = {one["parser"] for one in fluent_bit["pipeline"]["filters"] if one["name"] == "parser"}
    assert used == {parser["name"] for parser in fluent_bit["parsers"]}


def test_fluentd_unwraps_and_reads_our_lines_and_time(fluentd, lines):
    unwrap = fluentd.only("source").only("parse").values
    (parse,) = [one.only("parse").values for one in fluentd.sections if one.values.get("@type") == "parser"]
    pattern = re.compile(unwrap["expression"].strip("/").replace("(?<", "(?P<"))
    inner = []
    for line in lines:
        found = pattern.match(wrapped(line))
        assert found and found["log"] == line and (found["stream"], found["logtag"]) == ("stderr", "F")
        assert instant(found["time"], unwrap["time_format"]).tzinfo == timezone.utc
        inner.append(json.loads(found["log"]))
    expect_our_records(inner, lines)
    for record in inner:
        text = record[parse["time_key"]]
        assert instant(text, parse["time_format"]) == datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_fluentd_joins_by_the_fields_that_it_unwrapped(fluentd):
    names = set(re.findall(r"\(\?<(\w+)>", fluentd.only("source").only("parse").values["expression"]))
    (concat,) = [one.values for one in fluentd.sections if one.values.get("@type") == "concat"]
    assert {concat["key"], concat["partial_cri_logtag_key"], concat["partial_cri_stream_key"]} <= names


def test_fluentd_sorts_the_access_log_out(fluentd, lines):
    (rewrite,) = [one for one in fluentd.sections if one.values.get("@type") == "rewrite_tag_filter"]
    tags = []
    for record in ({"stream": "stderr", **json.loads(line)} for line in lines):
        rules = [rule.values for rule in rewrite.sections]
        matching = (rule["tag"] for rule in rules if re.search(rule["pattern"].strip("/"), record[rule["key"]]))
        tags.append((next(matching), record["message"] == "request"))
    assert set(tags) == {("tidegate.access", True), ("tidegate.events", False)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_find_our_files_and_no_others(fluent_bit, fluentd, variant, rendered_text):
    (namespace,) = load(rendered_text(variant)).of("Namespace")
    for pattern in (fluent_bit["pipeline"]["inputs"][0]["path"], fluentd.only("source").values["path"]):
        assert fnmatch.fnmatch(file_of(namespace["metadata"]["name"]), pattern)
        assert not fnmatch.fnmatch(file_of("tidegate", container="istio-proxy"), pattern)
        assert not fnmatch.fnmatch(file_of("default", pod="other-0"), pattern)


def test_another_time_format_is_noticed():
    with pytest.raises(ValueError):
        instant("2026-11-23T03:50:13Z", "%Y-%m-%dT%H:%M:%S.%L%z")
    with pytest.raises(ValueError):
        instant("2026-11-23T03:50:13.692357Z", "%Y-%m-%dT%H:%M:%S%z")


def test_a_section_that_is_not_closed_is_noticed():
    with pytest.raises(ValueError, match="not closed"):
        fluentd_config.read("<source>\n@type tail\n")
