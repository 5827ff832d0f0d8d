"""What the scripts hand to kustomize, rendered by the real one: the digest and the arguments arrive where they belong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import deploy  # noqa: E402
import push_model  # noqa: E402

DIGEST = "sha256:" + "ab" * 32


def rendered(folder: Path) -> list[dict]:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is not installed")
    outcome = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return list(yaml.safe_load_all(outcome.stdout))


@pytest.fixture
def folder() -> Path:
    # Inside the repository: kustomize wants relative paths.
    path = ROOT / "target" / f"rendered-{os.getpid()}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize("overlay", ["production", "gpu"])
def test_a_rollout_takes_the_digest_and_leaves_traffic_out(folder: Path, overlay: str):
    deploy.write_overlay(ROOT / "k8s" / "overlays" / overlay, f"registry.example/tidegate@{DIGEST}", folder)
    objects = rendered(folder)
    deployment = next(entry for entry in objects if entry["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == f"registry.example/tidegate@{DIGEST}"
    assert deployment["metadata"]["labels"]["tidegate.io/layer"] == "workload"
    traffic = next(entry for entry in objects if entry["metadata"]["name"] == "tidegate-traffic")
    assert traffic["metadata"]["labels"]["tidegate.io/layer"] != "workload"


@pytest.mark.parametrize("image", [f"registry.example:5000/tidegate@{DIGEST}", "registry.example:5000/tidegate:0.1.0"])
def test_a_push_runs_in_the_image_that_serves_with_its_own_arguments(folder: Path, image: str):
    push_model.write_pod(push_model.MANIFEST, image, ["model", "push", "digits", "--version", "4"], folder)
    (pod,) = rendered(folder)
    container = pod["spec"]["containers"][0]
    assert pod["metadata"]["name"] == push_model.POD
    assert (container["image"], container["args"]) == (image, ["model", "push", "digits", "--version", "4"])
    assert pod["spec"]["initContainers"][0]["name"] == "receive"
