"""The Dockerfile and the bill of materials, read by tools that others wrote; nothing is built."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engine import ROOT

DOCKERFILE = ROOT / "Dockerfile"
# There is no ONNX Runtime for CUDA elsewhere, and zlib, which goes along with it, is Debian's.
VARIANTS = ["cpu", "cuda"] if platform.machine() == "x86_64" and shutil.which("dpkg-query") else ["cpu"]
# A line for each file that it is given: what is wrong with it.
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator = JsonStrictValidator(SchemaVersion.V1_6)
for name in sys.argv[1:]:
    print(str(validator.validate_str(open(name).read()) or "valid").splitlines()[0])
"""


def write_bill(variant: str, folder: Path) -> Path:
    path = folder / f"{variant}.cdx.json"
    command = [sys.executable, str(ROOT / "scripts/sbom.py"), "--output", str(path), "--variant", variant]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return path


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bills")
    return {variant: write_bill(variant, folder) for variant in VARIANTS}


def test_the_bill_of_materials_is_valid_cyclonedx_and_a_broken_one_is_not(tools: Path, bills: dict[str, Path], tmp_path: Path):
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "licence": "none"}))
    # That of the image for CUDA has everything that the other one has. The validator takes ten seconds for each.
    command = [str(tools / "python"), "-c", VALIDATE, str(bills[VARIANTS[-1]]), str(broken)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 0, outcome.stderr
    right, wrong = outcome.stdout.splitlines()
    assert right == "valid"
    assert "licence" in wrong


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_bill_lists_what_is_linked_and_not_what_only_builds_or_tests(bills: dict[str, Path], variant: str):
    names = {component["name"] for component in json.loads(bills[variant].read_text())["components"]}
    assert {"tokio", "hyper", "ort", "mimalloc", "rust-std"} < names
    assert names & {"onnxruntime", "onnxruntime-gpu"} == {"onnxruntime" if variant == "cpu" else "onnxruntime-gpu"}
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
