"""The ONNX graph, simplified once and for every machine: constants folded, MatMul and Add made one, shapes inferred.

ONNX Runtime does all of this again whenever it loads a model, and more, for the processor that it finds. That further
work must not be shipped: from its highest level on it rewrites convolutions for the vector width of the machine at
hand (`com.microsoft.nchwc`), and already one level below it uses operators that only ONNX Runtime has. So this stops
at the basic level, and refuses a graph with anything but standard operators. What it buys is what the quantizer asks
for, and not time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnxruntime
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from keras_cnn import conversion
from keras_cnn.stage import StageError

if TYPE_CHECKING:
    from keras_cnn.settings import Settings


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    file = into / "optimised.onnx"
    simplify(made["convert_onnx"] / "fp32.onnx", file)
    model = onnx.load(file)
    keep_standard(model)
    model = onnx.shape_inference.infer_shapes(model)
    # The quantizer asks for this mark, and warns without it.
    add_pre_process_metadata(model)
    onnx.save(model, file)
    conversion.check_stage("optimise", into, made, settings.size)


def simplify(source: Path, target: Path) -> None:
    """Opening a model optimises it; the session itself is of no use here."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def keep_standard(model: onnx.ModelProto) -> None:
    """ONNX Runtime enters all operator sets that it knows; a reader that does not know them may refuse the file."""
    foreign = sorted({f"{node.domain}:{node.op_type}" for node in model.graph.node if node.domain})
    if foreign:
        raise StageError(f"optimised.onnx would hold operators that are not of the ONNX standard: {', '.join(foreign)}")
    standard = [each for each in model.opset_import if not each.domain]
    del model.opset_import[:]
    model.opset_import.extend(standard)
