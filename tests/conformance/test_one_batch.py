"""Five wire formats, one model, one batch: whoever asks in whatever protocol shares a run, and the bits are the same.

The gateway waits until all rows are together, so that the five cannot help meeting; what was in the batch is read from
its metrics and from the `Server-Timing` of the answers.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np

import tensorflow_protos as tf
from conftest import PATIENT_ROWS
from grpc_wire import TIMEOUT_S, request, stub, tensor
from metrics import eventually, scrape, total
from tensorflow_wire import array_of, predict_request, proto_of
from wire import HEADER_LENGTH, binary_tensor, expect, outputs, post, post_binary, v2
from wire import tensor as json_tensor

ROWS = PATIENT_ROWS // 5
# float32 values of every size and with all their digits, which JSON must neither round nor cut.
X = (np.random.default_rng(7).standard_normal((ROWS, 4)) * 10.0 ** np.arange(-6, 6).reshape(ROWS, 4)).astype(np.float32)

Answer = tuple[dict[str, bytes], str]


def by_v2_json(gateway) -> Answer:
    response = post(gateway.url("/v2/models/affine/infer"), v2(json_tensor("x", "FP32", [ROWS, 4], X.tolist())))
    values = {name: bits(output["data"]) for name, output in outputs(expect(response)).items()}
    return values, response.headers["Server-Timing"]


def by_v2_binary(gateway) -> Answer:
    asked = [{"name": name, "parameters": {"binary_data": True}} for name in ("y", "s")]
    header = v2(binary_tensor("x", "FP32", [ROWS, 4], X.nbytes), outputs=asked)
    response = post_binary(gateway.url("/v2/models/affine/infer"), header, X.tobytes())
    assert response.status_code == 200, response.text
    split = int(response.headers[HEADER_LENGTH])
    values, at = {}, split
    for output in json.loads(response.content[:split])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        values[output["name"]] = response.content[at : at + size]
        at += size
    return values, response.headers["Server-Timing"]


def by_v2_grpc(gateway) -> Answer:
    with grpc.insecure_channel(gateway.data) as channel:
        asked = request("affine", tensor("x", "FP32", [ROWS, 4]), raw=[X.tobytes()])
        answer, call = stub(channel).ModelInfer.with_call(asked, timeout=TIMEOUT_S)
    values = dict(zip([output.name for output in answer.outputs], answer.raw_output_contents))
    return values, dict(call.initial_metadata())["server-timing"]


def by_tensorflow_rest(gateway) -> Answer:
    response = post(gateway.url("/v1/models/affine:predict"), {"inputs": {"x": X.tolist()}})
    values = {name: bits(data) for name, data in expect(response)["outputs"].items()}
    return values, response.headers["Server-Timing"]


def by_tensorflow_grpc(gateway) -> Answer:
    with grpc.insecure_channel(gateway.data) as channel:
        asked = predict_request("affine", x=proto_of(X))
        answer, call = tf.PredictionServiceStub(channel).Predict.with_call(asked, timeout=TIMEOUT_S)
    values = {name: array_of(proto).tobytes() for name, proto in answer.outputs.items()}
    return values, dict(call.initial_metadata())["server-timing"]


WAYS = [by_v2_json, by_v2_binary, by_v2_grpc, by_tensorflow_rest, by_tensorflow_grpc]


def bits(values) -> bytes:
    return np.asarray(values, dtype=np.float32).tobytes()


def counts(gateway) -> dict[str, float]:
    text = scrape(gateway)
    names = ("tidegate_batches_total", "tidegate_batch_rows_sum", "tidegate_batch_requests_sum")
    return {name: total(text, name, model="affine") for name in names}


def test_five_protocols_share_one_batch_and_get_the_same_bits(patient):
    before = counts(patient)
    with ThreadPoolExecutor(len(WAYS)) as pool:
        answers = list(pool.map(lambda way: way(patient), WAYS))
    rises = {
        "tidegate_batches_total": 1,
        "tidegate_batch_rows_sum": PATIENT_ROWS,
        "tidegate_batch_requests_sum": len(WAYS),
    }
    eventually(lambda: counts(patient), {name: before[name] + rise for name, rise in rises.items()})
    expected = {"y": (2 * X + 1).tobytes(), "s": answers[0][0]["s"]}
    np.testing.assert_allclose(np.frombuffer(expected["s"], np.float32), X.sum(axis=1), rtol=1e-5)
    for way, (values, timing) in zip(WAYS, answers):
        assert values == expected, way.__name__
        assert f'batch-size;desc="{PATIENT_ROWS}"' in timing, (way.__name__, timing)
