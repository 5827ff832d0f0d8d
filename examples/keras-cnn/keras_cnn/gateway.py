"""The `tidegate` binary: where it is, and a gateway of it for as long as one is needed."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from keras_cnn.stage import StageError

REPOSITORY_ROOT = Path(__file__).resolve().parents[3]
BUILT = REPOSITORY_ROOT / "target" / "release-fast" / "tidegate"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 40
POLL_S = 0.05


def binary(chosen: Path | None) -> Path:
    """The one that was chosen, else TIDEGATE_BIN, else what `make build` leaves."""
    for where, path in (("--tidegate", chosen), ("TIDEGATE_BIN", os.environ.get("TIDEGATE_BIN"))):
        if path:
            return existing(Path(path), f"{where} names it")
    return existing(BUILT, "`make build` makes it; --tidegate or TIDEGATE_BIN name another")


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


class Gateway:
    """A gateway on a repository, at free ports, for as long as a `with` block lasts."""

    def __init__(self, binary: Path, repository: Path, folder: Path):
        self.folder = folder
        self.log = folder / "gateway.log"
        self.ports = folder / "ports.json"
        # Variables that the caller has set for a gateway of theirs would speak into ours.
        inherited = {k: v for k, v in environment().items() if not k.startswith(("TIDEGATE_", "MODEL_"))}
        self.environment = {**inherited, "MODEL_BASE_PATH": str(repository), "TIDEGATE_STATE": str(folder / "state")}
        self.command = [str(binary), "serve", "--ports-file", str(self.ports)]
        self.command += ["--data-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]

    def __enter__(self) -> Gateway:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self.wait_until_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready():
            if self.process.poll() is not None:
                raise StageError(f"the gateway ended with status {self.process.returncode}:\n{self.log_end()}")
            if time.monotonic() > deadline:
                raise StageError(f"the gateway is not ready after {START_TIMEOUT_S} s:\n{self.log_end()}")
            time.sleep(POLL_S)

    def is_ready(self) -> bool:
        if not self.ports.exists():
            return False
        try:
            with urllib.request.urlopen(self.url("/v2/health/ready"), timeout=5):
                return True
        except OSError:
            return False

    def url(self, path: str) -> str:
        return f"http://{json.loads(self.ports.read_text())['data']}{path}"

    def log_end(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
