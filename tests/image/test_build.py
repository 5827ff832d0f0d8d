"""The Dockerfile and the bill of materials, read by tools that others wrote; nothing is built."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from engine import ROOT

DOCKERFILE = ROOT / "Dockerfile"
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(str(error) if error else 0)
"""


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def bill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bill") / "tidegate.cdx.json"
    command = [sys.executable, str(ROOT / "scripts/sbom.py"), "--output", str(path), "--variant", request.param]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return path


def validate(tools: Path, bill: Path) -> subprocess.CompletedProcess:
    command = [str(tools / "python"), "-c", VALIDATE, str(bill)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_bill_of_materials_is_valid_cyclonedx(tools: Path, bill: Path):
    outcome = validate(tools, bill)
    assert outcome.returncode == 0, outcome.stderr


def test_a_bill_with_an_unknown_field_would_be_refused(tools: Path, bill: Path, tmp_path: Path):
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({**json.loads(bill.read_text()), "licence": "none"}))
    assert "licence" in validate(tools, broken).stderr


def test_the_bill_lists_what_is_linked_and_not_what_only_builds_or_tests(bill: Path):
    names = {component["name"] for component in json.loads(bill.read_text())["components"]}
    assert {"tokio", "hyper", "ort", "mimalloc", "rust-std"} < names
    assert names & {"onnxruntime", "onnxruntime-gpu"}
    assert not names & {"serde_derive", "proptest", "loom", "tempfile", "prost-build", "plotters", "hdrhistogram"}


def test_the_dockerfile_satisfies_hadolint(tools: Path):
    outcome = subprocess.run([str(tools / "hadolint"), str(DOCKERFILE)], capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stdout


def test_images_that_are_pulled_are_pinned_by_digest():
    text = DOCKERFILE.read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)) | {"scratch"}
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    pulled = [re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], image) for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE)]
    outside = [image for image in pulled if image not in stages]
    assert len(outside) == 2
    assert [image for image in outside if not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", image)] == []
