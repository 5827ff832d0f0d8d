"""The files that one trained model becomes, who makes each, and how far its answers may stray from Keras's.

Arithmetic of another order changes the last bits of an answer, and nothing else: variants that keep 32 bits are held
to a largest difference. Fewer bits change probabilities for good, most where the model is unsure, so of those it is
asked that they still choose the same class and are right as often.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """How far a variant may stray from Keras on the test images."""

    largest_difference: float
    # Shares of the test images: with the same class as Keras's, at least; and lost in accuracy, at most.
    agreement: float
    accuracy_drop: float


SAME_BITS = Tolerance(largest_difference=1e-4, agreement=0.99, accuracy_drop=0.01)
HALF_BITS = Tolerance(largest_difference=0.02, agreement=0.99, accuracy_drop=0.01)
# A probability near one half may move by much when a borderline image tips over, so it bounds only nonsense.
EIGHT_BITS = Tolerance(largest_difference=0.5, agreement=0.95, accuracy_drop=0.03)


@dataclass(frozen=True)
class Variant:
    name: str
    stage: str
    file: str
    tolerance: Tolerance
    about: str


VARIANTS = (
    Variant("keras", "export", "saved_model", SAME_BITS, "the SavedModel, run by TensorFlow"),
    Variant("fp32", "convert_onnx", "fp32.onnx", SAME_BITS, "ONNX, as converted"),
    Variant("optimised", "optimise", "optimised.onnx", SAME_BITS, "ONNX, constants folded and nodes merged"),
    Variant("fp16", "quantize", "fp16.onnx", HALF_BITS, "ONNX, weights of 16 bits"),
    Variant("int8-static", "quantize", "int8-static.onnx", EIGHT_BITS, "ONNX, everything in 8 bits, calibrated"),
    Variant(
        "int8-dynamic", "quantize", "int8-dynamic.onnx", EIGHT_BITS, "ONNX, weights of 8 bits, ranges found as it runs"
    ),
    Variant("tflite-fp32", "convert_tflite", "fp32.tflite", SAME_BITS, "TensorFlow Lite, as converted"),
    Variant("tflite-fp16", "convert_tflite", "fp16.tflite", HALF_BITS, "TensorFlow Lite, weights of 16 bits"),
    Variant("tflite-dynamic", "convert_tflite", "dynamic.tflite", EIGHT_BITS, "TensorFlow Lite, weights of 8 bits"),
    Variant("tflite-uint8", "convert_tflite", "uint8.tflite", EIGHT_BITS, "TensorFlow Lite, all in 8 bits, images too"),
)

ONNX_NAMES = tuple(variant.name for variant in VARIANTS if variant.file.endswith(".onnx"))


def made_by(stage: str) -> tuple[Variant, ...]:
    return tuple(variant for variant in VARIANTS if variant.stage == stage)


def named(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)
