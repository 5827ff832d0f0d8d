"""Builds and runs images without a daemon: buildah for the one, podman and runc for the other.

Nothing of the machine's own settings is used: podman gets a configuration of its own, which works without systemd and
inside containers. Containers publish the image's ports at free ones of the loopback address, so that tests can run while a
gateway is up. Every command has a bound.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
TOOLS = ("buildah", "podman", "runc")
COMMAND_TIMEOUT_S = 300
START_TIMEOUT_S = 30
POLL_S = 0.02
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# What a careful operator asks for. The state folder is all that can be written.
HARDENED = (
    *("--read-only", "--cap-drop=ALL", "--security-opt", "no-new-privileges", "--memory", "512m", "--user", "65532"),
    *("--tmpfs", "/var/lib/tidegate:size=16m"),
)
SERVES_DIGITS = (
    *("-v", f"{DIGITS / 'repository'}:/models:ro", "-v", f"{DIGITS / 'tidegate.toml'}:/etc/tidegate/tidegate.toml:ro"),
    *("-e", "TIDEGATE_CONFIG=/etc/tidegate/tidegate.toml"),
)


def reason_to_skip() -> str | None:
    """Why no image can be built here; None where it can."""
    if not sys.platform.startswith("linux"):
        return f"containers need Linux, this is {sys.platform}"
    if os.geteuid() != 0:
        return "building and running images takes root"
    local_base = () if os.environ.get("TIDEGATE_BASE_IMAGE") or os.environ.get("TIDEGATE_IMAGE") else ("mmdebstrap",)
    missing = [tool for tool in (*TOOLS, *local_base) if not shutil.which(tool)]
    return f"{', '.join(missing)} not installed" if missing else None


class Engine:
    """podman with our configuration; `folder` is for its files and whatever tests leave behind."""

    def __init__(self, folder: Path):
        configuration = folder / "containers.conf"
        configuration.write_text(CONTAINERS_CONF)
        self.environment = {**os.environ, "CONTAINERS_CONF": str(configuration)}

    def call(self, *arguments: str) -> subprocess.CompletedProcess:
        """One podman command, whatever becomes of it."""
        command = ("podman", *arguments)
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )

    def ask(self, *arguments: str) -> str:
        """One podman command that has to succeed."""
        outcome = self.call(*arguments)
        assert outcome.returncode == 0, f"podman {' '.join(arguments)}: {outcome.stderr}"
        return outcome.stdout.strip()

    @contextmanager
    def container(self, image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
        """A container from its start to its removal."""
        published = ("-p", "127.0.0.1::8500", "-p", "127.0.0.1::8501", "-p", "127.0.0.1::8502")
        container = Container(self, self.ask("run", "--detach", *published, *options, image, *command))
        try:
            yield container
        finally:
            self.call("rm", "--force", "--time", "0", container.name)

    @contextmanager
    def files(self, image: str) -> Iterator[Path]:
        """The image's file system, to look at."""
        yield Path(self.ask("image", "mount", image))
        self.ask("image", "unmount", image)

    def compressed_size(self, image: str) -> int:
        """Bytes of the layers as a registry keeps them."""
        with tempfile.TemporaryDirectory() as folder:
            self.ask("push", "--quiet", "--compress", image, f"dir:{folder}")
            manifest = json.loads((Path(folder) / "manifest.json").read_text())
            return sum(layer["size"] for layer in manifest["layers"])


class Container:
    """A running container of the image; addresses are `host:port` on this machine."""

    def __init__(self, engine: Engine, name: str):
        self.engine = engine
        self.name = name

    def address(self, port: int) -> str:
        return self.engine.ask("port", self.name, f"{port}/tcp").splitlines()[0]

    def inspect(self) -> dict:
        return json.loads(self.engine.ask("inspect", self.name))[0]

    def is_running(self) -> bool:
        return self.inspect()["State"]["Running"]

    def log(self) -> str:
        outcome = self.engine.call("logs", self.name)
        return outcome.stdout + outcome.stderr

    def exec(self, *command: str) -> subprocess.CompletedProcess:
        return self.engine.call("exec", self.name, *command)

    def process_folder(self) -> Path:
        """/proc/PID of the gateway, as this machine sees it."""
        return Path("/proc") / str(self.inspect()["State"]["Pid"])

    def wait_until_ready(self) -> None:
        until = time.monotonic() + START_TIMEOUT_S
        url = f"http://{self.address(8502)}/readyz"
        while not answers(url):
            assert self.is_running(), f"the container ended:\n{self.log()}"
            assert time.monotonic() < until, f"not ready after {START_TIMEOUT_S} s:\n{self.log()}"
            time.sleep(POLL_S)

    def wait(self) -> int:
        """The exit status, once it has ended."""
        return int(self.engine.ask("wait", "--interval", "20ms", self.name))


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def post(url: str, body: bytes) -> dict:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
        return json.load(answer)


if __name__ == "__main__":
    # For the Makefile, which compiles nothing for tests that will be skipped.
    sys.exit(reason_to_skip())
