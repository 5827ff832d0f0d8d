"""The end of the road: one variant becomes a version in a model repository, through `tidegate model push`.

Two requests with test images go with it. The gateway tests a version on them when it loads it, and warms it up.

A version that holds this very file already is pushed again under its own number, which changes nothing but its
labels. A run that was interrupted between the push and its receipt would otherwise push a second version.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_cnn import gateway, images, variants
from keras_cnn.stage import StageError, file_hash

if TYPE_CHECKING:
    from keras_cnn.settings import Settings

RECEIPT = "receipt.json"
SAMPLES = 2
# Shades that a sample can tell apart: two decimals keep 150,528 numbers below a megabyte of text.
DECIMALS = 2
# The command opens the model and runs it before it takes it in.
TIMEOUT_S = 300


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    variant = variants.named(settings.variant)
    file = made[variant.stage] / variant.file
    folder = settings.repository.absolute() / settings.model
    sha256 = file_hash(file)
    there = version_with(folder, sha256, settings.version)
    with tempfile.TemporaryDirectory() as samples:
        write_samples(Path(samples), made, settings.size)
        push(file, Path(samples), settings.version or there, settings)
    version = version_with(folder, sha256, settings.version)
    if version is None:
        raise StageError(f"`tidegate model push` ended well, and no version in {folder} holds {file}")
    receipt = {"model": settings.model, "version": version, "variant": variant.name, "sha256": sha256}
    (into / RECEIPT).write_text(json.dumps(receipt, indent=1) + "\n")


def still_true(folder: Path, settings: Settings) -> bool:
    """Whether the repository still holds what the receipt says."""
    receipt = json.loads((folder / RECEIPT).read_text())
    model = settings.repository.absolute() / receipt["model"]
    return version_with(model, receipt["sha256"], receipt["version"]) is not None


def version_with(model: Path, sha256: str, wanted: int | None) -> int | None:
    """The newest version whose file has this hash; only `wanted` is looked at if it is given."""
    folders = [folder for folder in model.glob("*") if folder.name.isdecimal() and (folder / "model.onnx").is_file()]
    for folder in sorted(folders, key=lambda folder: int(folder.name), reverse=True):
        if wanted in (None, int(folder.name)) and file_hash(folder / "model.onnx") == sha256:
            return int(folder.name)
    return None


def push(file: Path, samples: Path, version: int | None, settings: Settings) -> None:
    binary = gateway.binary(settings.tidegate)
    repository = settings.repository.absolute()
    repository.mkdir(parents=True, exist_ok=True)
    command = [str(binary), "model", "push", settings.model, str(file), "--repository", str(repository)]
    command += ["--samples", str(samples)]
    for flag, value in (("--version", version), ("--name", settings.name), ("--label", settings.label)):
        if value is not None:
            command += [flag, str(value)]
    try:
        done = subprocess.run(command, env=gateway.environment(), capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise StageError(f"`tidegate model push` did not end within {TIMEOUT_S} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or "it said nothing"
        raise StageError(f"`tidegate model push` ended with status {done.returncode}:\n{said}")
    print("".join(f"  {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="", flush=True)


def write_samples(folder: Path, made: dict[str, Path], size: int) -> None:
    """The test images that Keras is surest of, of different digits."""
    test = images.read(made["data"], "test")
    sureness = np.load(made["train"] / "keras-answers.npy").max(axis=1)
    chosen: dict[int, int] = {}
    for index in np.argsort(-sureness):
        chosen.setdefault(int(test.labels[index]), int(index))
    for digit, index in list(chosen.items())[:SAMPLES]:
        body = json.dumps(v2_request(images.enlarge(test.images[index : index + 1], size)), separators=(",", ":"))
        (folder / f"digit-{digit}.json").write_text(body + "\n")


def v2_request(enlarged: np.ndarray) -> dict:
    """An inference request of the Open Inference Protocol, version 2."""
    # Whole numbers and short decimals; `repr` of a 32-bit float would be eight digits long.
    values = np.round(enlarged.astype(float), DECIMALS).ravel().tolist()
    data = [int(value) if value.is_integer() else value for value in values]
    return {"inputs": [{"name": "image", "shape": list(enlarged.shape), "datatype": "FP32", "data": data}]}
