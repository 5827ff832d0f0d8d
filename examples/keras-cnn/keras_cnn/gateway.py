"""The `tidegate` binary: where it is, and how it is run."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from keras_cnn.stage import StageError

REPOSITORY_ROOT = Path(__file__).resolve().parents[3]
BUILT = REPOSITORY_ROOT / "target" / "release-fast" / "tidegate"


def binary(chosen: Path | None) -> Path:
    """The one that was chosen, else TIDEGATE_BINARY, else what `make build` leaves."""
    for where, path in (("--tidegate", chosen), ("TIDEGATE_BINARY", os.environ.get("TIDEGATE_BINARY"))):
        if path:
            return existing(Path(path), f"{where} names it")
    return existing(BUILT, "`make build` makes it; --tidegate or TIDEGATE_BINARY name another")


def existing(path: Path, hint: str) -> Path:
    if not path.is_file():
        raise StageError(f"there is no tidegate at {path}: {hint}")
    return path.absolute()


def environment() -> dict[str, str]:
    """With an ONNX Runtime for the gateway; the one of this Python's package is the same library, if none is named."""
    found = os.environ.get("ORT_DYLIB_PATH") or packaged_library()
    return {**os.environ, "ORT_DYLIB_PATH": found} if found else dict(os.environ)


def packaged_library() -> str | None:
    """Found without importing the package, which would load it."""
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    libraries = sorted((Path(spec.origin).parent / "capi").glob("libonnxruntime.so.*"))
    return str(libraries[-1]) if libraries else None
