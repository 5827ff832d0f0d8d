"""TensorFlow Serving's tensors and requests, made from numpy arrays and read back."""

from __future__ import annotations

import ml_dtypes
import numpy as np

import tensorflow_protos as tf

DTYPES = {
    np.dtype(python): getattr(tf.types_pb2, name)
    for name, python in {
        **{"DT_BOOL": np.bool_, "DT_HALF": np.float16, "DT_FLOAT": np.float32, "DT_DOUBLE": np.float64},
        **{"DT_INT8": np.int8, "DT_INT16": np.int16, "DT_INT32": np.int32, "DT_INT64": np.int64},
        **{"DT_UINT8": np.uint8, "DT_UINT16": np.uint16, "DT_UINT32": np.uint32, "DT_UINT64": np.uint64},
        **{"DT_BFLOAT16": ml_dtypes.bfloat16, "DT_STRING": object},
    }.items()
}
NUMPY = {number: dtype for dtype, number in DTYPES.items()}


def shape_of(*sizes: int) -> tf.TensorShapeProto:
    return tf.TensorShapeProto(dim=[tf.TensorShapeProto.Dim(size=size) for size in sizes])


def proto_of(values: np.ndarray) -> tf.TensorProto:
    """With all values in `tensor_content`, as `make_tensor_proto` has it; strings have a field of their own."""
    described = {"dtype": DTYPES[values.dtype], "tensor_shape": shape_of(*values.shape)}
    if values.dtype == object:
        return tf.TensorProto(**described, string_val=values.flatten().tolist())
    return tf.TensorProto(**described, tensor_content=values.tobytes())


def array_of(proto: tf.TensorProto) -> np.ndarray:
    dtype, shape = NUMPY[proto.dtype], [dim.size for dim in proto.tensor_shape.dim]
    if dtype == object:
        return np.array(list(proto.string_val), dtype=object).reshape(shape)
    return np.frombuffer(proto.tensor_content, dtype).reshape(shape)


def predict_request(model: str, *, version: int | None = None, label: str | None = None, signature: str = "",
                    only: list[str] = (), **inputs: tf.TensorProto) -> tf.PredictRequest:  # fmt: skip
    asked = tf.PredictRequest(output_filter=only, inputs=inputs)
    asked.model_spec.name = model
    asked.model_spec.signature_name = signature
    if version is not None:
        asked.model_spec.version.value = version
    if label is not None:
        asked.model_spec.version_label = label
    return asked
