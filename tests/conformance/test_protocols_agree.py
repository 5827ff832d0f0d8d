"""One model, one version, many protocols at once: all answers agree.

The same images go through V2 JSON, V2 binary, `tritonclient` and both TensorFlow Serving forms concurrently, so that
requests of every kind share batches, and each caller must still get its own rows as if it had been alone.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.http as triton

from metrics import eventually, scrape, total
from wire import HEADER_LENGTH, binary_tensor, close, expect, outputs, post, post_binary, tensor, v2

ROUNDS = 12
V2_PATH = "/v2/models/digits/versions/1/infer"
TF_PATH = "/v1/models/digits/versions/1:predict"


@pytest.fixture(scope="module")
def images(samples) -> np.ndarray:
    body, expected = samples["batch.v2.json"]
    return np.array(body["inputs"][0]["data"], dtype=np.float32).reshape(len(expected), 8, 8)


def by_v2_json(gateway, images: np.ndarray) -> list:
    body = v2(tensor("pixels", "FP32", list(images.shape), images.tolist()))
    answer = outputs(expect(post(gateway.url(V2_PATH), body)))["probabilities"]
    return np.reshape(answer["data"], answer["shape"]).tolist()


def by_v2_binary(gateway, images: np.ndarray) -> list:
    raw = images.astype("<f4").tobytes()
    asked = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    header = v2(binary_tensor("pixels", "FP32", list(images.shape), len(raw)), outputs=asked)
    response = post_binary(gateway.url(V2_PATH), header, raw)
    assert response.status_code == 200, response.text
    split = int(response.headers[HEADER_LENGTH])
    shape = json.loads(response.content[:split])["outputs"][0]["shape"]
    return np.frombuffer(response.content[split:], dtype="<f4").reshape(shape).tolist()


def by_tritonclient(gateway, images: np.ndarray) -> list:
    given = triton.InferInput("pixels", list(images.shape), "FP32").set_data_from_numpy(images)
    with triton.InferenceServerClient(gateway.data) as client:
        return client.infer("digits", [given], model_version="1").as_numpy("probabilities").tolist()


def by_tf_row(gateway, images: np.ndarray) -> list:
    answer = expect(post(gateway.url(TF_PATH), {"instances": images.tolist()}))
    return [row["probabilities"] for row in answer["predictions"]]


def by_tf_column(gateway, images: np.ndarray) -> list:
    answer = expect(post(gateway.url(TF_PATH), {"inputs": {"pixels": images.tolist()}}))
    return answer["outputs"]["probabilities"]


PROTOCOLS = [by_v2_json, by_v2_binary, by_tritonclient, by_tf_row, by_tf_column]


def test_every_caller_gets_its_own_rows_whatever_it_speaks(digits, images):
    alone = by_v2_json(digits, images)
    assert not close(alone[0], alone[1]), "the images must differ for this test to tell anything"

    def ask(turn: int) -> None:
        protocol = PROTOCOLS[turn % len(PROTOCOLS)]
        first, rows = turn % len(images), 1 + turn % 3
        chosen = [(first + n) % len(images) for n in range(rows)]
        got = protocol(digits, images[chosen])
        assert close(got, [alone[n] for n in chosen]), f"{protocol.__name__}, images {chosen}: {got}"

    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(ask, range(ROUNDS * len(PROTOCOLS))))


def test_requests_of_different_protocols_share_batches(digits, images):
    """Batch executions rise by less than requests do: some must have shared one."""

    def count(name: str) -> float:
        return total(scrape(digits), name, model="digits", version="1")

    requests, batches = "nv_inference_request_success", "nv_inference_exec_count"
    requests_before, batches_before = count(requests), count(batches)
    turns = range(40 * len(PROTOCOLS))
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(lambda turn: PROTOCOLS[turn % len(PROTOCOLS)](digits, images[:1]), turns))
    eventually(lambda: count(requests) - requests_before >= len(turns), True)
    assert count(batches) - batches_before < len(turns), "no two of the requests shared a batch"
