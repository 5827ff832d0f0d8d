"""Installs what the pipeline runs on into a virtual environment of its own: environment.py FOLDER

2 GB, remade only when requirements.txt or the version of Python changes. Where TensorFlow cannot be installed - no
wheels for this Python or machine, no room, no network - it says why and ends with status 3, so that a test suite can
go on without. Needs nothing but Python's standard library.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
# For which the pinned wheels are there.
PYTHONS = ((3, 11), (3, 13))
MACHINES = (("Linux", "x86_64"),)
# What is installed, and the wheels beside it while they are.
ROOM = 4 << 30
TIME_LIMIT_S = 900
CANNOT = 3


class CannotInstall(Exception):
    """Why not, in one line."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--look", action="store_true", help="install nothing; status 0 if it is there")
    options = parser.parse_args(arguments)
    if is_installed(options.folder):
        return 0
    if options.look:
        print(f"not installed in {options.folder}")
        return CANNOT
    try:
        install(options.folder)
    except (CannotInstall, OSError) as error:
        print(f"TensorFlow cannot be installed here: {error}")
        return CANNOT
    return 0


def is_installed(folder: Path) -> bool:
    stamp = folder / "installed"
    return stamp.is_file() and stamp.read_text() == fingerprint()


def fingerprint() -> str:
    """Changes with the pins and with the Python that they were installed for."""
    version = "{}.{}".format(*sys.version_info)
    return f"{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()} Python {version}\n"


def install(folder: Path) -> None:
    if reason := unfit(sys.version_info[:2], (platform.system(), platform.machine())):
        raise CannotInstall(reason)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(folder.parent).free) < ROOM:
        raise CannotInstall(f"{free >> 20} MiB are free at {folder.parent}, and {ROOM >> 20} are needed")
    print(f"installing TensorFlow and what belongs to it into {folder}: 2 GB, a minute or two", flush=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Exactly what the file says: a package that it misses would otherwise come in any version.
    pip += ["--no-deps", "--only-binary=:all:", "-r", str(REQUIREMENTS)]
    for command in ([sys.executable, "-m", "venv", str(folder)], pip):
        run(command)
    (folder / "installed").write_text(fingerprint())


def unfit(python: tuple[int, int], machine: tuple[str, str]) -> str | None:
    """Why the pins have no wheels for this Python or this machine."""
    if not PYTHONS[0] <= python <= PYTHONS[1]:
        first, last = (f"{major}.{minor}" for major, minor in PYTHONS)
        return f"its wheels are for Python {first} to {last}, and this is {python[0]}.{python[1]}"
    if machine not in MACHINES:
        return f"its wheels are for {' and '.join(map(' on '.join, MACHINES))}, and this is {' on '.join(machine)}"
    return None


def run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"not done within {TIME_LIMIT_S} s") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise CannotInstall(lines[-1] if lines else f"{command[0]} ended with status {done.returncode}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
