#!/usr/bin/env python3
"""Lays out what the image adds to its base: binary, ONNX Runtime, licences, bill of materials, and empty folders.

The Dockerfile's builder runs it on the binary that it has compiled. Run by hand on a binary that is there already, its
folder replaces the builder (`--build-context binaries=FOLDER`), so both ways end in the same runtime stage.

    python3 scripts/image_root.py --binary target/release-fast/tidegate --into target/image/root

ONNX Runtime is reached through a link that is called the same in both variants. It points to a file whose name differs,
because the gateway knows the hash of the one that is called `libonnxruntime.so.<version>`, and refuses another file under
that name.

Needs Python 3.10 or newer with pip, cargo, and `strip`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fetch_cuda
import fetch_onnxruntime
import sbom

ROOT = Path(__file__).resolve().parent.parent
# Mount points.
FOLDERS = ("models", "etc/tidegate/keys", "etc/tidegate/traffic")
# Where the gateway writes. A tmpfs that is mounted here belongs to root but takes over the folder's mode, so with this one
# it can be written by whichever user the container runs as, and nothing else in the image can.
STATE = "var/lib/tidegate"
LIBRARIES = "usr/local/lib"
DOCUMENTS = "usr/share/doc/tidegate"
BILL = "usr/share/sbom/tidegate.cdx.json"


class RootError(Exception):
    """Says in one line which file is missing, and who would have brought it."""


def lay_out(root: Path, binary: Path, variant: str) -> None:
    if root.exists():
        shutil.rmtree(root)
    for folder in (*FOLDERS, STATE, LIBRARIES, DOCUMENTS, "usr/local/bin", str(Path(BILL).parent)):
        (root / folder).mkdir(parents=True, exist_ok=True)
    add_binary(binary, root / "usr/local/bin/tidegate")
    add_onnxruntime(root, variant)
    if variant == "cuda":
        add_cuda(root)
    add_documents(root / DOCUMENTS)
    status = sbom.main(
        ["--output", str(root / BILL), "--licences", str(root / DOCUMENTS / "THIRD-PARTY-LICENSES.txt"), "--variant", variant]
    )
    if status != 0:
        raise RootError("there is no bill of materials, so there is no image")
    make_readable(root)


def add_binary(binary: Path, target: Path) -> None:
    if not binary.is_file():
        raise RootError(f"{binary} does not exist; `make build` makes target/release-fast/tidegate")
    subprocess.run(["strip", "--strip-all", "-o", str(target), str(binary)], check=True)


def add_onnxruntime(root: Path, variant: str) -> None:
    archives = fetch_onnxruntime.GPU_ARCHIVES if variant == "cuda" else fetch_onnxruntime.ARCHIVES
    archive = fetch_onnxruntime.archive_for("Linux", os.uname().machine, archives)
    folder = archive.default_folder
    fetch_onnxruntime.provide(folder, archive)
    libraries = root / LIBRARIES
    library = archive.library if variant == "cpu" else archive.library.replace(".so.", "-gpu.so.")
    shutil.copyfile(folder / archive.library, libraries / library)
    (libraries / "libonnxruntime.so").symlink_to(library)
    if variant == "cuda":
        for provider in set(archive.sha256) - {archive.library}:
            shutil.copyfile(folder / provider, libraries / provider)
    for name in fetch_onnxruntime.LICENCE_FILES:
        copy(folder / name, root / DOCUMENTS / "onnxruntime" / name)


def add_cuda(root: Path) -> None:
    folder = ROOT / ".deps" / "cuda"
    fetch_cuda.provide(folder)
    for library in folder.glob("*.so.*"):
        shutil.copyfile(library, root / LIBRARIES / library.name)
    for licence in folder.glob("LICENSE.*.txt"):
        copy(licence, root / DOCUMENTS / "cuda" / licence.name)
    # cuDNN is linked against zlib, which the base has not. Debian's goes along: base and builder are of one release.
    zlib = Path(f"/lib/{os.uname().machine}-linux-gnu/libz.so.1")
    if not zlib.is_file():
        raise RootError(f"{zlib} does not exist; cuDNN needs Debian's zlib1g")
    shutil.copyfile(zlib, root / LIBRARIES / zlib.name)
    copy(Path("/usr/share/doc/zlib1g/copyright"), root / DOCUMENTS / "cuda" / "zlib1g.copyright")


def add_documents(documents: Path) -> None:
    copy(ROOT / "LICENSE", documents / "LICENSE")
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    copy(Path(sysroot) / "share/doc/rust/COPYRIGHT-library.html", documents / "rust" / "COPYRIGHT-library.html")


def copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise RootError(f"{source} does not exist, and its text has to go into the image")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def make_readable(root: Path) -> None:
    """The same modes whatever the umask was: everybody reads, nobody but root writes, and one file can be run."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    (root / STATE).chmod(0o1777)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Lays out what the image adds to its base.")
    parser.add_argument("--binary", type=Path, required=True, metavar="FILE", help="the gateway, compiled")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="made anew")
    parser.add_argument("--variant", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args(arguments)
    try:
        lay_out(options.into, options.binary, options.variant)
    except (RootError, fetch_onnxruntime.FetchError, fetch_cuda.FetchError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
