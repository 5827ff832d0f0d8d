"""The workflows, read by linters that others wrote and held to a few rules of ours. Nothing is sent anywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import HERE, ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONLINT = ROOT / ".deps" / "actionlint"
# The package is older than these.
UNKNOWN_TO_ACTIONLINT = ('label "ubuntu-24.04" is unknown', 'unknown permission scope "attestations"')
INJECTION = """
name: bad
on: pull_request_target
permissions: {}
jobs:
  bad:
    runs-on: ubuntu-24.04
    steps:
      - run: echo "${{ github.event.pull_request.title }}"
"""


def steps() -> Iterator[tuple[str, dict]]:
    for workflow in WORKFLOWS:
        for name, job in yaml.safe_load(workflow.read_text())["jobs"].items():
            for number, step in enumerate(job["steps"], start=1):
                yield f"{workflow.name}, {name}, step {number}", step


def run(*command: str, stdin: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)


def zizmor(tools: Path, *files: Path) -> subprocess.CompletedProcess:
    return run(str(tools / "zizmor"), "--offline", "--no-progress", "--color=never", *map(str, files))


def actionlint(*files: Path) -> list[str]:
    if not (ACTIONLINT / "installed").is_file():
        pytest.skip(f"{ACTIONLINT} holds no actionlint; `make tools` installs it where there is npm")
    outcome = run("node", str(HERE / "actionlint.mjs"), str(ACTIONLINT), *map(str, files))
    assert outcome.returncode == 0, outcome.stderr
    return [line for line in outcome.stdout.splitlines() if not any(known in line for known in UNKNOWN_TO_ACTIONLINT)]


@pytest.fixture
def injection(tmp_path: Path) -> Path:
    path = tmp_path / ".github" / "workflows" / "bad.yml"
    path.parent.mkdir(parents=True)
    path.write_text(INJECTION)
    return path


def test_every_action_is_pinned_by_commit_and_says_which_version_that_is():
    used = [line.strip() for workflow in WORKFLOWS for line in workflow.read_text().splitlines() if re.search(r"\buses:", line)]
    assert used
    assert [line for line in used if not re.search(r"uses: [\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []


def test_one_action_has_one_pin():
    pins = {tuple(step["uses"].split("@")) for _, step in steps() if "uses" in step}
    assert len(pins) == len({action for action, _ in pins})


def test_zizmor_finds_nothing(tools: Path):
    outcome = zizmor(tools, *WORKFLOWS)
    assert outcome.returncode == 0, outcome.stdout


def test_zizmor_would_find_an_injection(tools: Path, injection: Path):
    outcome = zizmor(tools, injection)
    assert outcome.returncode != 0 and "template-injection" in outcome.stdout


def test_actionlint_finds_nothing():
    assert actionlint(*WORKFLOWS) == []


def test_actionlint_would_find_an_injection(injection: Path):
    assert any("potentially untrusted" in line for line in actionlint(injection))


@pytest.mark.parametrize(("where", "script"), [(where, step["run"]) for where, step in steps() if "run" in step])
def test_a_script_is_sound_and_takes_nothing_from_an_expression(tools: Path, where: str, script: str):
    assert "${{" not in script, where
    outcome = run(str(tools / "shellcheck"), "--shell=bash", "-", stdin=script)
    assert outcome.returncode == 0, f"{where}: {outcome.stdout}"


def test_every_job_has_an_end_and_names_its_rights():
    for workflow in WORKFLOWS:
        content = yaml.safe_load(workflow.read_text())
        assert content["permissions"] == {} and "concurrency" in content, workflow.name
        for name, job in content["jobs"].items():
            assert job["timeout-minutes"] <= 90 and "permissions" in job, f"{workflow.name}, {name}"


def test_only_what_publishes_may_write():
    writers = {
        f"{workflow.name}, {name}"
        for workflow in WORKFLOWS
        for name, job in yaml.safe_load(workflow.read_text())["jobs"].items()
        if "write" in job["permissions"].values()
    }
    assert writers == {"release.yml, image"}


def test_every_checkout_forgets_its_token():
    checkouts = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize(
    ("script", "options"),
    sorted({(found[0], found[1]) for _, step in steps() for found in re.findall(r"scripts/(\w+\.py)([^\n>]*)", step.get("run", ""))}),
)
def test_every_script_that_is_called_is_there_and_knows_its_options(script: str, options: str):
    words = options.split()
    step = [word for word in words[:1] if re.fullmatch(r"[a-z]+", word)]
    known = run(sys.executable, str(ROOT / "scripts" / script), *step, "--help").stdout
    asked = set(re.findall(r"--[a-z][a-z0-9-]*", options))
    assert {option for option in asked if not re.search(rf"{option}\b", known)} == set()
