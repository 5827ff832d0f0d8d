"""What `kubectl kustomize` makes of the overlays, and how the checks look at it.

A `Manifests` is a list of objects as they would be applied. The variants are the overlays as they are, and production
with the components that need CRDs, which nobody applies in this combination but everybody in some.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"

VARIANTS = {
    "dev": ("dev", ()),
    "production": ("production", ()),
    "gpu": ("gpu", ()),
    "production with all components": ("production", ("monitoring", "keda", "ingress", "gateway-api")),
}

POD_LABELS = ("spec", "template", "metadata", "labels")


@dataclass
class Manifests:
    objects: list[dict]

    def of(self, *kinds: str) -> list[dict]:
        return [one for one in self.objects if one["kind"] in kinds]

    def named(self, kind: str, name: str) -> dict | None:
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)

    def pods(self) -> Iterator[tuple[str, dict, dict]]:
        """(who, labels, spec) of everything that becomes pods."""
        for one in self.of("Deployment"):
            yield who(one), at(one, *POD_LABELS) or {}, one["spec"]["template"]["spec"]
        for one in self.of("Pod"):
            yield who(one), one["metadata"].get("labels", {}), one["spec"]

    def gateway(self) -> dict:
        (deployment,) = self.of("Deployment")
        return deployment

    def mutated(self, change) -> Manifests:
        """A copy, changed: what a check must object to."""
        changed = copy.deepcopy(self)
        change(changed)
        return changed


def who(one: dict) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"


def at(one, *path):
    """What lies at the path, or None where it ends early."""
    for step in path:
        if isinstance(one, dict):
            one = one.get(step)
        elif isinstance(one, list) and isinstance(step, int) and step < len(one):
            one = one[step]
        else:
            return None
    return one


def matches(selector: dict, labels: dict) -> bool:
    assert "matchExpressions" not in selector, "the checks know matchLabels only"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def containers(pod: dict) -> list[dict]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def kubectl() -> str:
    found = shutil.which("kubectl")
    if not found:
        pytest.skip("kubectl is not installed: nothing can be rendered")
    return found


def render(folder: Path) -> str:
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"kubectl kustomize {folder}: {done.stderr}"
    assert not done.stderr, f"kubectl kustomize {folder} warns: {done.stderr}"
    return done.stdout


@cache
def render_variant(name: str, folder: Path) -> str:
    overlay, components = VARIANTS[name]
    if not components:
        return render(K8S / "overlays" / overlay)
    folder.mkdir(parents=True)
    # kustomize takes no absolute paths.
    relative = lambda path: os.path.relpath(path.resolve(), folder.resolve())
    kustomization = {
        "resources": [relative(K8S / "overlays" / overlay)],
        "components": [relative(K8S / "components" / component) for component in components],
        # Components' objects have no namespace of their own.
        "namespace": "tidegate",
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(folder)


@cache
def load(text: str) -> Manifests:
    """Read once and shared: a test that wants to change something asks for `mutated`."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Manifests([one for one in yaml.load_all(text, Loader=loader) if one])


def examples() -> dict[str, Manifests]:
    """The examples that are Kubernetes objects; Helm values are not."""
    files = sorted((K8S / "examples").glob("*.yaml"))
    loaded = {file.name: load(file.read_text()) for file in files}
    return {name: found for name, found in loaded.items() if all("kind" in one for one in found.objects)}
