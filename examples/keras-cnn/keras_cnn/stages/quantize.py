"""Smaller ONNX files: 16-bit weights, and 8 bits in two ways.

Static: activations unsigned, weights signed and with a scale for each output channel; the ranges of the activations
are learned from training images, so a run only multiplies. Dynamic: only the weights are stored in 8 bits, and each
run looks for the range of each activation first. That makes a row's answer depend, a little, on who shares its batch,
and convolutions slower than they were; it is made to be measured.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnxconverter_common import float16
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from keras_cnn import conversion, images

if TYPE_CHECKING:
    from keras_cnn.settings import Settings


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    source = made["optimise"] / "optimised.onnx"
    onnx.save(half(source), into / "fp16.onnx")
    seen = images.read(made["data"], "train").images[: settings.calibration]
    quantize_static(
        source,
        into / "int8-static.onnx",
        Calibration(seen, settings.size),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    quantize_dynamic(source, into / "int8-dynamic.onnx", weight_type=QuantType.QUInt8)
    conversion.check_stage("quantize", into, made, settings.size)


def half(source: Path) -> onnx.ModelProto:
    """Inputs and outputs stay FP32, so that callers need not know."""
    with warnings.catch_warnings():
        # One for each tensor with a weight so close to zero that 16 bits cannot tell; the check sees what it does.
        warnings.filterwarnings("ignore", message=".*will be truncated.*")
        return float16.convert_float_to_float16(onnx.load(source), keep_io_types=True)


class Calibration(CalibrationDataReader):
    """Training images, one at a time."""

    def __init__(self, seen: np.ndarray, size: int):
        self.left = images.enlarged_batches(seen, size, rows=1)

    def get_next(self) -> dict[str, Any] | None:
        one = next(self.left, None)
        return None if one is None else {"image": one}
