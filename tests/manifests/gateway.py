"""The real `tidegate` binary, where it is built: what the manifests give it must be what it takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from checks.pods import config_name
from rendered import ROOT, Manifests, at

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
POLL_S = 0.02
REPOSITORY = ROOT / "examples" / "digits" / "repository"


def binary() -> Path:
    """As the conformance suite has it: TIDEGATE_BIN, or the development build."""
    path = Path(os.environ.get("TIDEGATE_BIN") or ROOT / "target" / "debug" / "tidegate")
    if not path.is_file():
        pytest.skip(f"no gateway at {path}: build it, or name one in TIDEGATE_BIN")
    return path.absolute()


def tidegate(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(binary()), *arguments], capture_output=True, text=True, timeout=60, env=environment or clean()
    )


def clean() -> dict[str, str]:
    """This shell's variables, without those that would speak for the manifests."""
    ours = ("TIDEGATE_", "MODEL_", "BATCH_SIZE", "MAX_BATCH_SIZE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def environment(manifests: Manifests, folder: Path, repository: Path = REPOSITORY) -> dict[str, str]:
    """What the container would see, with the volumes laid out under `folder` and the models of the demo."""
    (container,) = manifests.gateway()["spec"]["template"]["spec"]["containers"]
    config = manifests.named("ConfigMap", config_name(container))["data"]
    traffic = manifests.named("ConfigMap", "tidegate-traffic")["data"]["traffic.toml"]
    keys = (ROOT / "k8s" / "overlays" / "dev" / "api_key").read_text()
    variables = clean()
    for one in container["env"]:
        source = at(one, "valueFrom", "configMapKeyRef")
        variables[one["name"]] = config[source["key"]] if source else one["value"]
    for name, content in (
        ("TIDEGATE_CONFIG", config["tidegate.toml"]),
        ("TIDEGATE_TRAFFIC", traffic),
        ("TIDEGATE_API_KEYS", keys),
    ):
        file = folder / Path(variables[name]).name
        file.write_text(content)
        variables[name] = str(file)
    variables["MODEL_BASE_PATH"] = str(repository)
    variables["TIDEGATE_STATE"] = str(folder / "state")
    return variables


class Gateway:
    def __init__(self, process: subprocess.Popen, log: Path, addresses: dict):
        self.process, self.log, self.addresses = process, log, addresses

    def ask(self, port: str, path: str, key: str | None = None, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body; `port` is "data" or "admin"."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(f"http://{self.addresses[port]}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()

    def until(self, question) -> None:
        """Waits until the question is answered with yes; bounded."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not question():
            assert self.process.poll() is None, f"the gateway ended: {self.log.read_text()}"
            assert time.monotonic() < deadline, f"waited in vain: {self.log.read_text()}"
            time.sleep(POLL_S)


@contextmanager
def serving(folder: Path, variables: dict[str, str]):
    """A gateway that listens; it must end well when it is told to, as the kubelet tells it."""
    ports, log = folder / "ports.json", folder / "gateway.log"
    command = [str(binary()), "serve", "--data-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]
    with open(log, "wb") as sink:
        process = subprocess.Popen([*command, "--ports-file", str(ports)], env=variables, stdout=sink, stderr=sink)
    try:
        gateway = Gateway(process, log, {})
        gateway.until(ports.exists)
        gateway.addresses = json.loads(ports.read_text())
        yield gateway
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_TIMEOUT_S) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
