"""One small pipeline for all tests: digits at 32x32, one epoch, a few hundred images; every stage as it is.

Its work folder is made once. A test that changes something works on a copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parent.parent
# As `pipeline.py` has them; some tests run stages in this process.
os.environ.update(ORT_DISABLE_TELEMETRY="1", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="2")
sys.path.insert(0, str(EXAMPLE))

from keras_cnn import gateway, road
from keras_cnn.settings import Settings, as_flags

# Small steps, so that one epoch of 480 images teaches enough to tell a right conversion from a wrong one.
REDUCED = Settings(size=32, images=800, epochs=1, batch_size=4, calibration=32, rounds=1)
TIMEOUT_S = 300


class Pipeline:
    """A work folder and a repository, and `pipeline.py` on them."""

    def __init__(self, folder: Path, tidegate: Path):
        self.work = folder / "work"
        self.settings = replace(REDUCED, repository=folder / "repository", tidegate=tidegate)

    def command(self, stage: str, *flags: str) -> list[str]:
        fixed = [sys.executable, str(EXAMPLE / "pipeline.py"), stage, f"--work={self.work}"]
        return [*fixed, *as_flags(self.settings), *flags]

    def run(self, stage: str, *flags: str) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(stage, *flags), capture_output=True, text=True, timeout=TIMEOUT_S)

    def shop(self):
        return road.workshop(self.work, self.settings)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory) -> Path:
    """A `tidegate` that only pushes."""
    program = tmp_path_factory.mktemp("bin") / "tidegate"
    program.write_text(f"#!{sys.executable}\n{(EXAMPLE / 'tests' / 'stand_in.py').read_text()}")
    program.chmod(0o755)
    return program


def able_tidegate() -> tuple[Path | None, str]:
    """A gateway that can push, or the reason why there is none."""
    named = os.environ.get("TIDEGATE_BIN")
    path = Path(named).absolute() if named else gateway.BUILT
    if not path.is_file():
        return None, f"there is no tidegate at {path}; TIDEGATE_BIN names another"
    if subprocess.run([path, "model", "push", "--help"], capture_output=True).returncode:
        return None, f"{path} has no `model push`"
    return path, ""


@pytest.fixture
def tidegate() -> Path:
    path, reason = able_tidegate()
    if path is None:
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def first_run(tmp_path_factory, stand_in) -> tuple[Pipeline, subprocess.CompletedProcess]:
    pipeline = Pipeline(tmp_path_factory.mktemp("pipeline"), stand_in)
    return pipeline, pipeline.run("run")


@pytest.fixture
def made(first_run, tmp_path) -> Pipeline:
    """A copy of the pipeline after its first run, to change at will."""
    original, ran = first_run
    assert ran.returncode == 0, ran.stdout + ran.stderr
    pipeline = Pipeline(tmp_path, original.settings.tidegate)
    shutil.copytree(original.work, pipeline.work)
    shutil.copytree(original.settings.repository, pipeline.settings.repository)
    return pipeline
