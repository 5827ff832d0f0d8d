"""The map of the road: every stage, what it needs and which settings change it; and the run of those that are due.

Each due stage is made by a process of its own. TensorFlow keeps its threads and memory for the life of a process, and
the report's figures are of one thread.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from keras_cnn.settings import EXAMPLE, Settings, as_flags
from keras_cnn.stage import Stage, StageError, Workshop

STAGES = (
    Stage("data", "split the digits into training, validation and test images", settings=("images", "seed")),
    Stage(
        "train",
        "train the network, and keep its answers to the test images",
        ("data",),
        ("size", "epochs", "batch_size", "seed"),
    ),
    Stage("export", "export a SavedModel", ("data", "train"), ("size",)),
    Stage("convert_onnx", "convert to ONNX with a dynamic batch", ("data", "train", "export"), ("size",)),
    Stage(
        "convert_tflite", "convert to TensorFlow Lite, four times", ("data", "train", "export"), ("size", "calibration")
    ),
    Stage("optimise", "simplify the ONNX graph", ("data", "train", "convert_onnx"), ("size",)),
    Stage(
        "quantize",
        "make the ONNX file smaller: fp16, static and dynamic int8",
        ("data", "train", "optimise"),
        ("size", "calibration"),
    ),
    Stage(
        "report",
        "compare all variants in one table",
        ("data", "train", "export", "convert_onnx", "convert_tflite", "optimise", "quantize"),
        ("size", "rounds"),
    ),
    Stage(
        "push",
        "push a variant into a model repository",
        ("data", "train", "convert_onnx", "optimise", "quantize"),
        ("size", "variant", "repository", "model", "version", "name", "label"),
        outside=True,
    ),
    Stage(
        "serve_check",
        "serve the repository and compare answers over HTTP with Keras's",
        ("data", "train", "push"),
        ("size", "variant", "repository", "model"),
        optional=True,
    ),
)
BY_NAME = {stage.name: stage for stage in STAGES}


def workshop(folder: Path, settings: Settings) -> Workshop:
    return Workshop(folder, "keras_cnn.stages", settings, EXAMPLE / "requirements.txt")


def run_all(shop: Workshop) -> None:
    """Makes what is due, in order; nothing is made of a stage that failed."""
    for stage in STAGES:
        if stage.optional:
            continue
        if not shop.is_due(stage):
            say(stage, "up to date")
            continue
        say(stage, stage.about)
        command = [sys.executable, str(EXAMPLE / "pipeline.py"), stage.name, f"--work={shop.folder}"]
        if status := subprocess.run([*command, *as_flags(shop.settings)]).returncode:
            ended = f"by signal {-status}" if status < 0 else f"with status {status}"
            raise StageError(f"{stage.name} ended {ended}; what came before it is kept")


def run_one(shop: Workshop, stage: Stage) -> None:
    """Makes one stage in this process, of whatever the stages before it made last."""
    for name in stage.needs:
        if shop.stamp(name) is not None and shop.is_due(BY_NAME[name]):
            print(f"note: {name} is out of date; {stage.name} takes what it made last", flush=True)
    if shop.is_due(stage):
        say(stage, f"made in {shop.make(stage)} s")
    else:
        say(stage, "up to date")


def say(stage: Stage, text: str) -> None:
    print(f"{stage.name}: {text}", flush=True)
