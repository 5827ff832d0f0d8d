"""SavedModel to TensorFlow Lite, for devices: as it is, with weights of 16 or 8 bits, and in 8 bits from end to end.

The gateway serves none of them. They stand in the table beside the ONNX files, so that nobody has to guess what a
device would get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from keras_cnn import conversion, images

if TYPE_CHECKING:
    from keras_cnn.settings import Settings

# TensorFlow finds its parts when they are first used, so there is nothing to name for a checker of types.
Converter = Any


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    seen = images.read(made["data"], "train").images[: settings.calibration]
    ways: dict[str, Callable[[Converter], None]] = {
        "fp32": lambda converter: None,
        "fp16": half_weights,
        "dynamic": small_weights,
        "uint8": lambda converter: all_small(converter, seen, settings.size),
    }
    for name, choose in ways.items():
        converter = tf.lite.TFLiteConverter.from_saved_model(str(made["export"] / "saved_model"))
        choose(converter)
        (into / f"{name}.tflite").write_bytes(converter.convert())
    conversion.check_stage("convert_tflite", into, made, settings.size)


def half_weights(converter: Converter) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def small_weights(converter: Converter) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def all_small(converter: Converter, seen: np.ndarray, size: int) -> None:
    """The ranges between layers are learned from images; without them there is no arithmetic in 8 bits."""

    def representative() -> Iterator[list[np.ndarray]]:
        for one in images.enlarged_batches(seen, size, rows=1):
            yield [one]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
