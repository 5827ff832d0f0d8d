#!/usr/bin/env python3
"""Makes the golden vectors: requests as standard clients put them on the wire, answers as those clients expect them.

    .deps/venv-conformance/bin/python proto/tests/golden/make_vectors.py [--check]

tritonclient builds the Open Inference requests, TensorFlow Serving's own message classes the others over gRPC; no server
is asked. What no client library builds (JSON that people and small services write by hand) is written by hand here,
answers in JSON among it. Answers in protobuf are serialised by Google's library from the same messages. Each answer is
read back by the client. `--check` says whether the files are what would be made.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tritonclient.grpc import service_pb2
from tritonclient.grpc._utils import _get_inference_request

FOLDER = Path(__file__).resolve().parent

ROWS = np.array([[1.5, -2.0, 3.25], [0.1, 65504.0, -0.0]], dtype=np.float32)
IDS = np.array([[-(2**63), 2**63 - 1]], dtype=np.int64)
TEXTS = np.array([["grüß", ""], ["a\"b", "\n"]], dtype=np.object_)
BLOBS = np.array([b"\x00\xff", b""], dtype=np.object_)
PROBABILITIES = np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32)
LABELS = np.array([1, 0], dtype=np.int64)


def deterministic(message) -> bytes:
    return message.SerializeToString(deterministic=True)


def v2_input(client, name: str, values: np.ndarray, datatype: str, **form):
    return client.InferInput(name, list(values.shape), datatype).set_data_from_numpy(values, **form)


def v2_http(inputs, **rest) -> tuple[bytes, int | None]:
    return triton_http.InferenceServerClient.generate_request_body(inputs, **rest)


def v2_json() -> bytes:
    inputs = [
        v2_input(triton_http, "pixels", ROWS, "FP32", binary_data=False),
        v2_input(triton_http, "ids", IDS, "INT64", binary_data=False),
        v2_input(triton_http, "texts", TEXTS, "BYTES", binary_data=False),
        v2_input(triton_http, "flags", np.array([True, False]), "BOOL", binary_data=False),
    ]
    outputs = [
        triton_http.InferRequestedOutput("probabilities", binary_data=False),
        triton_http.InferRequestedOutput("labels", binary_data=False, class_count=2),
    ]
    parameters = {"note": "ä", "exact": True, "size": -7, "ratio": 0.5}
    body, json_size = v2_http(
        inputs, outputs=outputs, request_id="request 1", priority=3, timeout=250000, parameters=parameters
    )
    assert json_size is None
    return body


def v2_nested() -> bytes:
    """As people write it: nested data, data before its datatype, keys that nobody knows."""
    return b"""{
  "id": null, "comment": ["ignored", {}],
  "inputs": [{"data": [[1.5, -2, 3.25], [1e-1, 65504, -0.0]], "name": "pixels", "shape": [2, 3], "datatype": "FP32"}],
  "parameters": {"binary_data_output": false}
}
"""


def v2_binary() -> bytes:
    inputs = [
        v2_input(triton_http, "pixels", ROWS, "FP32"),
        v2_input(triton_http, "ids", IDS, "INT64", binary_data=False),
        v2_input(triton_http, "texts", BLOBS, "BYTES"),
        v2_input(triton_http, "halves", ROWS.astype(np.float16), "FP16"),
    ]
    outputs = [
        triton_http.InferRequestedOutput("probabilities", binary_data=True),
        triton_http.InferRequestedOutput("labels", binary_data=False),
    ]
    return with_length(*v2_http(inputs, outputs=outputs, request_id="request 2"))


def with_length(body: bytes, json_size: int) -> bytes:
    """The header's number first, two bytes, little-endian: a file has no headers."""
    return struct.pack("<h", json_size) + body


def v2_all_binary() -> bytes:
    """Without outputs the client asks for all of them in binary form."""
    return with_length(*v2_http([v2_input(triton_http, "pixels", ROWS, "FP32")]))


def v2_raw() -> bytes:
    """The whole body is the value of the only input."""
    return with_length(ROWS[:1].tobytes(), 0)


def v2_grpc_raw() -> bytes:
    inputs = [
        v2_input(triton_grpc, "pixels", ROWS, "FP32"),
        v2_input(triton_grpc, "ids", IDS, "INT64"),
        v2_input(triton_grpc, "texts", BLOBS, "BYTES"),
    ]
    outputs = [
        triton_grpc.InferRequestedOutput("probabilities"),
        triton_grpc.InferRequestedOutput("labels", class_count=2),
    ]
    request = _get_inference_request(
        model_name="digits",
        model_version="2",
        inputs=inputs,
        outputs=outputs,
        request_id="request 3",
        sequence_id=7,
        sequence_start=True,
        sequence_end=False,
        priority=3,
        timeout=250000,
        parameters={"note": "ä"},
    )
    return deterministic(request)


def v2_grpc_typed() -> bytes:
    """Values in the field of their type, and a parameter of every kind."""
    request = service_pb2.ModelInferRequest(model_name="digits")
    for name, datatype, shape, field, values in (
        ("flags", "BOOL", [2], "bool_contents", [True, False]),
        ("bytes", "INT8", [2], "int_contents", [-128, 127]),
        ("ints", "INT32", [2], "int_contents", [-(2**31), 2**31 - 1]),
        ("ids", "INT64", [1, 2], "int64_contents", IDS.ravel()),
        ("shorts", "UINT16", [2], "uint_contents", [0, 65535]),
        ("sizes", "UINT64", [1], "uint64_contents", [2**64 - 1]),
        ("pixels", "FP32", [2, 3], "fp32_contents", ROWS.ravel()),
        ("wide", "FP64", [1], "fp64_contents", [0.1]),
        ("texts", "BYTES", [2], "bytes_contents", BLOBS),
    ):
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        getattr(tensor.contents, field).extend(values)
    parameters = request.parameters
    parameters["bool"].bool_param = True
    parameters["int64"].int64_param = -(2**63)
    parameters["string"].string_param = "ä"
    parameters["double"].double_param = 0.5
    parameters["uint64"].uint64_param = 2**64 - 1
    return deterministic(request)


def rows() -> bytes:
    """Row form, as TensorFlow Serving's page shows it."""
    instances = [
        {"pixels": [1.5, -2.0, 3.25], "texts": {"b64": "AP8="}},
        {"pixels": [0.1, 65504.0, -0.0], "texts": {"b64": ""}},
    ]
    return json.dumps({"signature_name": "serving_default", "instances": instances}).encode()


def columns() -> bytes:
    pixels = [[1.5, -2.0, 3.25], [0.1, 65504.0, float("nan")]]
    return json.dumps({"inputs": {"pixels": pixels, "texts": ["grüß", "b"]}}).encode()


def bare_rows() -> bytes:
    """One input needs no name. What follows the value is ignored."""
    return b'{"instances": [[1.5, -2, 3.25]]} and more'


def image() -> bytes:
    return b'{"image": [1.5, -2.0, 3.25], "user": "ignored"}'


def images() -> bytes:
    return b'{"instances": [[1.5, -2.0, 3.25], [0.1, 65504.0, -0.0]]}'


def shaped(proto: TensorProto, *dims: int) -> TensorProto:
    for size in dims:
        proto.tensor_shape.dim.add(size=size)
    return proto


def tensorflow_request() -> PredictRequest:
    request = PredictRequest()
    request.model_spec.name = "digits"
    return request


def put(request, name: str, proto: TensorProto, *dims: int) -> None:
    request.inputs[name].CopyFrom(shaped(proto, *dims))


def tensor_content() -> bytes:
    """As `tf.make_tensor_proto` writes arrays."""
    request = tensorflow_request()
    request.model_spec.version.value = 2
    request.model_spec.signature_name = "serving_default"
    request.output_filter.append("probabilities")
    put(request, "pixels", TensorProto(dtype=types_pb2.DT_FLOAT, tensor_content=ROWS.tobytes()), 2, 3)
    put(request, "texts", TensorProto(dtype=types_pb2.DT_STRING, string_val=list(BLOBS)), 2)
    return deterministic(request)


def typed_values() -> bytes:
    request = tensorflow_request()
    request.model_spec.version_label = "stable"
    put(request, "flags", TensorProto(dtype=types_pb2.DT_BOOL, bool_val=[True, False]), 2)
    put(request, "bytes", TensorProto(dtype=types_pb2.DT_INT8, int_val=[-128, 127]), 2)
    put(request, "ids", TensorProto(dtype=types_pb2.DT_INT64, int64_val=IDS.ravel()), 1, 2)
    put(request, "sizes", TensorProto(dtype=types_pb2.DT_UINT64, uint64_val=[2**64 - 1]), 1)
    put(request, "wide", TensorProto(dtype=types_pb2.DT_DOUBLE, double_val=[0.1]), 1)
    halves = ROWS.astype(np.float16).view(np.uint16).ravel()
    put(request, "halves", TensorProto(dtype=types_pb2.DT_HALF, half_val=halves), 2, 3)
    return deterministic(request)


def splat() -> bytes:
    """The last value is repeated as often as the shape needs; a scalar has no dimension."""
    request = tensorflow_request()
    put(request, "pixels", TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[0.5]), 2, 3)
    put(request, "ids", TensorProto(dtype=types_pb2.DT_INT64, int64_val=[1, 2]), 4)
    put(request, "scale", TensorProto(dtype=types_pb2.DT_INT32, int_val=[7]))
    return deterministic(request)


def answer_v2_json() -> bytes:
    body = (
        '{"model_name":"digits","model_version":"2","id":"request 1","outputs":['
        '{"name":"probabilities","datatype":"FP32","shape":[2,2],"data":[0.25,0.75,0.5,0.5]},'
        '{"name":"labels","datatype":"INT64","shape":[2],"data":[1,0]},'
        '{"name":"texts","datatype":"BYTES","shape":[2,2],"data":["grüß","","a\\"b","\\n"]}]}'
    ).encode()
    result = triton_http.InferResult.from_response_body(body)
    np.testing.assert_array_equal(result.as_numpy("probabilities"), PROBABILITIES)
    np.testing.assert_array_equal(result.as_numpy("labels"), LABELS)
    return body


def answer_v2_binary() -> bytes:
    head = (
        b'{"model_name":"digits","model_version":"2","outputs":['
        b'{"name":"probabilities","datatype":"FP32","shape":[2,2],"parameters":{"binary_data_size":16}},'
        b'{"name":"labels","datatype":"INT64","shape":[2],"data":[1,0]},'
        b'{"name":"blobs","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":10}}]}'
    )
    body = head + PROBABILITIES.tobytes() + struct.pack("<I2sI", 2, BLOBS[0], 0)
    result = triton_http.InferResult.from_response_body(body, header_length=len(head))
    np.testing.assert_array_equal(result.as_numpy("probabilities"), PROBABILITIES)
    np.testing.assert_array_equal(result.as_numpy("blobs"), BLOBS)
    return with_length(body, len(head))


def answer_v2_grpc() -> bytes:
    answer = service_pb2.ModelInferResponse(model_name="digits", model_version="2", id="request 3")
    answer.outputs.add(name="probabilities", datatype="FP32", shape=[2, 2])
    answer.outputs.add(name="labels", datatype="INT64", shape=[2])
    answer.outputs.add(name="blobs", datatype="BYTES", shape=[2])
    blobs = struct.pack("<I2sI", 2, BLOBS[0], 0)
    answer.raw_output_contents.extend([PROBABILITIES.tobytes(), LABELS.tobytes(), blobs])
    result = triton_grpc.InferResult(answer)
    np.testing.assert_array_equal(result.as_numpy("probabilities"), PROBABILITIES)
    np.testing.assert_array_equal(result.as_numpy("blobs"), BLOBS)
    return deterministic(answer)


def answer_rows() -> bytes:
    body = (
        b'{"predictions":[{"probabilities":[0.25,0.75],"labels":1},'
        b'{"probabilities":[0.5,0.5],"labels":0}]}'
    )
    assert [row["labels"] for row in json.loads(body)["predictions"]] == [1, 0]
    return body


def answer_columns() -> bytes:
    body = b'{"outputs":{"probabilities":[[0.25,0.75],[0.5,0.5]],"labels":[1,0]}}'
    assert json.loads(body)["outputs"]["labels"] == [1, 0]
    return body


def answer_image() -> bytes:
    body = b'{"predictions":[0.25,0.75],"class":1}'
    assert json.loads(body)["class"] == 1
    return body


def answer_images() -> bytes:
    body = b'{"predictions":[[0.25,0.75],[0.5,0.5]],"class":[1,0]}'
    assert json.loads(body)["class"] == [1, 0]
    return body


def answer_tensorflow() -> bytes:
    answer = PredictResponse()
    answer.model_spec.name = "digits"
    answer.model_spec.version.value = 2
    answer.model_spec.signature_name = "serving_default"
    probabilities = TensorProto(dtype=types_pb2.DT_FLOAT, tensor_content=PROBABILITIES.tobytes())
    answer.outputs["probabilities"].CopyFrom(shaped(probabilities, 2, 2))
    labels = TensorProto(dtype=types_pb2.DT_INT64, tensor_content=LABELS.tobytes())
    answer.outputs["labels"].CopyFrom(shaped(labels, 2))
    answer.outputs["blobs"].CopyFrom(shaped(TensorProto(dtype=types_pb2.DT_STRING, string_val=list(BLOBS)), 2))
    return deterministic(answer)


VECTORS = {
    "v2-json/client.json": v2_json,
    "v2-json/nested.json": v2_nested,
    "v2-binary/client": v2_binary,
    "v2-binary/all-binary": v2_all_binary,
    "v2-binary/raw": v2_raw,
    "v2-grpc/raw": v2_grpc_raw,
    "v2-grpc/typed": v2_grpc_typed,
    "tensorflow-json/rows.json": rows,
    "tensorflow-json/columns.json": columns,
    "tensorflow-json/bare-rows.json": bare_rows,
    "predict-json/image.json": image,
    "predict-json/instances.json": images,
    "tensorflow-grpc/tensor-content": tensor_content,
    "tensorflow-grpc/typed": typed_values,
    "tensorflow-grpc/splat": splat,
    "answers/v2.json": answer_v2_json,
    "answers/v2-binary": answer_v2_binary,
    "answers/v2-grpc": answer_v2_grpc,
    "answers/tensorflow-rows.json": answer_rows,
    "answers/tensorflow-columns.json": answer_columns,
    "answers/predict-image.json": answer_image,
    "answers/predict-instances.json": answer_images,
    "answers/tensorflow-grpc": answer_tensorflow,
}


def main() -> int:
    made = {FOLDER / name: make() for name, make in VECTORS.items()}
    if "--check" in sys.argv[1:]:
        different = [str(path) for path, content in made.items() if not path.is_file() or path.read_bytes() != content]
        print(*different, sep="\n")
        return 1 if different else 0
    for path, content in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
