"""The few words in which the gRPC tests are written: channels, raw Open Inference messages, and claims about refusals.

`refused` takes NVIDIA's exceptions and grpcio's own alike. Messages that no standard client can be made to send are
built here from the classes that `tritonclient` ships.
"""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferInput, InferRequestedOutput, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

TIMEOUT_S = 30


def stub(channel: grpc.Channel) -> service_pb2_grpc.GRPCInferenceServiceStub:
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def given(name: str, values: np.ndarray, datatype: str) -> InferInput:
    return InferInput(name, list(values.shape), datatype).set_data_from_numpy(values)


def affine_input(values) -> list[InferInput]:
    return [given("x", np.asarray(values, dtype=np.float32), "FP32")]


def wanted(*names: str, class_count: int = 0) -> list[InferRequestedOutput]:
    return [InferRequestedOutput(name, class_count=class_count) for name in names]


def request(model: str, *inputs, raw: list[bytes] = (), outputs: list[str] = (), **rest):
    """A ModelInferRequest of raw messages."""
    named = [service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in outputs]
    return service_pb2.ModelInferRequest(
        model_name=model, inputs=inputs, raw_input_contents=raw, outputs=named, **rest
    )


def tensor(name: str, datatype: str, shape: list[int], **contents):
    """An input; `contents` are the fields of InferTensorContents."""
    typed = service_pb2.InferTensorContents(**contents) if contents else None
    return service_pb2.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape, contents=typed)


def refused(call, code: grpc.StatusCode, *substrings: str) -> Exception:
    with pytest.raises((InferenceServerException, grpc.RpcError)) as raised:
        call()
    error = raised.value
    nvidias = isinstance(error, InferenceServerException)
    got, message = (error.status(), error.message()) if nvidias else (str(error.code()), error.details())
    assert got == str(code), f"expected {code}, got {got}: {message}"
    for substring in substrings:
        assert substring in message, f"expected {substring!r} in {message!r}"
    return error
