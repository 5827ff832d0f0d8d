"""Installs the peers of `make bench-peers`: python install.py [--into FOLDER] [PEER ...]

Each gets a virtual environment of its own, FOLDER/<peer>, remade only when its requirements.txt changes, and
FOLDER/<peer>.log with what pip said. A peer that cannot be installed here is no failure of the others: the reason goes
into FOLDER/<peer>.skipped, the benchmark prints it, and this script ends well.
"""
import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
# For one peer; the largest is 100 MB to fetch.
TIME_LIMIT_S = 900


class Skipped(Exception):
    """Why a peer is not there."""


def main():
    peers = sorted(file.parent.name for file in HERE.glob("*/requirements.txt"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=REPOSITORY / ".deps" / "peers", metavar="FOLDER")
    parser.add_argument("--time-limit", type=float, default=TIME_LIMIT_S, metavar="SECONDS", help="for each peer")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(peers)}; all unless named")
    options = parser.parse_args()
    unknown = sorted(set(options.peers) - set(peers))
    if unknown:
        parser.error(f"no peer {', '.join(unknown)}; there are {', '.join(peers)}")
    options.into.mkdir(parents=True, exist_ok=True)
    for peer in options.peers or peers:
        reason = options.into / f"{peer}.skipped"
        try:
            print(f"{peer}: {install(peer, options.into, options.time_limit)}", flush=True)
            reason.unlink(missing_ok=True)
        except (Skipped, OSError) as skipped:
            print(f"{peer}: skipped: {skipped}", flush=True)
            reason.write_text(f"{skipped}\n")


def install(peer, into, time_limit):
    """Returns what it found to do."""
    requirements = HERE / peer / "requirements.txt"
    environment = into / peer
    stamp = environment / "installed"
    wanted = fingerprint(requirements)
    if stamp.is_file() and stamp.read_text() == wanted:
        return "installed already"
    shutil.rmtree(environment, ignore_errors=True)
    log = into / f"{peer}.log"
    python = str(environment / "bin" / "python")
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    with log.open("w") as output:
        for command in (
            [sys.executable, "-m", "venv", str(environment)],
            [python, *pip, "--no-cache-dir", "--no-deps", "-r", str(requirements)],
        ):
            run(command, output, time_limit)
    stamp.write_text(wanted)
    return "installed"


def fingerprint(requirements):
    """Changes with the pins and with the Python that they were installed for."""
    version = "{}.{}".format(*sys.version_info)
    return f"{hashlib.sha256(requirements.read_bytes()).hexdigest()} Python {version}\n"


def run(command, output, time_limit):
    try:
        done = subprocess.run(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, timeout=time_limit)
    except subprocess.TimeoutExpired:
        raise Skipped(f"not installed within {time_limit:.0f} s") from None
    if done.returncode != 0:
        raise Skipped(f"cannot be installed here: {last_line(Path(output.name))}")


def last_line(log):
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "its log is empty"


if __name__ == "__main__":
    main()
