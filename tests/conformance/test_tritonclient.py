"""NVIDIA's own HTTP client, `tritonclient.http`, works against the gateway unchanged.

Health, metadata, and `infer` with JSON and binary tensors in both directions, in every datatype, with
compression, ids, parameters, versions and many calls at once; and the client's exceptions carry the status
and the reason. What the client cannot be made to send is in `test_v2_edges.py`.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from datatypes import NOT_IN_JSON, VALUES, text_of

CONNECTIONS = 16


@pytest.fixture(scope="module")
def client(fixtures):
    with triton.InferenceServerClient(fixtures.data, concurrency=CONNECTIONS) as client:
        yield client


@pytest.fixture(scope="module")
def digits_client(digits):
    with triton.InferenceServerClient(digits.data, concurrency=CONNECTIONS) as client:
        yield client


def given(name: str, values: np.ndarray, datatype: str, binary: bool = True) -> triton.InferInput:
    return triton.InferInput(name, list(values.shape), datatype).set_data_from_numpy(values, binary_data=binary)


def affine_input(values, binary: bool = True) -> list[triton.InferInput]:
    return [given("x", np.asarray(values, dtype=np.float32), "FP32", binary)]


def wanted(*names: str, binary: bool = True) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def echo_inputs(client, binary: bool, **values: np.ndarray) -> list[triton.InferInput]:
    """All of echo's inputs; those datatypes that JSON cannot carry are binary anyway."""
    inputs = client.get_model_metadata("echo")["inputs"]
    return [
        given(i["name"], values.get(i["datatype"], VALUES[i["datatype"]]), i["datatype"],
              binary or i["datatype"] in NOT_IN_JSON)
        for i in inputs
    ]  # fmt: skip


def refused(call, status: str, *substrings: str) -> None:
    with pytest.raises(InferenceServerException) as raised:
        call()
    assert raised.value.status() == status, raised.value
    for substring in substrings:
        assert substring in raised.value.message(), raised.value


class TestHealthAndMetadata:
    def test_server_is_live_and_ready(self, digits_client):
        assert digits_client.is_server_live()
        assert digits_client.is_server_ready()

    def test_model_and_each_of_its_versions_are_ready(self, digits_client):
        assert digits_client.is_model_ready("digits")
        for version in ("1", "2", "3"):
            assert digits_client.is_model_ready("digits", version)

    def test_unknown_model_and_unknown_version_are_not_ready(self, digits_client):
        assert not digits_client.is_model_ready("nonesuch")
        assert not digits_client.is_model_ready("digits", "99")

    def test_refused_model_is_not_ready_while_the_others_are(self, client):
        assert not client.is_model_ready("seq_map")
        assert client.is_model_ready("affine")

    def test_server_metadata_names_the_gateway_and_its_extensions(self, digits_client):
        metadata = digits_client.get_server_metadata()
        assert metadata["name"] == "tidegate"
        assert metadata["version"]
        assert "binary_tensor_data" in metadata["extensions"]

    def test_model_metadata_is_the_signature_of_the_model_itself(self, digits_client):
        metadata = digits_client.get_model_metadata("digits")
        assert metadata["name"] == "digits"
        assert sorted(metadata["versions"]) == ["1", "2", "3"]
        assert metadata["platform"]
        assert metadata["inputs"] == [{"name": "pixels", "datatype": "FP32", "shape": [-1, 8, 8]}]
        outputs = {output["name"]: (output["datatype"], output["shape"]) for output in metadata["outputs"]}
        assert outputs == {"probabilities": ("FP32", [-1, 10]), "label": ("INT64", [-1])}

    def test_metadata_of_one_version_may_be_asked_for(self, digits_client):
        assert digits_client.get_model_metadata("digits", "2")["inputs"][0]["name"] == "pixels"

    def test_metadata_of_an_unknown_model_is_404(self, digits_client):
        refused(lambda: digits_client.get_model_metadata("nonesuch"), "404", "Request for unknown model", "nonesuch")


class TestInfer:
    @pytest.mark.parametrize("binary_in", [True, False], ids=["binary-in", "json-in"])
    @pytest.mark.parametrize("binary_out", [True, False], ids=["binary-out", "json-out"])
    def test_json_and_binary_tensors_mix_in_both_directions(self, client, binary_in, binary_out):
        values = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 7]], dtype=np.float32)
        result = client.infer("affine", affine_input(values, binary_in), outputs=wanted("y", "s", binary=binary_out))
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * values + 1)
        np.testing.assert_allclose(result.as_numpy("s"), values.sum(axis=1))

    @pytest.mark.parametrize(
        ("datatype", "binary"),
        [pytest.param(name, True, id=f"{name}-binary") for name in VALUES]
        + [pytest.param(name, False, id=f"{name}-json") for name in VALUES if name not in NOT_IN_JSON],
    )
    def test_every_datatype_comes_back_bit_for_bit(self, client, datatype, binary):
        tensors = echo_inputs(client, binary)
        name = next(t.name() for t in tensors if t.datatype() == datatype)
        output = name.replace("in_", "out_", 1)
        result = client.infer("echo", tensors, outputs=wanted(output, binary=binary))
        assert result.get_output(output)["datatype"] == datatype
        got = result.as_numpy(output)
        if datatype == "BYTES":
            assert [text_of(v) for v in got.flatten()] == list(VALUES[datatype].flatten())
        else:
            assert got.dtype == VALUES[datatype].dtype
            assert got.tobytes() == VALUES[datatype].tobytes(), f"sent {VALUES[datatype]}, got {got}"

    def test_nan_and_infinities_pass_in_binary_form(self, client):
        values = np.array([[np.nan, np.inf, -np.inf, -0.0]], dtype=np.float32)
        result = client.infer("affine", affine_input(values))
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * values + 1)

    def test_bytes_of_any_kind_come_back_as_they_went(self, client):
        sent = np.array([b"a\0b", b"", b"\xff\xfe"], dtype=object)
        result = client.infer("echo_string", [given("x", sent, "BYTES")])
        assert list(result.as_numpy("y")) == list(sent)

    def test_only_the_requested_outputs_come_back(self, client):
        result = client.infer("affine", affine_input([[1, 2, 3, 4]]), outputs=wanted("s"))
        assert [output["name"] for output in result.get_response()["outputs"]] == ["s"]
        assert result.as_numpy("y") is None

    def test_without_a_wish_all_outputs_come_back_in_binary(self, client):
        response = client.infer("affine", affine_input([[1, 2, 3, 4]])).get_response()
        assert {output["name"] for output in response["outputs"]} == {"y", "s"}
        assert all("binary_data_size" in output["parameters"] for output in response["outputs"])

    def test_one_output_may_be_json_and_another_binary(self, client):
        mixed = [*wanted("y", binary=False), *wanted("s", binary=True)]
        result = client.infer("affine", affine_input([[1, 2, 3, 4]]), outputs=mixed)
        assert result.get_output("y")["data"] == [3, 5, 7, 9]
        assert "data" not in result.get_output("s")
        assert result.as_numpy("s").tolist() == [10]

    def test_the_id_is_echoed_and_none_is_made_up(self, client):
        named = client.infer("affine", affine_input([[1, 2, 3, 4]]), request_id="tide-7")
        assert named.get_response()["id"] == "tide-7"
        assert "id" not in client.infer("affine", affine_input([[1, 2, 3, 4]])).get_response()

    def test_parameters_of_the_client_are_accepted(self, client):
        result = client.infer(
            "affine",
            affine_input([[1, 2, 3, 4]]),
            priority=1,
            timeout=10_000_000,
            parameters={"tenant": "blue team", "attempt": 2, "trace": True},
        )
        assert result.as_numpy("s").tolist() == [10]

    @pytest.mark.parametrize("version", ["1", "2", "3"])
    def test_a_version_asked_for_is_the_version_that_answers(self, digits_client, version):
        tensor = given("pixels", np.zeros((1, 8, 8), dtype=np.float32), "FP32")
        response = digits_client.infer("digits", [tensor], model_version=version).get_response()
        assert response["model_name"] == "digits"
        assert response["model_version"] == version

    def test_without_a_version_one_with_a_weight_answers(self, digits_client):
        """After any number of requests no version is off its share by more than one, so 40 in a row by two at most."""
        tensor = given("pixels", np.zeros((1, 8, 8), dtype=np.float32), "FP32")
        answered = [digits_client.infer("digits", [tensor]).get_response()["model_version"] for _ in range(40)]
        assert set(answered) == {"1", "2"}
        assert 2 <= answered.count("2") <= 6, f"of 40 requests at 90 to 10, green had {answered.count('2')}"

    @pytest.mark.parametrize("rows", [1, 2, 7, 64, 100, 200])
    def test_any_number_of_rows_is_answered_in_order(self, client, rows):
        values = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
        result = client.infer("affine", affine_input(values))
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * values + 1)
        np.testing.assert_allclose(result.as_numpy("s"), values.sum(axis=1), rtol=1e-6)

    @pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_request_bodies_may_be_compressed(self, client, algorithm, binary):
        tensors = affine_input([[1, 2, 3, 4]], binary)
        result = client.infer("affine", tensors, request_compression_algorithm=algorithm)
        assert result.as_numpy("y").tolist() == [[3, 5, 7, 9]]

    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_asking_for_a_compressed_answer_does_no_harm(self, client, algorithm):
        result = client.infer("affine", affine_input([[1, 2, 3, 4]]), response_compression_algorithm=algorithm)
        assert result.as_numpy("y").tolist() == [[3, 5, 7, 9]]

    @pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_a_large_answer_is_compressed_for_who_asks(self, client, algorithm, binary):
        values = np.tile(np.arange(4, dtype=np.float32), (1000, 1))
        asked = wanted("y", binary=binary)
        result = client.infer("affine", affine_input(values), outputs=asked, response_compression_algorithm=algorithm)
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * values + 1)

    def test_each_of_many_calls_at_once_gets_its_own_answer(self, client):
        payloads = [np.full((1 + n % 3, 4), n, dtype=np.float32) for n in range(200)]
        pending = [client.async_infer("affine", affine_input(p), request_id=f"r{n}") for n, p in enumerate(payloads)]
        for n, (payload, call) in enumerate(zip(payloads, pending)):
            result = call.get_result()
            assert result.get_response()["id"] == f"r{n}"
            np.testing.assert_array_equal(result.as_numpy("y"), 2 * payload + 1)


class TestAio:
    def test_the_asynchronous_client_asks_and_is_refused_like_the_other(self, fixtures):
        payloads = [np.full((1 + n % 3, 4), n, dtype=np.float32) for n in range(50)]

        async def run():
            async with triton_aio.InferenceServerClient(fixtures.data) as client:
                assert await client.is_server_ready() and await client.is_model_ready("affine")
                assert (await client.get_model_metadata("affine"))["inputs"][0]["name"] == "x"
                answers = await asyncio.gather(*(client.infer("affine", affine_input(p)) for p in payloads))
                return answers, await asyncio.gather(client.infer("nonesuch", affine_input(payloads[0])), return_exceptions=True)

        answers, (error,) = asyncio.run(run())
        for payload, answer in zip(payloads, answers):
            np.testing.assert_array_equal(answer.as_numpy("y"), 2 * payload + 1)
        assert error.status() == "404"
        assert "nonesuch" in error.message()


class TestModelsOfOtherShapes:
    def test_a_model_fixed_to_one_row_answers_many_callers_one_by_one(self, client):
        payloads = [np.full((1, 4), n, dtype=np.float32) for n in range(20)]
        pending = [client.async_infer("fixed_batch", [given("x", p, "FP32")]) for p in payloads]
        for payload, call in zip(payloads, pending):
            np.testing.assert_array_equal(call.get_result().as_numpy("y"), 2 * payload)

    def test_a_model_fixed_to_one_row_refuses_two(self, client):
        tensor = given("x", np.zeros((2, 4), dtype=np.float32), "FP32")
        refused(lambda: client.infer("fixed_batch", [tensor]), "400", "unexpected shape for input", "'x'")

    def test_a_model_without_a_batch_dimension_is_served(self, client):
        result = client.infer("no_batch", [given("x", np.arange(4, dtype=np.float32), "FP32")])
        assert result.as_numpy("y").tolist() == [0, 2, 4, 6]
        assert result.as_numpy("total").tolist() == 6

    def test_a_model_that_mixes_its_rows_is_never_batched(self, client):
        """Alone, a row less its batch's mean is zero; any company would show."""
        payloads = [np.full((1, 4), n, dtype=np.float32) for n in range(20)]
        pending = [client.async_infer("cross_row", [given("x", p, "FP32")]) for p in payloads]
        for call in pending:
            np.testing.assert_array_equal(call.get_result().as_numpy("y"), np.zeros((1, 4)))

    def test_an_input_that_all_rows_share_stays_with_its_caller(self, client):
        def call(n: int):
            scale = given("scale", np.array(n, dtype=np.float32), "FP32")
            return client.async_infer("shared_scalar", [given("x", np.ones((2, 4), dtype=np.float32), "FP32"), scale])

        for n, pending in enumerate([call(n) for n in range(20)]):
            np.testing.assert_array_equal(pending.get_result().as_numpy("y"), np.full((2, 4), n))

    def test_a_batch_on_another_axis_comes_back_on_that_axis(self, client):
        payloads = [np.full((1 + n % 3, 4), n, dtype=np.float32) for n in range(20)]
        pending = [client.async_infer("rows_out_axis1", [given("x", p, "FP32")]) for p in payloads]
        for payload, call in zip(payloads, pending):
            np.testing.assert_array_equal(call.get_result().as_numpy("y"), payload.T)

    def test_requests_of_different_shape_are_answered_side_by_side(self, client):
        payloads = [np.full((1, 1 + n % 4), n, dtype=np.float32) for n in range(40)]
        pending = [client.async_infer("echo_fp32", [given("x", p, "FP32")]) for p in payloads]
        for payload, call in zip(payloads, pending):
            np.testing.assert_array_equal(call.get_result().as_numpy("y"), payload)

    def test_names_as_exporters_write_them_are_kept(self, client):
        p, q = np.full((1, 4), 5, dtype=np.float32), np.full((1, 4), 2, dtype=np.float32)
        result = client.infer("odd_names", [given("a/b", q, "FP32"), given("serving_default_x:0", p, "FP32")])
        np.testing.assert_array_equal(result.as_numpy("z/out:0"), p + q)
        np.testing.assert_array_equal(result.as_numpy("0"), p - q)
        np.testing.assert_array_equal(result.as_numpy("StatefulPartitionedCall:1"), p * q)


class TestSchedulePolicy:
    """`timeout` (microseconds) and `priority`, as the client's own arguments send them."""

    @pytest.mark.parametrize("binary", [True, False])
    @pytest.mark.parametrize("policy", [
        {"timeout": 20_000_000},
        {"timeout": 0},
        {"timeout": 2**63},
        {"priority": 1},
        {"priority": 10, "timeout": 20_000_000},
        {"priority": 11},
        {"timeout": "20000000", "priority": "2"},
    ], ids=str)  # fmt: skip
    def test_a_request_with_time_enough_is_answered(self, client, policy, binary):
        result = client.infer("affine", affine_input([[1, 2, 3, 4]], binary), **policy)
        assert result.as_numpy("s").tolist() == [10]

    @pytest.mark.parametrize("binary", [True, False])
    def test_a_timeout_that_cannot_be_met_is_504(self, client, binary):
        tensors = affine_input([[1, 2, 3, 4]], binary)
        refused(lambda: client.infer("affine", tensors, timeout=1), "504", "affine", "timeout expired")

    @pytest.mark.parametrize("header", ["X-Request-Timeout", "Request-Timeout", "grpc-timeout"])
    def test_headers_tell_a_timeout_too(self, client, header):
        spelled, too_short = ("20S", "1u") if header == "grpc-timeout" else ("20", "1us")
        tensors = affine_input([[1, 2, 3, 4]])
        assert client.infer("affine", tensors, headers={header: spelled}).as_numpy("s").tolist() == [10]
        refused(lambda: client.infer("affine", tensors, headers={header: too_short}), "504", "timeout expired")
        refused(lambda: client.infer("affine", tensors, headers={header: "soon"}), "400", header.lower(), "soon")

    @pytest.mark.parametrize("key", ["timeout", "priority"])
    @pytest.mark.parametrize("value", [-1, "soon", True], ids=str)
    def test_what_is_no_whole_number_is_refused(self, client, key, value):
        tensors = affine_input([[1, 2, 3, 4]])
        refused(lambda: client.infer("affine", tensors, **{key: value}), "400", f"'{key}'")


class TestErrors:
    def test_unknown_model(self, client):
        tensors = affine_input([[1, 2, 3, 4]])
        refused(lambda: client.infer("nonesuch", tensors), "404", "Request for unknown model", "nonesuch")

    def test_unknown_version(self, client):
        refused(lambda: client.infer("affine", affine_input([[1, 2, 3, 4]]), model_version="99"), "404", "affine")

    def test_wrong_shape(self, client):
        refused(lambda: client.infer("affine", affine_input([[1, 2, 3]])), "400", "unexpected shape for input", "'x'")

    def test_wrong_rank(self, client):
        refused(lambda: client.infer("affine", affine_input([1, 2, 3, 4])), "400", "unexpected shape for input", "'x'")

    def test_wrong_datatype(self, client):
        tensor = given("x", np.zeros((1, 4), dtype=np.float64), "FP64")
        refused(lambda: client.infer("affine", [tensor]), "400", "'x'", "data-type", "FP64", "FP32")

    def test_missing_input(self, client):
        tensors = echo_inputs(client, binary=True)
        refused(lambda: client.infer("echo", tensors[1:]), "400", tensors[0].name())

    def test_unknown_input(self, client):
        tensors = [*affine_input([[1, 2, 3, 4]]), given("z", np.zeros((1, 4), dtype=np.float32), "FP32")]
        refused(lambda: client.infer("affine", tensors), "400", "'z'")

    def test_duplicate_input(self, client):
        refused(lambda: client.infer("affine", affine_input([[1, 2, 3, 4]]) * 2), "400", "'x'")

    def test_unknown_output(self, client):
        unknown = wanted("nonesuch")
        refused(lambda: client.infer("affine", affine_input([[1, 2, 3, 4]]), outputs=unknown), "400", "nonesuch")

    def test_duplicate_output(self, client):
        twice = wanted("y", "y")
        refused(lambda: client.infer("affine", affine_input([[1, 2, 3, 4]]), outputs=twice), "400", "'y'")

    def test_inputs_that_disagree_about_the_rows(self, client):
        tensors = echo_inputs(client, True, FP32=np.zeros((2, 3), dtype=np.float32))
        refused(lambda: client.infer("echo", tensors), "400", "batch size does not match")

    def test_a_request_on_which_the_model_fails(self, client):
        tensor = given("x", np.array([[1000]], dtype=np.int64), "INT64")
        refused(lambda: client.infer("picky", [tensor]), "500", "picky")

    def test_a_model_that_was_refused_at_load_says_so(self, client):
        refused(lambda: client.infer("seq_map", affine_input([[1, 2, 3, 4]])), "503", "seq_map")
