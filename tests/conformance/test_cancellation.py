"""A caller that leaves while its request waits is forgotten at once, however it leaves: its permit and its place in the
queue are free again, and the request is counted as `caller_gone` and never run.

The gateway would keep every one of these requests waiting far longer than any test looks at it.
"""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

import tensorflow_protos as tf
from conftest import PATIENT_PLACES, PATIENT_ROWS
from grpc_wire import TIMEOUT_S, affine_input, request, stub, tensor
from http2 import Http2
from metrics import eventually, scrape, total
from tensorflow_wire import predict_request, proto_of
from wire import expect, fp32, outputs, post, v2
from wire import tensor as json_tensor

PATH = "/v2/models/affine/infer"
X = [[1, 2, 3, 4]]
BODY = json.dumps(v2(json_tensor("x", "FP32", [1, 4], X))).encode()
ROW = request("affine", tensor("x", "FP32", [1, 4]), raw=[fp32(1, 2, 3, 4)])


@contextmanager
def http1_close(gateway):
    host, port = gateway.data.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(BODY)}\r\n\r\n"
        connection.sendall(head.encode() + BODY)
        yield


@contextmanager
def http2_reset(gateway):
    """The connection lives on, and serves."""
    with Http2(gateway.data) as connection:
        stream = connection.ask(PATH, BODY, {"content-type": "application/json"})
        yield
        connection.reset(stream)
        answer = connection.answer(connection.ask("/v2/models/nonesuch/infer", BODY, {}))
        assert answer.headers[":status"] == "404"


@contextmanager
def http2_close(gateway):
    with Http2(gateway.data) as connection:
        connection.ask(PATH, BODY, {"content-type": "application/json"})
        yield


@contextmanager
def grpc_cancel(gateway):
    with grpc.insecure_channel(gateway.data) as channel:
        call = stub(channel).ModelInfer.future(ROW, timeout=TIMEOUT_S)
        yield
        assert call.cancel()


@contextmanager
def tensorflow_cancel(gateway):
    with grpc.insecure_channel(gateway.data) as channel:
        asked = predict_request("affine", x=proto_of(np.array(X, dtype=np.float32)))
        call = tf.PredictionServiceStub(channel).Predict.future(asked, timeout=TIMEOUT_S)
        yield
        assert call.cancel()


@contextmanager
def grpc_close(gateway):
    with grpc.insecure_channel(gateway.data) as channel:
        call = stub(channel).ModelInfer.future(ROW, timeout=TIMEOUT_S)
        yield
    assert call.code() == grpc.StatusCode.CANCELLED


@contextmanager
def stream_cancel(gateway):
    with triton.InferenceServerClient(gateway.data) as client:
        client.start_stream(lambda result, error: None)
        client.async_stream_infer("affine", affine_input(X))
        yield
        client.stop_stream(cancel_requests=True)


WAYS = [http1_close, http2_reset, http2_close, grpc_cancel, tensorflow_cancel, grpc_close, stream_cancel]


def counts(gateway) -> dict[str, float]:
    text = scrape(gateway)
    return {
        "queued": total(text, "tidegate_queue_depth", model="affine"),
        "in flight": total(text, "tidegate_requests_in_flight", model="affine"),
        "gone": total(text, "tidegate_requests_total", model="affine", outcome="caller_gone"),
        "batches": total(text, "tidegate_batches_total", model="affine"),
    }


@pytest.mark.parametrize("leaving", WAYS, ids=lambda way: way.__name__)
def test_who_leaves_the_queue_frees_everything_and_is_never_run(patient, leaving):
    before = counts(patient)
    assert (before["queued"], before["in flight"]) == (0, 0)
    with leaving(patient):
        eventually(lambda: counts(patient), {**before, "queued": 1, "in flight": 1})
    eventually(lambda: counts(patient), {**before, "gone": before["gone"] + 1})


def test_who_leaves_makes_room_for_others_and_is_not_in_their_batch(patient):
    """A queue full of callers that have left takes as many again, and the rows of the dead complete no batch."""
    before = counts(patient)
    with grpc.insecure_channel(patient.data) as channel:
        for _ in range(2):
            calls = [stub(channel).ModelInfer.future(ROW, timeout=TIMEOUT_S) for _ in range(PATIENT_PLACES)]
            eventually(lambda: counts(patient)["queued"], PATIENT_PLACES)
            for call in calls:
                assert call.cancel()
            eventually(lambda: (counts(patient)["queued"], counts(patient)["in flight"]), (0, 0))
    gone = {**before, "gone": before["gone"] + 2 * PATIENT_PLACES}
    eventually(lambda: counts(patient), gone)
    wide = v2(json_tensor("x", "FP32", [PATIENT_ROWS, 4], [0] * 4 * PATIENT_ROWS))
    response = post(patient.url(PATH), wide)
    assert outputs(expect(response))["s"]["data"] == [0] * PATIENT_ROWS
    assert f'batch-size;desc="{PATIENT_ROWS}"' in response.headers["Server-Timing"]
    eventually(lambda: counts(patient), {**gone, "batches": before["batches"] + 1})


def test_a_deadline_of_the_client_ends_the_wait_on_both_sides(patient):
    """`client_timeout` travels as `grpc-timeout`; whichever side is first, the request is inside no longer."""
    before = counts(patient)
    with triton.InferenceServerClient(patient.data) as client:
        with pytest.raises(triton.InferenceServerException) as raised:
            client.infer("affine", affine_input(X), client_timeout=0.2)
        assert raised.value.status() == str(grpc.StatusCode.DEADLINE_EXCEEDED)
    eventually(lambda: {**counts(patient), "gone": 0}, {**before, "gone": 0})
