#!/usr/bin/env python3
"""The two steps of a release that are more than one command: what to build with, and whether what was pushed answers.

    python3 scripts/image_release.py given --tag v0.1.0 --variant cuda    # for the workflow's outputs
    python3 scripts/image_release.py ask --image ghcr.io/tidegate/tidegate@sha256:... --bill tidegate.cdx.json

`ask` starts the image with docker as a careful operator would (read-only, no capabilities) on the digits demo, asks it the
samples, stops it, and takes its bill of materials out of it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import image_build
import smoke_test
from gateway_client import Gateway

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits"
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=1g", "--tmpfs=/var/lib/tidegate:mode=1777")
MOUNTS = (
    f"--volume={DIGITS / 'repository'}:/models:ro",
    f"--volume={DIGITS / 'tidegate.toml'}:/etc/tidegate/tidegate.toml:ro",
    "--env=TIDEGATE_CONFIG=/etc/tidegate/tidegate.toml",
)
BILL = "/usr/share/sbom/tidegate.cdx.json"
COMMAND_TIMEOUT_S = 300
START_TIMEOUT = "60s"


class ReleaseError(Exception):
    """What does not fit, or which command failed and how."""


def given(tag: str, variant: str) -> str:
    """Lines for a workflow's outputs: `arguments`, one a line, and `tag`. The tag has to be the crate's version."""
    version = image_build.version()
    if tag != f"v{version}":
        raise ReleaseError(f"the tag is {tag}, but Cargo.toml says {version}; expected the tag v{version}")
    lines = "\n".join(f"{name}={value}" for name, value in image_build.arguments(variant).items())
    return f"arguments<<END\n{lines}\nEND\ntag={version}{'' if variant == 'cpu' else f'-{variant}'}"


def ask(image: str, bill: Path) -> None:
    container = docker("run", "--detach", *HARDENED, *MOUNTS, "--publish=127.0.0.1::8501", image)
    try:
        docker("exec", container, "/usr/local/bin/tidegate", "probe", "--wait", START_TIMEOUT)
        address = docker("port", container, "8501/tcp").splitlines()[0]
        problems = smoke_test.wrong_answers(Gateway(f"http://{address}"), smoke_test.questions(DIGITS / "samples", "digits"))
        if problems:
            raise ReleaseError("; ".join(problems))
        docker("cp", f"{container}:{BILL}", str(bill))
        docker("stop", container)
        status = docker("inspect", "--format={{.State.ExitCode}}", container)
        if status != "0":
            raise ReleaseError(f"SIGTERM ended it with status {status}, expected 0")
    finally:
        docker("rm", "--force", container)


def docker(*arguments: str) -> str:
    outcome = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if outcome.returncode != 0:
        raise ReleaseError(f"docker {' '.join(arguments[:2])}: {outcome.stderr.strip()}")
    return outcome.stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Steps of a release.")
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("given", help="what to build with")
    step.add_argument("--tag", required=True)
    step.add_argument("--variant", choices=("cpu", "cuda"), required=True)
    step = steps.add_parser("ask", help="whether an image answers rightly")
    step.add_argument("--image", required=True)
    step.add_argument("--bill", type=Path, required=True, metavar="FILE", help="where its bill of materials goes")
    options = parser.parse_args(arguments)
    try:
        if options.step == "given":
            print(given(options.tag, options.variant))
        else:
            ask(options.image, options.bill)
    except (ReleaseError, subprocess.TimeoutExpired, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
