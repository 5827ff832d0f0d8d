#!/usr/bin/env python3
"""Builds the fuzz targets of fuzz/ and runs each for a bounded time, from the golden vectors as seeds.

libFuzzer drives them. Its C++ is built by the crate that brings it, so a C++ compiler is needed; without one nothing is
run, and that is said. The instrumentation is LLVM's own, which a stable compiler has, too.

An input that breaks a target is kept under target/fuzz/artifacts; run the target's program on it to see it again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "target" / "fuzz"
SEEDS = ROOT / "proto" / "tests" / "golden"
COMPILERS = ("c++", "g++", "clang++")
# What cargo-fuzz passes, without the sanitizer, which needs an unstable compiler.
FLAGS = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
]
MAX_INPUT = 4096
# Of one input. The targets themselves hold their decoders to a share of the input's size.
TIMEOUT_S = 10
RSS_LIMIT_MB = 2048


def targets() -> list[str]:
    """The names of all targets: a program each, under fuzz/targets."""
    return sorted(path.stem.replace("_", "-") for path in (ROOT / "fuzz" / "targets").glob("*.rs"))


def host() -> str:
    """The compiler's own platform. Named as the target, it keeps the flags away from build scripts and macros."""
    said = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return next(line.removeprefix("host: ") for line in said.splitlines() if line.startswith("host: "))


def build(platform: str) -> Path:
    """Where the built programs are."""
    environment = os.environ | {"RUSTFLAGS": " ".join(FLAGS)}
    command = ["cargo", "build", "--release", "--locked", "--manifest-path", str(ROOT / "fuzz" / "Cargo.toml")]
    command += ["--target", platform, "--target-dir", str(WORK)]
    subprocess.run(command, check=True, env=environment)
    return WORK / platform / "release"


def command(program: Path, corpus: Path, seeds: Path, artifacts: Path, seconds: int) -> list[str]:
    """One bounded run. New inputs are kept in the corpus, for the next one."""
    folders = [str(corpus), *([str(seeds)] if seeds.is_dir() else [])]
    options = {
        "max_total_time": seconds,
        "max_len": MAX_INPUT,
        "timeout": TIMEOUT_S,
        "rss_limit_mb": RSS_LIMIT_MB,
        "artifact_prefix": f"{artifacts}/",
        "print_final_stats": 1,
        "verbosity": 0,
    }
    return [str(program), *(f"-{key}={value}" for key, value in options.items()), *folders]


def run(name: str, programs: Path, seconds: int) -> bool:
    """Whether nothing broke it; tells how many inputs were tried, or what broke it."""
    corpus, artifacts = WORK / "corpus" / name, WORK / "artifacts" / name
    for folder in (corpus, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    line = command(programs / name, corpus, SEEDS / name, artifacts, seconds)
    done = subprocess.run(line, capture_output=True, text=True, errors="replace")
    said = done.stdout + done.stderr
    if done.returncode == 0:
        print(f"{name}: {tried(said)} inputs in {seconds} s, none broke it", flush=True)
        return True
    print(f"{name}: broken, status {done.returncode}; the input is under {artifacts}\n{said[-4000:]}", flush=True)
    return False


def tried(said: str) -> str:
    """How many inputs libFuzzer says that it tried."""
    for line in said.splitlines():
        if line.startswith("stat::number_of_executed_units:"):
            return line.split(":")[-1].strip()
    return "an unknown number of"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("targets", nargs="*", help="default: all")
    options = parser.parse_args(arguments)
    known = targets()
    if unknown := [name for name in options.targets if name not in known]:
        parser.error(f"no target {unknown[0]!r}; the targets are {', '.join(known)}")
    if not any(shutil.which(compiler) for compiler in COMPILERS):
        print(f"skipped: none of {', '.join(COMPILERS)} is here, and libFuzzer is built with a C++ compiler")
        return 0
    programs = build(host())
    return 0 if all([run(name, programs, options.seconds) for name in options.targets or known]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
