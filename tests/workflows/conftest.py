"""A cluster of one real gateway, behind a kubectl that is a script (`kubectl` beside this file).

The scripts under test run as the workflows run them, as commands; the gateway is the one of the conformance suite.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DIGITS = ROOT / "examples" / "digits"
SAMPLES = DIGITS / "samples"
COMMAND_TIMEOUT_S = 120

sys.path.insert(0, str(ROOT / "tests" / "conformance"))

from gateway import Gateway  # noqa: E402

CONFIG = """
[repository]
path = "{folder}/repository"
default_model = "digits"
poll_interval = "200ms"

[traffic]
path = "{folder}/traffic.toml"
"""
TRAFFIC = """# Moved by hand until now.
[models.digits]
labels = { blue = 1, green = 2 }
weights = { blue = 90, green = 10 }
"""


class FakeCluster:
    """The folder that the fake kubectl works on, and the gateway that it leads to."""

    def __init__(self, folder: Path):
        self.folder = folder
        shutil.copytree(DIGITS / "repository", folder / "repository")
        (folder / "traffic.toml").write_text(TRAFFIC)
        self.gateway = Gateway(folder, CONFIG.format(folder=folder))
        self.gateway.start()
        data, admin = (int(address.rsplit(":", 1)[1]) for address in (self.gateway.data, self.gateway.admin))
        self.set(data_port=data, admin_port=admin, revision=7, edition=1, rollout_fails=False, pod=None, applied=None)

    @property
    def state(self) -> dict:
        path = self.folder / "state.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def set(self, **values) -> None:
        (self.folder / "state.json").write_text(json.dumps({**self.state, **values}))

    def traffic(self) -> str:
        return (self.folder / "traffic.toml").read_text()

    def calls(self, *words: str) -> list[list[str]]:
        """What kubectl was asked that begins with these words."""
        path = self.folder / "calls"
        asked = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call for call in asked if call[: len(words)] == list(words)]

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, str(ROOT / "scripts" / script), "--namespace", "tidegate", *arguments]
        environment = {**os.environ, "PATH": f"{HERE}:{os.environ['PATH']}", "FAKE_CLUSTER": str(self.folder)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    fake = FakeCluster(tmp_path)
    try:
        yield fake
    finally:
        fake.gateway.stop()


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of the programs in tests/image/requirements.txt."""
    folder = Path(os.environ.get("TIDEGATE_TOOLS") or ROOT / ".deps" / "venv-tools" / "bin")
    if not (folder.parent / "installed").is_file():
        pytest.skip(f"{folder.parent} holds no tools; `make tools` installs them")
    return folder
