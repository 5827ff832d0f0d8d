"""The cluster as the pipelines' scripts use it: kubectl, and gateways reached through its port forwarding.

kubectl is what every cluster's login ends in, so there is no client library and no second way to sign in. Every command
has a bound; one that fails raises `ClusterError` with kubectl's own words.
"""

from __future__ import annotations

import json
import queue
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway_client import Gateway

ROOT = Path(__file__).resolve().parent.parent
COMMAND_TIMEOUT_S = 120
FORWARD_TIMEOUT_S = 30
DEPLOYMENT = "deployment/tidegate"
SELECTOR = "app.kubernetes.io/name=tidegate,app.kubernetes.io/component=gateway"
DATA_PORT, ADMIN_PORT = 8501, 8502


class ClusterError(Exception):
    """What was asked of the cluster, and what it said."""


class Cluster:
    """One namespace. `api_key` is shown to the gateways, not to the cluster."""

    def __init__(self, namespace: str, api_key: str | None = None):
        self.namespace = namespace
        self._api_key = api_key

    def ask(self, *arguments: str, stdin: bytes | None = None, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        command = ["kubectl", "--namespace", self.namespace, *arguments]
        try:
            outcome = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"kubectl {' '.join(arguments[:3])}: no answer within {timeout_s:.0f} s") from None
        if outcome.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments[:3])}: {outcome.stderr.decode(errors='replace').strip()}")
        return outcome.stdout.decode()

    def get(self, *arguments: str) -> dict:
        said = self.ask("get", *arguments, "--output", "json")
        try:
            return json.loads(said)
        except ValueError:
            raise ClusterError(f"kubectl get {arguments[0]}: expected JSON, got '{said[:100]}'") from None

    def gateways(self) -> dict[str, str]:
        """The image of each pod that can be asked: those that run, and are not going away."""
        pods = self.get("pods", "--selector", SELECTOR)["items"]
        running = (pod for pod in pods if pod["status"]["phase"] == "Running")
        staying = (pod for pod in running if "deletionTimestamp" not in pod["metadata"])
        return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in staying}

    @contextmanager
    def forward(self, target: str, port: int) -> Iterator[Gateway]:
        """`target`'s port at a free one of this machine, for as long as the block runs."""
        command = ["kubectl", "--namespace", self.namespace, "port-forward", "--address", "127.0.0.1", target, f":{port}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            yield Gateway(f"http://127.0.0.1:{local_port(process, target)}", self._api_key)
        finally:
            process.terminate()
            process.wait(FORWARD_TIMEOUT_S)

    @contextmanager
    def admin_ports(self) -> Iterator[dict[str, Gateway]]:
        """The admin port of every gateway, by pod."""
        with ExitStack() as stack:
            yield {pod: stack.enter_context(self.forward(f"pod/{pod}", ADMIN_PORT)) for pod in sorted(self.gateways())}


def local_port(process: subprocess.Popen, target: str) -> int:
    """Which port kubectl has taken; it says so in its first line. What it says later is read, so that it never waits."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    try:
        said = lines.get(timeout=FORWARD_TIMEOUT_S)
    except queue.Empty:
        raise ClusterError(f"port-forward to {target}: no answer within {FORWARD_TIMEOUT_S} s") from None
    found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ->", said)
    if not found:
        raise ClusterError(f"port-forward to {target}: {said.strip() or 'it ended without a word'}")
    return int(found[1])
