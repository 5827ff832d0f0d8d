"""Many requests and their answers in one call: Triton's ModelStreamInfer, with NVIDIA's clients.

Requests of a stream run side by side and are answered in their order; one that fails is answered with its error, and
the stream goes on unless its metadata says `triton_grpc_error`.
"""

from __future__ import annotations

import asyncio
import queue

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc import StatusCode
from tritonclient.grpc import service_pb2

from conftest import PATIENT_ROWS
from grpc_wire import TIMEOUT_S, affine_input, request, stub, tensor
from metrics import eventually, scrape, total
from wire import fp32

X = [[1, 2, 3, 4]]


@pytest.fixture
def client(fixtures):
    with triton.InferenceServerClient(fixtures.data) as client:
        yield client


class Answers:
    """What comes back on a stream, one after the other: the result or the error."""

    def __init__(self):
        self._queue = queue.Queue()

    def __call__(self, result, error):
        self._queue.put((result, error))

    def result(self):
        result, error = self._queue.get(timeout=TIMEOUT_S)
        assert error is None, error
        return result

    def error(self) -> triton.InferenceServerException:
        result, error = self._queue.get(timeout=TIMEOUT_S)
        assert error is not None, result.get_response()
        return error

    def rest(self) -> int:
        return self._queue.qsize()


@pytest.fixture
def stream(client):
    answers = Answers()
    client.start_stream(answers)
    yield answers
    client.stop_stream()


def test_answers_come_in_the_order_of_their_requests_each_its_own(client, stream):
    payloads = [np.full((1 + n % 3, 4), n, dtype=np.float32) for n in range(300)]
    for n, payload in enumerate(payloads):
        client.async_stream_infer("affine", affine_input(payload), request_id=f"r{n}")
    for n, payload in enumerate(payloads):
        result = stream.result()
        assert result.get_response().id == f"r{n}"
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * payload + 1)


def test_requests_of_one_stream_share_a_batch(patient):
    """Nothing runs before PATIENT_ROWS rows are together: were they read one by one, the first would wait for ever."""
    before = total(scrape(patient), "tidegate_batches_total", model="affine")
    answers = Answers()
    with triton.InferenceServerClient(patient.data) as client:
        client.start_stream(answers)
        for n in range(5):
            client.async_stream_infer("affine", affine_input([[n] * 4] * (PATIENT_ROWS // 5)), request_id=str(n))
        for n in range(5):
            assert answers.result().as_numpy("s").tolist() == [4 * n] * (PATIENT_ROWS // 5)
        client.stop_stream()
    eventually(lambda: total(scrape(patient), "tidegate_batches_total", model="affine"), before + 1)


def test_a_request_that_fails_is_answered_with_its_error_and_the_stream_goes_on(client, stream):
    client.async_stream_infer("affine", affine_input(X))
    client.async_stream_infer("nonesuch", affine_input(X))
    client.async_stream_infer("affine", affine_input([[1, 2, 3]]))
    client.async_stream_infer("affine", affine_input(X), model_version="99")
    client.async_stream_infer("affine", affine_input(X), timeout=1)
    client.async_stream_infer("affine", affine_input(X), request_id="last")
    assert stream.result().as_numpy("s").tolist() == [10]
    for told in ("nonesuch", "unexpected shape for input", "99", "timeout expired"):
        assert told in stream.error().message()
    assert stream.result().get_response().id == "last"


def test_an_error_names_its_request_by_the_id(fixtures):
    with grpc.insecure_channel(fixtures.data) as channel:
        requests = [request("nonesuch", id="lost"), request("affine", tensor("x", "FP32", [1, 4]), raw=[fp32(1, 2, 3, 4)])]
        answers = list(stub(channel).ModelStreamInfer(iter(requests), timeout=TIMEOUT_S))
    assert "nonesuch" in answers[0].error_message
    assert answers[0].infer_response.id == "lost"
    assert not answers[1].error_message
    assert answers[1].infer_response.model_name == "affine"


def test_with_triton_grpc_error_the_first_error_ends_the_stream_with_its_status(client):
    answers = Answers()
    client.start_stream(answers, headers={"triton_grpc_error": "true"})
    client.async_stream_infer("affine", affine_input(X))
    assert answers.result().as_numpy("s").tolist() == [10]
    client.async_stream_infer("nonesuch", affine_input(X))
    error = answers.error()
    assert error.status() == str(StatusCode.NOT_FOUND)
    assert "nonesuch" in error.message()
    client.stop_stream()
    assert answers.rest() == 0
    assert client.infer("affine", affine_input(X)).as_numpy("s").tolist() == [10]


@pytest.mark.parametrize("asked", [True, False])
def test_every_answer_is_the_last_of_its_request_and_no_empty_one_follows(client, asked):
    answers = Answers()
    client.start_stream(answers)
    for n in range(3):
        client.async_stream_infer("affine", affine_input(X), request_id=str(n), enable_empty_final_response=asked)
    responses = [answers.result().get_response() for _ in range(3)]
    client.stop_stream()
    assert answers.rest() == 0
    assert [r.id for r in responses] == ["0", "1", "2"]
    assert all(r.parameters["triton_final_response"].bool_param for r in responses)
    assert all(len(r.outputs) == 2 for r in responses)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_messages_of_a_stream_may_be_compressed(client, algorithm):
    answers = Answers()
    client.start_stream(answers, compression_algorithm=algorithm)
    values = np.tile(np.arange(4, dtype=np.float32), (1000, 1))
    for _ in range(2):
        client.async_stream_infer("affine", affine_input(values))
        np.testing.assert_array_equal(answers.result().as_numpy("y"), 2 * values + 1)
    client.stop_stream()


def test_a_stream_on_which_nothing_is_asked_ends_well(fixtures):
    with grpc.insecure_channel(fixtures.data) as channel:
        assert list(stub(channel).ModelStreamInfer(iter([]), timeout=TIMEOUT_S)) == []


def test_several_streams_of_one_connection_do_not_mix(fixtures):
    with grpc.insecure_channel(fixtures.data) as channel:
        def requests(stream: int):
            values = fp32(stream, 0, 0, 0)
            return [request("affine", tensor("x", "FP32", [1, 4]), raw=[values], id=f"{stream}.{n}") for n in range(20)]

        calls = [stub(channel).ModelStreamInfer(iter(requests(stream)), timeout=TIMEOUT_S) for stream in range(10)]
        for stream, call in enumerate(calls):
            answers = [answer.infer_response for answer in call]
            assert [answer.id for answer in answers] == [f"{stream}.{n}" for n in range(20)]
            by_name = [dict(zip([o.name for o in a.outputs], a.raw_output_contents)) for a in answers]
            assert all(outputs["s"] == fp32(stream) for outputs in by_name)


def test_the_deadline_of_the_call_ends_a_stream_that_waits(patient):
    answers = Answers()
    with triton.InferenceServerClient(patient.data) as client:
        client.start_stream(answers, stream_timeout=0.5)
        client.async_stream_infer("affine", affine_input(X))
        error = answers.error()
        client.stop_stream()
    # Either end may be the first to see that the time is over.
    assert error.status() in (None, str(StatusCode.DEADLINE_EXCEEDED)), error


def test_the_asynchronous_client_streams_too(fixtures):
    async def requests():
        for n in range(50):
            model = "nonesuch" if n == 25 else "affine"
            yield {"model_name": model, "inputs": affine_input([[n] * 4]), "request_id": str(n)}

    async def run():
        async with triton_aio.InferenceServerClient(fixtures.data) as client:
            return [pair async for pair in client.stream_infer(requests(), stream_timeout=TIMEOUT_S)]

    pairs = asyncio.run(run())
    assert len(pairs) == 50
    for n, (result, error) in enumerate(pairs):
        if n == 25:
            assert "nonesuch" in error.message()
        else:
            assert result.get_response().id == str(n)
            assert result.as_numpy("s").tolist() == [4 * n]


def test_answers_may_be_asked_for_in_the_order_in_which_they_are_ready(patient):
    """The first request waits for company; the second, which cannot be served, would be held up behind it."""
    late = request("affine", tensor("x", "FP32", [1, 4]), raw=[fp32(1, 2, 3, 4)], id="late")
    last = request(
        "affine", tensor("x", "FP32", [PATIENT_ROWS - 1, 4]), raw=[fp32(*[0] * 4 * (PATIENT_ROWS - 1))], id="last"
    )
    waiting: queue.Queue[service_pb2.ModelInferRequest | None] = queue.Queue()
    with grpc.insecure_channel(patient.data) as channel:
        call = stub(channel).ModelStreamInfer(
            iter(waiting.get, None), metadata=[("tidegate-response-order", "any")], timeout=TIMEOUT_S
        )
        waiting.put(late)
        waiting.put(request("nonesuch", id="quick"))
        assert next(call).infer_response.id == "quick"
        waiting.put(last)
        assert sorted(next(call).infer_response.id for _ in range(2)) == ["last", "late"]
        waiting.put(None)
        assert list(call) == []
