"""SavedModel to ONNX, with a batch of any size.

The input stays as Keras has it: `image`, FP32 [batch, height, width, 3]; the output is `probabilities`, FP32 [batch,
10].
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import tensorflow as tf
import tf2onnx

from keras_cnn import conversion
from keras_cnn.images import CHANNELS

if TYPE_CHECKING:
    from keras_cnn.settings import Settings

OPSET = 17
# What `onnx` would write by itself is newer than what ONNX Runtime reads.
IR_VERSION = 8


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    model = converted(made["export"] / "saved_model", settings.size)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, into / "fp32.onnx")
    conversion.check_stage("convert_onnx", into, made, settings.size)


def converted(saved_model: Path, size: int) -> onnx.ModelProto:
    # The variables live only as long as the loaded object; its signature alone does not keep them.
    loaded = tf.saved_model.load(str(saved_model))
    serve = loaded.signatures["serving_default"]
    inputs = [tf.TensorSpec((None, size, size, CHANNELS), tf.float32, name="image")]

    def named(image: tf.Tensor) -> dict[str, tf.Tensor]:
        (probabilities,) = serve(image=image).values()
        return {"probabilities": probabilities}

    function = tf.function(named, input_signature=inputs, autograph=False)
    model, _ = tf2onnx.convert.from_function(function, input_signature=inputs, opset=OPSET)
    model.ir_version = IR_VERSION
    for value in (*model.graph.input, *model.graph.output):
        # The converter makes up a name for the open axis, another one for each tensor.
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model
