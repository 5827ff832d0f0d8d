#!/usr/bin/env python3
"""Provides ONNX Runtime's shared library for this machine, checked by sha256; with --gpu the build for CUDA.

The official wheel is used as an archive only: pip downloads it, the library and its licence files are
taken out, and no Python code of it ever runs, so the local Python version does not matter. Nothing is
installed system-wide; everything lies under `.deps/onnxruntime/<version>/` of this repository.

The surprising part is how strict it is about the hash, on every run: opening a *truncated* library kills
the process with SIGBUS inside dlopen, where no error message is possible any more. The gateway pins the
same hashes, so a new version has to be entered in both places.

Needs Python 3.9 or newer with pip, and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

VERSION = "1.31.1"
REPOSITORY_ROOT = Path(__file__).resolve().parent.parent
LICENCE_FILES = ("LICENSE", "ThirdPartyNotices.txt")
DOWNLOAD_TIMEOUT_S = 900


@dataclass(frozen=True)
class Archive:
    """The wheel for one platform: where pip finds it and what its libraries must hash to."""

    wheel_platform: str
    library: str
    sha256: dict[str, str]
    package: str = "onnxruntime"

    @property
    def default_folder(self) -> Path:
        return REPOSITORY_ROOT / ".deps" / self.package / VERSION

    def members(self) -> dict[str, str]:
        """Path in the wheel of every file that we keep, by its name here; the library comes last."""
        keep = {name: f"onnxruntime/{name}" for name in LICENCE_FILES}
        others = (name for name in self.sha256 if name != self.library)
        for name in (*others, self.library):
            keep[name] = f"onnxruntime/capi/{name}"
        return keep


ARCHIVES = {
    ("Linux", "x86_64"): Archive(
        wheel_platform="manylinux_2_28_x86_64",
        library="libonnxruntime.so.1.31.1",
        sha256={
            "libonnxruntime.so.1.31.1": "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
            "libonnxruntime_providers_shared.so": "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
        },
    ),
    ("Linux", "aarch64"): Archive(
        wheel_platform="manylinux_2_28_aarch64",
        library="libonnxruntime.so.1.31.1",
        sha256={
            "libonnxruntime.so.1.31.1": "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
            "libonnxruntime_providers_shared.so": "3b6be288fbfb7dff8770d08a23defdde18e8f7e0f5a2b344a0e5e238c999ea88",
        },
    ),
    ("Darwin", "arm64"): Archive(
        wheel_platform="macosx_14_0_arm64",
        library="libonnxruntime.1.31.1.dylib",
        sha256={
            "libonnxruntime.1.31.1.dylib": "d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
        },
    ),
}

# The gateway pins the CPU build only: this one is named explicitly where it is used, in the image for CUDA. Its
# libraries must come from one wheel; TensorRT's provider is left out, because nothing here links against TensorRT.
GPU_ARCHIVES = {
    ("Linux", "x86_64"): Archive(
        package="onnxruntime-gpu",
        wheel_platform="manylinux_2_28_x86_64",
        library="libonnxruntime.so.1.31.1",
        sha256={
            "libonnxruntime.so.1.31.1": "5104254339ecadae808da771bd0b63b240f0dbd466514234905e54372435c303",
            "libonnxruntime_providers_shared.so": "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
            "libonnxruntime_providers_cuda.so": "8387867e857499e045caff5d13ac6a5de29571c801562fa2dde0e45f1f31de52",
        },
    ),
}


class FetchError(Exception):
    """Says in one line what is missing, where, and how to mend it."""


def archive_for(system: str, machine: str, archives: dict[tuple[str, str], Archive] = ARCHIVES) -> Archive:
    """The archive for a platform as `platform.system()` and `platform.machine()` spell it."""
    aliases = {("Linux", "amd64"): "x86_64", ("Linux", "arm64"): "aarch64", ("Darwin", "aarch64"): "arm64"}
    key = (system, aliases.get((system, machine.lower()), machine.lower()))
    if key not in archives:
        known = ", ".join(" ".join(known) for known in sorted(archives))
        raise FetchError(
            f"ONNX Runtime {VERSION}: no library is known for {system} {machine} (known: {known}); "
            "build or fetch one yourself and name it in ORT_DYLIB_PATH"
        )
    return archives[key]


def is_complete(folder: Path, archive: Archive) -> bool:
    """Whether every file is there and every library has its pinned hash."""
    try:
        licences = all((folder / name).stat().st_size > 0 for name in LICENCE_FILES)
        return licences and all(sha256_of(folder / name) == want for name, want in archive.sha256.items())
    except OSError:
        return False


def provide(folder: Path, archive: Archive, download=None) -> bool:
    """Makes `folder` complete; True if something had to be fetched.

    Files move into place one by one with a rename each, the library last: whoever sees the library sees
    a whole one, and a process that has the old one open keeps it.
    """
    if is_complete(folder, archive):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
            scratch = Path(temporary)
            wheel = (download or download_with_pip)(archive, scratch)
            unpack(wheel, archive, scratch)
            for name in archive.members():
                os.replace(scratch / name, folder / name)
    except OSError as error:
        raise FetchError(
            f"ONNX Runtime {VERSION}: cannot write {folder}: {error}; "
            "make room or mend the permissions, or choose another folder with --into"
        ) from error
    return True


def download_with_pip(archive: Archive, into: Path) -> Path:
    """Downloads the wheel with pip, which brings the user's own index, proxy and certificate settings."""
    if importlib.util.find_spec("pip") is None:
        raise FetchError(
            f"ONNX Runtime {VERSION}: {sys.executable} has no pip to download it with; "
            "install it (`python3 -m ensurepip --user`, or your system's python3-pip package) and run this again"
        )
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12"),
        *("--platform", archive.wheel_platform, "-d", str(into), f"{archive.package}=={VERSION}"),
    ]
    try:
        outcome = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise FetchError(
            f"ONNX Runtime {VERSION}: pip was not done after {DOWNLOAD_TIMEOUT_S} s; "
            "check the network or pip's index settings and run this again"
        ) from None
    wheels = sorted(into.glob("*.whl"))
    if outcome.returncode != 0 or not wheels:
        raise FetchError(
            f"ONNX Runtime {VERSION}: pip could not download the {archive.wheel_platform} wheel: "
            f"{reason_of(outcome)}; check the network or pip's index settings and run this again"
        )
    return wheels[0]


def reason_of(outcome: subprocess.CompletedProcess) -> str:
    """The last line in which pip says what went wrong."""
    lines = [line.strip() for line in (outcome.stdout + outcome.stderr).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors[-1].rstrip(".") if errors else f"it ended with status {outcome.returncode} and said nothing"


def unpack(wheel: Path, archive: Archive, into: Path) -> None:
    """Takes the files that we keep out of the wheel and checks the libraries' hashes."""
    try:
        with zipfile.ZipFile(wheel) as opened:
            for name, member in archive.members().items():
                with opened.open(member) as source, open(into / name, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise FetchError(
            f"ONNX Runtime {VERSION}: {wheel.name} is damaged or not what it should be: {error}; "
            "empty pip's cache (`python3 -m pip cache purge`) and run this again"
        ) from error
    for name, want in archive.sha256.items():
        found = sha256_of(into / name)
        if found != want:
            raise FetchError(
                f"ONNX Runtime {VERSION}: {name} in {wheel.name} has sha256 {found}, expected {want}; "
                "nothing was installed: check which package index pip uses"
            )


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=f"Provides ONNX Runtime {VERSION}'s shared library, checked by sha256."
    )
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FOLDER",
        help=f"where the library goes (default: .deps/onnxruntime/{VERSION} of the repository; onnxruntime-gpu with --gpu)",
    )
    parser.add_argument("--gpu", action="store_true", help="the build for CUDA, with its providers (256 MB to download)")
    parser.add_argument("--print-path", action="store_true", help="print the library's path, and nothing else")
    options = parser.parse_args(arguments)
    try:
        archives = GPU_ARCHIVES if options.gpu else ARCHIVES
        archive = archive_for(platform.system(), platform.machine(), archives)
        folder = (options.into or archive.default_folder).absolute()
        fetched = provide(folder, archive)
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.print_path:
        print(folder / archive.library)
    elif fetched:
        print(f"ONNX Runtime {VERSION} is in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
