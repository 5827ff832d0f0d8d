#!/usr/bin/env python3
"""Moves traffic between versions by changing the traffic file, watches what happens, and puts it back if that is bad.

    python3 scripts/move_weights.py --namespace tidegate --model digits --labels blue=1,green=4 --weights blue=90,green=10 \\
        --samples examples/digits/samples --watch 60 --most-failed 0.01

The file lies in the ConfigMap tidegate-traffic. It is replaced only as it was read, so of two who move traffic at the same
time one is told; it takes the kubelet up to a minute and a half to hand it to the gateways. Then every version that has a
weight is asked the samples, and for the time of the watch the share of failed requests is looked at. What the file says of
other models stays; its comments go, the commented one is in the overlay.

Exit status: 0 moved; 1 not, or put back. Needs Python 3.11 or newer, which reads TOML.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import smoke_test
from cluster import DATA_PORT, Cluster, ClusterError
from gateway_client import Gateway, GatewayError, api_key, failed_share

CONFIG_MAP = "tidegate-traffic"
FILE = "traffic.toml"
POLL_S = 2

Pause = Callable[[float], None]


class MoveError(Exception):
    """What speaks against the new split."""


@dataclass(frozen=True)
class Traffic:
    """The file as it was read; `edition` is what the cluster knows it by."""

    text: str
    edition: str


def read(cluster: Cluster) -> Traffic:
    config_map = cluster.get("configmap", CONFIG_MAP)
    return Traffic(config_map["data"][FILE], config_map["metadata"]["resourceVersion"])


def replace(cluster: Cluster, text: str, edition: str | None) -> None:
    """With an edition, only if nobody else has changed it since."""
    metadata = {"metadata": {"resourceVersion": edition}} if edition else {}
    patch = json.dumps({**metadata, "data": {FILE: text}})
    cluster.ask("patch", "configmap", CONFIG_MAP, "--type", "merge", "--patch", patch)


def rewritten(text: str, model: str, labels: dict[str, int] | None, weights: dict[str, int]) -> str:
    """The file with this model's weights, and its labels where any are given."""
    try:
        models = tomllib.loads(text).get("models", {})
    except tomllib.TOMLDecodeError as error:
        raise MoveError(f"{FILE} cannot be read: {error}") from None
    entry = models.setdefault(model, {})
    entry.update({"weights": weights} if labels is None else {"labels": labels, "weights": weights})
    unknown = [name for name in weights if name not in entry.get("labels", {}) and not name.isdigit()]
    if unknown:
        raise MoveError(f"{', '.join(unknown)}: no label of {model} (known: {', '.join(entry.get('labels', {})) or 'none'})")
    return "\n".join(section(name, models[name]) for name in sorted(models))


def section(model: str, entry: dict[str, dict[str, int]]) -> str:
    # TOML's quoted keys are JSON's strings.
    table = {key: ", ".join(f"{json.dumps(name)} = {number}" for name, number in pairs.items()) for key, pairs in entry.items()}
    return f"[models.{json.dumps(model)}]\n" + "".join(f"{key} = {{ {pairs} }}\n" for key, pairs in table.items())


def split(text: str, model: str) -> dict[int, int]:
    """Which version gets how much; versions without a weight are left out."""
    entry = tomllib.loads(text)["models"].get(model, {})
    labels = entry.get("labels", {})
    by_version = ((labels[name] if name in labels else int(name), weight) for name, weight in entry.get("weights", {}).items())
    return {version: weight for version, weight in by_version if weight}


def wait_until_in_force(cluster: Cluster, model: str, wanted: dict[int, int], timeout_s: float, pause: Pause) -> None:
    until = time.monotonic() + timeout_s
    while True:
        with cluster.admin_ports() as gateways:
            others = [problem for pod, gateway in gateways.items() if (problem := not_in_force(pod, gateway, model, wanted))]
        if gateways and not others:
            return
        if time.monotonic() >= until:
            raise MoveError(f"not in force after {timeout_s:.0f} s: {'; '.join(others) or 'no gateway runs'}")
        pause(POLL_S)


def not_in_force(pod: str, gateway: Gateway, model: str, wanted: dict[int, int]) -> str | None:
    said = gateway.model(model)
    weights = {int(version): weight for version, weight in said["weights"].items() if weight}
    if weights == wanted:
        return None
    return f"{pod} has {weights}" + (f": {said['traffic_problem']}" if said.get("traffic_problem") else "")


def ask_every_version(cluster: Cluster, model: str, versions: list[int], samples: Path) -> None:
    with cluster.forward("service/tidegate", DATA_PORT) as gateway:
        asked = [question for version in versions for question in smoke_test.questions(samples, model, str(version))]
        problems = smoke_test.wrong_answers(gateway, asked)
    if problems:
        raise MoveError("; ".join(problems))


def outcomes(cluster: Cluster, model: str) -> dict[str, Counter[str]]:
    with cluster.admin_ports() as gateways:
        return {pod: gateway.outcomes(model) for pod, gateway in gateways.items()}


def watch(cluster: Cluster, model: str, seconds: float, most_failed: float, pause: Pause) -> None:
    """Compares two looks. A pod that came or went in between has started from 0 or is not there to ask, and is left out."""
    before = outcomes(cluster, model)
    pause(seconds)
    after = outcomes(cluster, model)
    stayed = before.keys() & after.keys()
    share, requests = failed_share(sum((before[pod] for pod in stayed), Counter()), sum((after[pod] for pod in stayed), Counter()))
    if share > most_failed:
        raise MoveError(f"{share:.2%} of {requests} requests failed, at most {most_failed:.2%} may")
    print(f"{share:.2%} of {requests} requests failed in {seconds:.0f} s")


def move(cluster: Cluster, options: argparse.Namespace, pause: Pause) -> int:
    before = read(cluster)
    after = rewritten(before.text, options.model, options.labels, options.weights)
    wanted = split(after, options.model)
    replace(cluster, after, before.edition)
    try:
        wait_until_in_force(cluster, options.model, wanted, options.settle, pause)
        if options.samples:
            ask_every_version(cluster, options.model, sorted(wanted), options.samples)
        watch(cluster, options.model, options.watch, options.most_failed, pause)
    except (MoveError, ClusterError, GatewayError) as error:
        print(f"error: {error}", file=sys.stderr)
        return put_back(cluster, before, after, options, pause)
    print(f"{options.model}: " + ", ".join(f"version {version} has {weight}" for version, weight in sorted(wanted.items())))
    return 0


def put_back(cluster: Cluster, before: Traffic, after: str, options: argparse.Namespace, pause: Pause) -> int:
    try:
        now = read(cluster)
        if now.text != after:
            print("error: somebody else has changed the traffic file since; it is left alone", file=sys.stderr)
            return 1
        replace(cluster, before.text, now.edition)
        wait_until_in_force(cluster, options.model, split(before.text, options.model), options.settle, pause)
        print("put back to what it was before", file=sys.stderr)
    except (MoveError, ClusterError, GatewayError) as error:
        print(f"error: and the way back failed: {error}", file=sys.stderr)
    return 1


def numbers(text: str) -> dict[str, int]:
    try:
        return {name.strip(): int(number) for name, number in (pair.split("=") for pair in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER,..., got '{text}'") from None


def main(arguments: list[str] | None = None, pause: Pause = time.sleep) -> int:
    parser = argparse.ArgumentParser(description="Moves traffic between versions, and puts it back if that is bad.")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", type=numbers, required=True, metavar="LABEL=WEIGHT,...")
    parser.add_argument("--labels", type=numbers, metavar="LABEL=VERSION,...", help="all of the model's labels, where they change")
    parser.add_argument("--samples", type=Path, metavar="FOLDER", help="requests with expected answers (scripts/smoke_test.py)")
    parser.add_argument("--settle", type=float, default=180, metavar="SECONDS", help="until every gateway has the file (180)")
    parser.add_argument("--watch", type=float, default=60, metavar="SECONDS", help="how long failures are counted (60)")
    parser.add_argument("--most-failed", type=float, default=0.01, metavar="SHARE", help="of the requests (0.01)")
    parser.add_argument("--api-key-file", default=os.environ.get("TIDEGATE_API_KEY_FILE"), metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        return move(Cluster(options.namespace, api_key(options.api_key_file)), options, pause)
    except (MoveError, ClusterError, GatewayError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
