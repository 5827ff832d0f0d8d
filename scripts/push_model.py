#!/usr/bin/env python3
"""Brings a model version into the cluster's repository, and waits until every gateway has it ready.

    python3 scripts/push_model.py --namespace tidegate --model digits --version 4 --file model.onnx

It makes the pod of k8s/examples/model-push.yaml with the image that serves now, sends the file into it, and passes on what
`tidegate model push` says there: a file that does not load, or breaks the contract of the model it joins, is refused
before any gateway sees it. The pod's name is fixed, so of two pushes at a time the second fails. No traffic moves here.

Exit status: 0 ready everywhere; 1 refused, or not ready in time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cluster import ROOT, Cluster, ClusterError
from deploy import NAME
from gateway_client import Gateway, GatewayError, api_key

MANIFEST = ROOT / "k8s" / "examples" / "model-push.yaml"
POD = "tidegate-model-push"
POLL_S = 1
TRANSFER_TIMEOUT_S = 900
# The file is there when its hash is right, and not before.
RECEIVE = 'cat > /incoming/part && echo "$1  /incoming/part" | sha256sum -c - && mv /incoming/part /incoming/model.onnx && touch /incoming/complete'

Pause = Callable[[float], None]


class PushError(Exception):
    """Why the version is not there, in the words of whoever refused it."""


def write_pod(manifest: Path, image: str, arguments: list[str], folder: Path) -> None:
    """A kustomization that is the manifest's pod with this image and these arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(manifest, folder / "pod.yaml")
    replaced = [{"op": "replace", "path": "/spec/containers/0/args", "value": arguments}]
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["pod.yaml"],
        "images": [{"name": NAME, **image_fields(image)}],
        "patches": [{"target": {"kind": "Pod", "name": POD}, "patch": json.dumps(replaced)}],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(content, indent=1) + "\n")


def image_fields(image: str) -> dict[str, str]:
    """How kustomize spells `name@digest` and `name:tag`."""
    if "@" in image:
        name, digest = image.split("@")
        return {"newName": name, "digest": digest}
    name, _, tag = image.rpartition(":")
    return {"newName": name, "newTag": tag}


def push(cluster: Cluster, options: argparse.Namespace, pause: Pause) -> None:
    # A pod says which image serves; whoever pushes models may not look at Deployments (k8s/base/rbac.yaml).
    image = next(iter(cluster.gateways().values()), None)
    if image is None:
        raise PushError("no gateway runs, so it is not known which image is to judge the file")
    said = [f"--{key}={value}" for key, value in (("name", options.name), ("by", options.by)) if value]
    wanted = ["model", "push", options.model, "/incoming/model.onnx", "--version", str(options.version), *said]
    folder = ROOT / "target" / "push"
    write_pod(MANIFEST, image, wanted, folder)
    pod = cluster.ask("kustomize", str(folder)).encode()
    cluster.ask("create", "--filename", "-", stdin=pod)
    try:
        wait_for_receiver(cluster, options.timeout, pause)
        content = options.file.read_bytes()
        receive = ("exec", POD, "--stdin", "--container", "receive", "--", "sh", "-c", RECEIVE, "sh", hashlib.sha256(content).hexdigest())
        cluster.ask(*receive, stdin=content, timeout_s=TRANSFER_TIMEOUT_S)
        wait_for_verdict(cluster, options.timeout, pause)
    finally:
        cluster.ask("delete", "pod", POD, "--wait=true")


def wait_for_receiver(cluster: Cluster, timeout_s: float, pause: Pause) -> None:
    def is_there() -> bool:
        status = cluster.get("pod", POD)["status"]
        return any("running" in container.get("state", {}) for container in status.get("initContainerStatuses", []))

    wait_until(is_there, timeout_s, pause, "the pod that receives the file did not start; `kubectl describe` says why")


def wait_for_verdict(cluster: Cluster, timeout_s: float, pause: Pause) -> None:
    """Passes on what the push has said; raises when it refused the file."""
    phases = []

    def has_ended() -> bool:
        phases.append(cluster.get("pod", POD)["status"]["phase"])
        return phases[-1] in ("Succeeded", "Failed")

    wait_until(has_ended, timeout_s, pause, "the push did not end")
    said = cluster.ask("logs", POD, "--container", "push").strip()
    if phases[-1] == "Failed":
        raise PushError(said or "the push failed without a word")
    print(said)


def wait_until_ready(cluster: Cluster, model: str, version: int, timeout_s: float, pause: Pause) -> None:
    """Until every gateway serves the version; a gateway that could not load it says why, and that ends the wait."""
    last = "no gateway runs"

    def is_everywhere() -> bool:
        nonlocal last
        with cluster.admin_ports() as gateways:
            missing = {pod: why for pod, gateway in gateways.items() if (why := not_ready(gateway, model, version))}
        last = "; ".join(f"{pod}: {why}" for pod, why in missing.items()) or last
        return bool(gateways) and not missing

    try:
        wait_until(is_everywhere, timeout_s, pause, "")
    except PushError:
        raise PushError(f"version {version} of {model} is not ready everywhere after {timeout_s:.0f} s: {last}") from None


def not_ready(gateway: Gateway, model: str, version: int) -> str | None:
    """Why this gateway does not serve the version yet; None if it does. Raises if it will not."""
    versions = {entry["version"]: entry for entry in gateway.model(model)["versions"]}
    if version not in versions:
        return "not seen yet"
    state, reason = versions[version]["state"], versions[version]["reason"]
    if state == "failed":
        raise PushError(f"version {version} of {model} failed to load: {reason}")
    return None if state == "ready" else state


def wait_until(condition: Callable[[], bool], timeout_s: float, pause: Pause, otherwise: str) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= until:
            raise PushError(otherwise)
        pause(POLL_S)


def main(arguments: list[str] | None = None, pause: Pause = time.sleep) -> int:
    parser = argparse.ArgumentParser(description="Brings a model version into the cluster and waits until it is ready.")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--name", help="what people call the version, v1.0.0 for example")
    parser.add_argument("--by", help="who pushes, for the manifest")
    parser.add_argument("--file", type=Path, required=True, metavar="FILE", help="the model, ONNX")
    parser.add_argument("--timeout", type=int, default=600, metavar="SECONDS", help="for each step (600)")
    parser.add_argument("--api-key-file", default=os.environ.get("TIDEGATE_API_KEY_FILE"), metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        cluster = Cluster(options.namespace, api_key(options.api_key_file))
        push(cluster, options, pause)
        wait_until_ready(cluster, options.model, options.version, options.timeout, pause)
    except (PushError, ClusterError, GatewayError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"version {options.version} of {options.model} is ready on every gateway")
    return 0


if __name__ == "__main__":
    sys.exit(main())
