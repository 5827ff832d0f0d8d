"""The gateways that the suite talks to, mostly one process each for the whole run.

`digits` serves the demo's repository, `fixtures` the small models of `tests/fixtures/models`, of which some
must be refused while the others keep serving; `patient` keeps its callers waiting. Only `managed` is started for
each test anew, because a test changes what it serves. A failed test's report ends with the gateway's last log lines.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import REPOSITORY_ROOT, Gateway
from metrics import eventually, scrape, total

DIGITS = REPOSITORY_ROOT / "examples" / "digits"

DIGITS_CONFIG = f"""
[repository]
path = "{DIGITS / "repository"}"
default_model = "digits"

[models.digits]
labels = {{ blue = 1, green = 2 }}
weights = {{ blue = 90, green = 10 }}
batch_size = 8
max_batch_size = 64
max_queue_delay = "2ms"
"""

MODELS = REPOSITORY_ROOT / "tests" / "fixtures" / "models"

FIXTURES_CONFIG = f"""
[repository]
path = "{MODELS}"
"""

PATIENT_ROWS = 15
PATIENT_PLACES = 8

# Whoever brings fewer rows than that waits in the queue for as long as a test looks at it.
PATIENT_CONFIG = f"""
[repository]
path = "{{repository}}"

[limits]
max_body_size = "1MiB"

[defaults]
batch_size = {PATIENT_ROWS}
max_batch_size = {PATIENT_ROWS}
max_queue_delay = "25s"
max_queue_size = {PATIENT_PLACES}
"""


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    yield from serving(tmp_path_factory.mktemp("digits"), DIGITS_CONFIG)


@pytest.fixture(scope="session")
def fixtures(tmp_path_factory):
    yield from serving(tmp_path_factory.mktemp("fixtures"), FIXTURES_CONFIG)


@pytest.fixture
def patient(patient_process):
    """Serves `affine` alone, and waits for PATIENT_ROWS rows before it runs anything. Nobody waits there yet."""
    eventually(lambda: total(scrape(patient_process), "tidegate_queue_depth"), 0)
    return patient_process


@pytest.fixture(scope="session")
def patient_process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patient")
    shutil.copytree(MODELS / "affine", folder / "repository" / "affine")
    yield from serving(folder, PATIENT_CONFIG.format(repository=folder / "repository"))


@pytest.fixture
def repository(tmp_path):
    """A repository that the test may change: `affine`, version 1."""
    path = tmp_path / "repository"
    shutil.copytree(MODELS / "affine", path / "affine")
    return path


@pytest.fixture
def managed(tmp_path, repository):
    """A gateway of the test's own that lets its callers manage the repository and the settings."""
    yield from serving(tmp_path, f'[repository]\npath = "{repository}"\n[data]\nmanagement = true\n')


def serving(folder: Path, config: str) -> Iterator[Gateway]:
    """Ends the whole run if the gateway does not start: the reason once, instead of once a test."""
    gateway = Gateway(folder, config)
    try:
        gateway.start()
    except RuntimeError as error:
        pytest.exit(f"cannot test: {error}", returncode=1)
    yield gateway
    gateway.stop()


@pytest.fixture(scope="session")
def samples() -> dict[str, tuple[dict, list[int]]]:
    """The demo's sample bodies by file name, each with the digits that it shows."""
    expected = json.loads((DIGITS / "samples" / "expected.json").read_text())
    return {name: (json.loads((DIGITS / "samples" / name).read_text()), digits) for name, digits in expected.items()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        for name, value in item.funcargs.items():
            if isinstance(value, Gateway):
                report.sections.append((f"end of the log of gateway '{name}'", value.log_end()))
    return report
