"""Starts and stops the real `tidegate` binary for the conformance suite.

It binds port 0 and reads the ports that it got from the file that `--ports-file` names, so suites can run
side by side. Stopping is part of the claim: SIGTERM must drain and end with status 0. Every wait has a
bound, and whatever goes wrong is reported with the end of the gateway's own log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import requests

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
POLL_S = 0.02
# These would override the configuration file that a test writes.
FOREIGN_VARIABLES = (
    *("MODEL_NAME", "MODEL_BASE_PATH", "BATCH_SIZE", "MAX_BATCH_SIZE"),
    *("TIDEGATE_MAX_QUEUE_DELAY", "TIDEGATE_SLO"),
)


def binary() -> Path:
    """The gateway under test: TIDEGATE_BIN, or the development build."""
    path = Path(os.environ.get("TIDEGATE_BIN") or REPOSITORY_ROOT / "target" / "debug" / "tidegate")
    if not path.is_file():
        raise RuntimeError(f"no gateway at {path}: run `make conformance`, or name a binary in TIDEGATE_BIN")
    return path.absolute()


class Gateway:
    """One gateway process, from `start` to `stop`."""

    def __init__(self, folder: Path, config: str, listeners: tuple[str, ...] = ("127.0.0.1:0",)):
        self.folder = folder
        self.listeners = listeners
        self.log = folder / "gateway.log"
        self.config = folder / "tidegate.toml"
        self.config.write_text(config)
        self.data = ""
        self.admin = ""
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Returns when the gateway is ready; raises RuntimeError if that cannot be."""
        ports = self.folder / "ports.json"
        command = [
            *(str(binary()), "serve", "--config", str(self.config)),
            *("--data-address", ",".join(self.listeners), "--admin-address", "127.0.0.1:0"),
            *("--ports-file", str(ports)),
        ]
        environment = {k: v for k, v in os.environ.items() if k not in FOREIGN_VARIABLES}
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            self._until(deadline, "listening ports", ports.exists)
            addresses = json.loads(ports.read_text())
            self.data, self.admin = addresses["data"], addresses["admin"]
            self._until(deadline, "readiness", self._is_ready)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def listening(self) -> list[str]:
        """Every data listener, in the order in which they were given."""
        return json.loads((self.folder / "ports.json").read_text())["listeners"]

    def stop(self) -> None:
        """Fails unless the gateway was still there and ends by itself when asked to."""
        if self._process.poll() is not None:
            raise AssertionError(f"the gateway ended by itself, status {self._process.returncode}:\n{self.log_end()}")
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"still there {STOP_TIMEOUT_S} s after SIGTERM:\n{self.log_end()}") from None
        assert status == 0, f"SIGTERM must drain and end with status 0, not {status}:\n{self.log_end()}"

    def url(self, path: str) -> str:
        return f"http://{self.data}{path}"

    def admin_url(self, path: str) -> str:
        return f"http://{self.admin}{path}"

    def log_end(self, lines: int = 15) -> str:
        """The last lines of the gateway's log, for a failure's report."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _is_ready(self) -> bool:
        try:
            return requests.get(self.url("/v2/health/ready"), timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def _until(self, deadline: float, what: str, holds) -> None:
        while not holds():
            if self._process.poll() is not None:
                status = self._process.returncode
                raise RuntimeError(f"the gateway ended with status {status} before {what}:\n{self.log_end()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"no {what} after {START_TIMEOUT_S} s:\n{self.log_end()}")
            time.sleep(POLL_S)
