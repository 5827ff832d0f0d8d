"""Every object against the schema of its kind, offline: Kubernetes' own kinds strictly, so a misspelt field is an
error; kinds of CRDs by models made of these CRDs, which let unknown fields pass (an API server drops them). checkov
looks for known misconfigurations."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest

from rendered import ROOT, VARIANTS, Manifests, examples, who

KUBERNETES = "1.36.0"
CRDS = {"monitoring.coreos.com", "keda.sh", "gateway.networking.k8s.io", "external-secrets.io"}
# Filled by `make test-manifests` where there is npm.
NODE_MODULES = ROOT / ".deps" / "node-manifests"


def is_crd(one: dict) -> bool:
    return one["apiVersion"].split("/")[0] in CRDS


def mistakes(manifests: Manifests) -> list[str]:
    """What is wrong with Kubernetes' own kinds. A kind without a schema is a mistake, too: nobody would look at it."""
    found = []
    for one in manifests.objects:
        if is_crd(one):
            continue
        try:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{who(one)}: {'.'.join(map(str, error.path))}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            found.append(f"{who(one)}: {error.message}")
    return found


def test_kubernetes_kinds_meet_their_schema(variant):
    _, manifests = variant
    assert mistakes(manifests) == []


@pytest.mark.parametrize("example", examples())
def test_examples_meet_their_schema(example):
    assert mistakes(examples()[example]) == []


def test_misspelt_fields_and_unknown_kinds_are_found(production):
    def change(manifests: Manifests):
        manifests.gateway()["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
        manifests.named("PodDisruptionBudget", "tidegate")["apiVersion"] = "policy/v2"

    found = "\n".join(mistakes(production.mutated(change)))
    assert "imagePullPolice" in found and "policy/v2" in found


def validate_crds(objects: list[dict]) -> subprocess.CompletedProcess:
    node = shutil.which("node")
    if not node or not (NODE_MODULES / "node_modules").is_dir():
        pytest.skip("no node, or no npm to fill .deps/node-manifests: CRDs were looked at by our own checks only")
    script = Path(__file__).with_name("crds") / "validate.js"
    command = [node, str(script), str(NODE_MODULES)]
    return subprocess.run(command, input=json.dumps(objects), capture_output=True, text=True, timeout=60)


@pytest.fixture
def custom(everything) -> list[dict]:
    objects = [*everything.objects, *(one for example in examples().values() for one in example.objects)]
    return [one for one in objects if is_crd(one)]


def test_custom_kinds_meet_their_schema(custom):
    kinds = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute", "GRPCRoute", "ExternalSecret"}
    assert {one["kind"] for one in custom} == kinds
    done = validate_crds(custom)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mistakes_in_custom_kinds_are_found(custom):
    broken = copy.deepcopy(custom)
    for one in broken:
        spec = one["spec"]
        {
            "ServiceMonitor": lambda: spec["endpoints"][0].update(scheme="gopher"),
            "PrometheusRule": lambda: spec["groups"][0]["rules"][0].pop("expr"),
            "ScaledObject": lambda: spec["triggers"][0].pop("type"),
            "HTTPRoute": lambda: spec["rules"][0]["matches"][0]["path"].update(type="Glob"),
            "GRPCRoute": lambda: spec["rules"][0]["backendRefs"][0].update(port=0),
            "ExternalSecret": lambda: spec["data"][0].pop("secretKey"),
        }[one["kind"]]()
    done = validate_crds(broken)
    assert len(done.stdout.strip().splitlines()) == len(broken), done.stdout + done.stderr


def checkov(folder: Path) -> subprocess.CompletedProcess:
    program = Path(sys.executable).with_name("checkov")
    command = [str(program), "--config-file", str(Path(__file__).with_name("checkov.yaml")), "--directory", str(folder)]
    # It looks for its platform unless it is told not to.
    environment = {**os.environ, "CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false", "LOG_LEVEL": "ERROR"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_checkov_finds_the_planted_mistake_and_no_other(rendered_text, tmp_path):
    """One run, because most of its time is its start. The examples are left out: it takes a pod that ends for a server
    without probes; our own checks hold them."""
    for name in VARIANTS:
        (tmp_path / f"{name}.yaml").write_text(rendered_text(name))
    planted = rendered_text("dev").replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    (tmp_path / "planted.yaml").write_text(planted)
    done = checkov(tmp_path)
    failed = re.findall(r"Check: (\w+):.*\n.*\n\s*File: /([\w. -]+):", done.stdout)
    assert failed == [("CKV_K8S_22", "planted.yaml")], done.stdout + done.stderr
