#!/usr/bin/env python3
"""Builds the image with whichever of buildah, podman and docker is here, and fills in what its labels say.

    python3 scripts/image_build.py --tag tidegate:dev                       # all of it, from the public images
    python3 scripts/image_build.py --tag tidegate:dev --variant cuda
    python3 scripts/image_build.py --tag tidegate:dev --prebuilt target/release-fast/tidegate --base localhost/base
    python3 scripts/image_build.py --print-arguments                        # for a builder of your own

With --prebuilt nothing is compiled: the binary is laid out here, and takes the place of the stages before the last one.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import image_root

ROOT = Path(__file__).resolve().parent.parent
# HEALTHCHECK stands in images of docker's format only; the chroot needs no rights that a container lacks.
COMMANDS = {
    "buildah": ("buildah", "build", "--isolation", "chroot", "--format", "docker"),
    "podman": ("podman", "build", "--isolation", "chroot", "--format", "docker"),
    "docker": ("docker", "buildx", "build", "--load"),
}


def version() -> str:
    manifest = (ROOT / "Cargo.toml").read_text()
    return re.search(r'^\[workspace\.package\]\nversion = "([^"]+)"$', manifest, re.MULTILINE).group(1)


def commit() -> tuple[str, int]:
    """The checkout's commit and its time; outside of a checkout, nothing and the beginning of time."""
    command = ["git", "log", "-1", "--format=%H %ct"]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        return "unknown", 0
    revision, seconds = outcome.stdout.split()
    return revision, int(seconds)


def arguments(variant: str, base: str | None = None) -> dict[str, str]:
    """The Dockerfile's arguments. The time is the commit's: the same sources give the same labels."""
    revision, seconds = commit()
    created = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    known = {"VARIANT": variant, "VERSION": version(), "REVISION": revision, "CREATED": created}
    return {**known, "BASE_IMAGE": base} if base else known


def command(builder: str, tag: str, filled_in: dict[str, str], binaries: Path | None = None) -> list[str]:
    given = [part for name, value in filled_in.items() for part in ("--build-arg", f"{name}={value}")]
    instead = ["--build-context", f"binaries={binaries}"] if binaries else []
    return [*COMMANDS[builder], *given, *instead, "--tag", tag, str(ROOT)]


def installed_builder() -> str | None:
    return next((name for name in COMMANDS if shutil.which(name)), None)


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Builds the gateway's image.")
    parser.add_argument("--tag", help="what to call it")
    parser.add_argument("--variant", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--base", metavar="IMAGE", help="in place of the base that the Dockerfile names")
    parser.add_argument("--prebuilt", type=Path, metavar="FILE", help="a gateway that is compiled already, for Debian 12 or older")
    parser.add_argument("--print-arguments", action="store_true", help="print the Dockerfile's arguments, one a line, and build nothing")
    options = parser.parse_args(given)
    filled_in = arguments(options.variant, options.base)
    if options.print_arguments:
        print("\n".join(f"{name}={value}" for name, value in filled_in.items()))
        return 0
    builder = installed_builder()
    if not options.tag or not builder:
        parser.error("--tag is missing" if builder else f"none of {', '.join(COMMANDS)} is installed")
    binaries = None
    if options.prebuilt:
        binaries = ROOT / "target" / "image" / options.variant
        if image_root.main(["--binary", str(options.prebuilt), "--into", str(binaries), "--variant", options.variant]) != 0:
            return 1
    return subprocess.run(command(builder, options.tag, filled_in, binaries), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
