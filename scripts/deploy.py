#!/usr/bin/env python3
"""Rolls an image out by its digest, asks it real questions, and rolls back when it does not answer them.

    python3 scripts/deploy.py --overlay k8s/overlays/production --namespace tidegate \\
        --image ghcr.io/tidegate/tidegate@sha256:... --samples examples/digits/samples

Only the layer `workload` of the overlay is applied (k8s/base/kustomization.yaml): the split between versions is not a
matter of images, and an apply from a checkout would put back what somebody is moving at this moment. No file of the
checkout is changed: the digest stands in a kustomization of its own under target/.

Exit status: 0 the new image serves; 1 it does not, and what served before does again, or the last line says why not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path

import smoke_test
from cluster import DATA_PORT, DEPLOYMENT, ROOT, Cluster, ClusterError
from gateway_client import GatewayError, api_key

NAME = "ghcr.io/tidegate/tidegate"
BY_DIGEST = re.compile(r"[a-z0-9][a-z0-9./:_-]*@sha256:[0-9a-f]{64}")


class DeployError(Exception):
    """Which step failed, and how."""


def write_overlay(overlay: Path, image: str, folder: Path) -> None:
    """A kustomization that is `overlay` with this image in it. JSON, which is YAML, too."""
    name, digest = image.split("@")
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(overlay, folder)],
        "images": [{"name": NAME, "newName": name, "digest": digest}],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(content, indent=1) + "\n")


def roll_out(cluster: Cluster, folder: Path, timeout_s: int) -> None:
    cluster.ask("apply", "--kustomize", str(folder), "--selector", "tidegate.io/layer=workload")
    wait_for_rollout(cluster, timeout_s)


def wait_for_rollout(cluster: Cluster, timeout_s: int) -> None:
    # kubectl's own bound is the one that speaks; ours is there in case it does not.
    cluster.ask("rollout", "status", DEPLOYMENT, f"--timeout={timeout_s}s", timeout_s=timeout_s + 30)


def ask_questions(cluster: Cluster, model: str, samples: Path) -> None:
    with cluster.forward("service/tidegate", DATA_PORT) as gateway:
        problems = smoke_test.wrong_answers(gateway, smoke_test.questions(samples, model))
    if problems:
        raise DeployError("; ".join(problems))


def roll_back(cluster: Cluster, timeout_s: int) -> None:
    cluster.ask("rollout", "undo", DEPLOYMENT)
    wait_for_rollout(cluster, timeout_s)


def revision(cluster: Cluster) -> str | None:
    """Which revision serves; None where there is no Deployment yet, and so nothing to go back to."""
    try:
        deployment = cluster.get(DEPLOYMENT)
    except ClusterError as error:
        if "NotFound" in str(error):
            return None
        raise
    return deployment["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision")


def deploy(cluster: Cluster, options: argparse.Namespace) -> int:
    folder = ROOT / "target" / "deploy"
    write_overlay(options.overlay.absolute(), options.image, folder)
    before = revision(cluster)
    try:
        roll_out(cluster, folder, options.timeout)
        ask_questions(cluster, options.model, options.samples)
    except (ClusterError, GatewayError, DeployError) as error:
        print(f"error: {options.image}: {error}", file=sys.stderr)
        return undo(cluster, before, options.timeout)
    print(f"{options.image} serves, and answers rightly")
    return 0


def undo(cluster: Cluster, before: str | None, timeout_s: int) -> int:
    try:
        if before is None:
            print("error: there was nothing before it to go back to", file=sys.stderr)
        elif revision(cluster) == before:
            print("nothing was rolled out, so nothing is rolled back", file=sys.stderr)
        else:
            roll_back(cluster, timeout_s)
            print("rolled back to what served before", file=sys.stderr)
    except ClusterError as error:
        print(f"error: and the way back failed: {error}", file=sys.stderr)
    return 1


def image_by_digest(text: str) -> str:
    if not BY_DIGEST.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected NAME@sha256:..., got '{text}'; a tag may move between test and rollout")
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Rolls an image out, asks it, and rolls back when the answers are wrong.")
    parser.add_argument("--overlay", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--image", type=image_by_digest, required=True, metavar="NAME@DIGEST")
    parser.add_argument("--model", default="digits", help="the default model (digits)")
    parser.add_argument("--samples", type=Path, default=ROOT / "examples" / "digits" / "samples", metavar="FOLDER")
    parser.add_argument("--timeout", type=int, default=600, metavar="SECONDS", help="for the rollout, and for the way back (600)")
    parser.add_argument("--api-key-file", default=os.environ.get("TIDEGATE_API_KEY_FILE"), metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        return deploy(Cluster(options.namespace, api_key(options.api_key_file)), options)
    except (ClusterError, GatewayError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
