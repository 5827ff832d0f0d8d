"""NVIDIA's own gRPC client, `tritonclient.grpc`, works against the gateway unchanged.

As `test_tritonclient.py` has it for HTTP: health, metadata and `infer` in every datatype, raw and typed, with
compression, ids, parameters, versions and many calls at once, in both of the client's styles. What a standard client
cannot be made to send is built from its messages. Streams have a file of their own.
"""

from __future__ import annotations

import asyncio

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc import StatusCode
from tritonclient.grpc import service_pb2

from datatypes import NOT_IN_JSON, VALUES, text_of
from grpc_wire import TIMEOUT_S, affine_input, given, refused, request, stub, tensor, wanted
from http2 import GRPC_HEADERS, Http2
from wire import expect, fp32, get

X = [[1, 2, 3, 4]]
Y = [[3, 5, 7, 9]]
RAW_X = fp32(1, 2, 3, 4)

# Where typed values of a datatype stand.
FIELDS = {
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    **{name: f"{name.lower()}_contents" for name in ("BOOL", "INT64", "UINT64", "FP32", "FP64", "BYTES")},
}


@pytest.fixture(scope="module")
def client(fixtures):
    with triton.InferenceServerClient(fixtures.data) as client:
        yield client


@pytest.fixture(scope="module")
def digits_client(digits):
    with triton.InferenceServerClient(digits.data) as client:
        yield client


@pytest.fixture(scope="module")
def service(fixtures):
    """The service without a client around it."""
    with grpc.insecure_channel(fixtures.data) as channel:
        yield stub(channel)


def infer(service, *inputs, model: str = "affine", **rest):
    return service.ModelInfer(request(model, *inputs, **rest), timeout=TIMEOUT_S)


def x_tensor(shape=(1, 4), datatype="FP32", **contents):
    return tensor("x", datatype, list(shape), **contents)


class TestHealthAndMetadata:
    def test_server_is_live_and_ready(self, client):
        assert client.is_server_live()
        assert client.is_server_ready()

    def test_model_and_each_of_its_versions_are_ready(self, digits_client):
        assert digits_client.is_model_ready("digits")
        for version in ("1", "2", "3"):
            assert digits_client.is_model_ready("digits", version)

    def test_a_model_that_is_not_ready_is_an_answer_and_an_unknown_one_an_error(self, client):
        assert client.is_model_ready("seq_map") is False
        refused(lambda: client.is_model_ready("nonesuch"), StatusCode.NOT_FOUND, "nonesuch")
        refused(lambda: client.is_model_ready("affine", "99"), StatusCode.NOT_FOUND, "affine")
        refused(lambda: client.is_model_ready("affine", "v1"), StatusCode.INVALID_ARGUMENT, "v1")

    def test_server_metadata_names_the_gateway_and_its_extensions(self, client):
        metadata = client.get_server_metadata()
        assert metadata.name == "tidegate"
        assert metadata.version
        assert {"binary_tensor_data", "classification"} <= set(metadata.extensions)

    def test_model_metadata_is_the_signature_of_the_model_itself(self, digits_client):
        metadata = digits_client.get_model_metadata("digits")
        assert metadata.name == "digits"
        assert sorted(metadata.versions) == ["1", "2", "3"]
        assert metadata.platform
        assert [(i.name, i.datatype, list(i.shape)) for i in metadata.inputs] == [("pixels", "FP32", [-1, 8, 8])]
        outputs = {o.name: (o.datatype, list(o.shape)) for o in metadata.outputs}
        assert outputs == {"probabilities": ("FP32", [-1, 10]), "label": ("INT64", [-1])}
        assert digits_client.get_model_metadata("digits", "2").versions == ["2"]

    def test_metadata_of_what_is_not_there_is_refused(self, client):
        refused(lambda: client.get_model_metadata("nonesuch"), StatusCode.NOT_FOUND, "nonesuch")
        refused(lambda: client.get_model_metadata("seq_map"), StatusCode.UNAVAILABLE, "seq_map", "not at ready state")

    def test_http_and_grpc_tell_the_same_metadata(self, fixtures, client):
        told = client.get_model_metadata("echo", as_json=True)
        for spec in told["inputs"] + told["outputs"]:
            spec["shape"] = [int(dim) for dim in spec["shape"]]
        assert told == expect(get(fixtures.url("/v2/models/echo")))


class TestInfer:
    @pytest.mark.parametrize("datatype", VALUES)
    def test_every_datatype_comes_back_bit_for_bit_in_raw_form(self, client, datatype):
        described = client.get_model_metadata("echo").inputs
        name = next(i.name for i in described if i.datatype == datatype)
        output = name.replace("in_", "out_", 1)
        tensors = [given(i.name, VALUES[i.datatype], i.datatype) for i in described]
        result = client.infer("echo", tensors, outputs=wanted(output))
        assert result.get_output(output).datatype == datatype
        got = result.as_numpy(output)
        if datatype == "BYTES":
            assert [text_of(v) for v in got.flatten()] == list(VALUES[datatype].flatten())
        else:
            assert got.dtype == VALUES[datatype].dtype
            assert got.tobytes() == VALUES[datatype].tobytes(), f"sent {VALUES[datatype]}, got {got}"

    def test_every_datatype_comes_back_bit_for_bit_in_typed_form(self, service):
        described = service.ModelMetadata(service_pb2.ModelMetadataRequest(name="echo_json")).inputs
        values = {name: v.flatten().tolist() for name, v in VALUES.items() if name not in NOT_IN_JSON}
        values["BYTES"] = [text.encode() for text in values["BYTES"]]
        assert {i.datatype for i in described} == set(values)
        inputs = [tensor(i.name, i.datatype, [1, 3], **{FIELDS[i.datatype]: values[i.datatype]}) for i in described]
        answer = infer(service, *inputs, model="echo_json")
        assert len(answer.raw_output_contents) == len(answer.outputs) == len(described)
        for output, content in zip(answer.outputs, answer.raw_output_contents):
            assert not output.HasField("contents")
            if output.datatype == "BYTES":
                expected = b"".join(len(v).to_bytes(4, "little") + v for v in values["BYTES"])
            else:
                expected = VALUES[output.datatype].tobytes()
            assert content == expected, output

    def test_half_precision_has_no_typed_form(self, service):
        refused(lambda: infer(service, tensor("in_fp16", "FP16", [1, 1], fp32_contents=[1]), model="echo"), StatusCode.INVALID_ARGUMENT, "in_fp16", "FP16")

    def test_nan_and_infinities_pass(self, client):
        values = np.array([[np.nan, np.inf, -np.inf, -0.0]], dtype=np.float32)
        result = client.infer("affine", affine_input(values))
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * values + 1)

    def test_bytes_of_any_kind_come_back_as_they_went(self, client):
        sent = np.array([b"a\0b", b"", b"\xff\xfe"], dtype=object)
        assert list(client.infer("echo_string", [given("x", sent, "BYTES")]).as_numpy("y")) == list(sent)

    def test_only_the_requested_outputs_come_back_and_without_a_wish_all(self, client):
        def names(outputs):
            return [o.name for o in client.infer("affine", affine_input(X), outputs=outputs).get_response().outputs]

        assert names(wanted("s")) == ["s"]
        assert names(wanted("s", "y")) == ["s", "y"]
        assert sorted(names(None)) == ["s", "y"]

    def test_the_id_is_echoed_and_none_is_made_up(self, client):
        assert client.infer("affine", affine_input(X), request_id="tide-7").get_response().id == "tide-7"
        assert client.infer("affine", affine_input(X)).get_response().id == ""

    @pytest.mark.parametrize("kind", ["bool_param", "int64_param", "string_param", "double_param", "uint64_param", None])
    def test_parameters_of_every_kind_are_accepted(self, service, kind):
        value = {"bool_param": True, "string_param": "blue team", "double_param": 0.5}.get(kind, 7)
        parameter = service_pb2.InferParameter(**({kind: value} if kind else {}))
        answer = infer(service, x_tensor(), raw=[RAW_X], parameters={"tenant": parameter})
        assert answer.model_name == "affine"

    def test_parameters_of_the_client_are_accepted(self, client):
        parameters = {"tenant": "blue team", "attempt": 2, "trace": True, "share": 0.5}
        result = client.infer("affine", affine_input(X), priority=1, timeout=10_000_000, parameters=parameters)
        assert result.as_numpy("s").tolist() == [10]

    @pytest.mark.parametrize("version", ["1", "2", "3"])
    def test_a_version_asked_for_is_the_version_that_answers(self, digits_client, version):
        pixels = given("pixels", np.zeros((1, 8, 8), dtype=np.float32), "FP32")
        response = digits_client.infer("digits", [pixels], model_version=version).get_response()
        assert (response.model_name, response.model_version) == ("digits", version)

    def test_classes_come_best_first_with_their_index(self, digits_client, samples):
        body, expected = samples["batch.v2.json"]
        images = np.array(body["inputs"][0]["data"], dtype=np.float32).reshape(len(expected), 8, 8)
        result = digits_client.infer(
            "digits", [given("pixels", images, "FP32")], model_version="1",
            outputs=wanted("probabilities", class_count=3),
        )  # fmt: skip
        classes = result.as_numpy("probabilities")
        assert classes.shape == (len(expected), 3)
        for row, digit in zip(classes, expected):
            scores = [float(entry.decode().split(":")[0]) for entry in row]
            assert scores == sorted(scores, reverse=True)
            assert int(row[0].decode().split(":")[1]) == digit

    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_messages_may_be_compressed(self, client, algorithm):
        values = np.tile(np.arange(4, dtype=np.float32), (1000, 1))
        result = client.infer("affine", affine_input(values), compression_algorithm=algorithm)
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * values + 1)

    @pytest.mark.parametrize("rows", [1, 7, 64, 100, 20_000])
    def test_any_number_of_rows_is_answered_in_order(self, client, rows):
        values = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
        result = client.infer("affine", affine_input(values))
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * values + 1)

    def test_each_of_many_calls_at_once_gets_its_own_answer(self, fixtures):
        payloads = [np.full((1 + n % 3, 4), n, dtype=np.float32) for n in range(200)]

        async def run():
            async with triton_aio.InferenceServerClient(fixtures.data) as client:
                calls = [client.infer("affine", affine_input(p), request_id=f"r{n}") for n, p in enumerate(payloads)]
                return await asyncio.gather(*calls)

        for n, (payload, result) in enumerate(zip(payloads, asyncio.run(run()))):
            assert result.get_response().id == f"r{n}"
            np.testing.assert_array_equal(result.as_numpy("y"), 2 * payload + 1)

    def test_a_model_without_a_batch_dimension_is_served(self, client):
        result = client.infer("no_batch", [given("x", np.arange(4, dtype=np.float32), "FP32")])
        assert result.as_numpy("y").tolist() == [0, 2, 4, 6]
        assert result.as_numpy("total").tolist() == 6

    def test_every_answer_tells_where_its_time_went(self, service):
        _, call = service.ModelInfer.with_call(request("affine", x_tensor(), raw=[RAW_X]), timeout=TIMEOUT_S)
        timing = dict(call.initial_metadata())["server-timing"]
        for stage in ("queue", "batch", "execute", "batch-size"):
            assert stage in timing, timing


class TestRefusals:
    @pytest.mark.parametrize(("case", "code", "told"), [
        ({"model": "nonesuch"}, StatusCode.NOT_FOUND, ["Request for unknown model", "nonesuch"]),
        ({"model": "affine", "version": "99"}, StatusCode.NOT_FOUND, ["affine", "99"]),
        ({"model": "affine", "version": "v1"}, StatusCode.INVALID_ARGUMENT, ["affine", "v1"]),
        ({"model": "affine", "version": "0"}, StatusCode.INVALID_ARGUMENT, ["affine", "'0'"]),
        ({"model": ""}, StatusCode.NOT_FOUND, []),
        ({"model": "seq_map"}, StatusCode.UNAVAILABLE, ["seq_map"]),
        ({"model": "affine", "x": [[1, 2, 3]]}, StatusCode.INVALID_ARGUMENT, ["unexpected shape for input", "'x'"]),
        ({"model": "affine", "x": [1, 2, 3, 4]}, StatusCode.INVALID_ARGUMENT, ["unexpected shape for input", "'x'"]),
        ({"model": "fixed_batch", "x": X * 2}, StatusCode.INVALID_ARGUMENT, ["unexpected shape for input", "'x'"]),
    ], ids=str)  # fmt: skip
    def test_who_and_what_is_asked_is_checked(self, client, case, code, told):
        model, x, version = case["model"], case.get("x", X), case.get("version", "")
        refused(lambda: client.infer(model, affine_input(x), model_version=version), code, *told)

    def test_names_and_datatypes_are_checked(self, client):
        def bad(inputs, *told, outputs=None):
            refused(lambda: client.infer("affine", inputs, outputs=outputs), StatusCode.INVALID_ARGUMENT, *told)

        bad([given("x", np.zeros((1, 4)), "FP64")], "'x'", "data-type", "FP64", "FP32")
        bad([given("z", np.zeros((1, 4), dtype=np.float32), "FP32")], "'z'")
        bad([*affine_input(X), given("z", np.zeros((1, 4), dtype=np.float32), "FP32")], "'z'")
        bad(affine_input(X) * 2, "'x'")
        bad([], "x")
        bad(affine_input(X), "nonesuch", outputs=wanted("nonesuch"))
        bad(affine_input(X), "'y'", outputs=wanted("y", "y"))

    @pytest.mark.parametrize(("inputs", "contents", "told"), [
        ([x_tensor()], [RAW_X[:-1]], ["byte size mismatch", "'x'", "16", "15"]),
        ([x_tensor()], [RAW_X + b"\0"], ["byte size mismatch", "'x'", "16", "17"]),
        ([x_tensor()], [RAW_X, RAW_X], ["raw_input_contents holds 2 tensors", "each of the 1 input"]),
        ([x_tensor(), x_tensor()], [RAW_X], ["raw_input_contents holds 1 tensors", "each of the 2 input"]),
        ([x_tensor(fp32_contents=X[0])], [RAW_X], ["contents field must not be specified", "'x'"]),
        ([x_tensor(fp32_contents=X[0][:3])], [], ["'x'", "16 bytes", "12"]),
        ([x_tensor(fp32_contents=X[0] + [5])], [], ["'x'", "16 bytes", "20"]),
        ([x_tensor(int_contents=[1, 2, 3, 4])], [], ["'x'", "16 bytes", "0"]),
        ([x_tensor()], [], ["'x'", "16 bytes", "0"]),
        ([x_tensor(shape=[-1, 4])], [RAW_X], ["'x'", "-1"]),
        ([x_tensor(shape=[0, 4])], [b""], []),
        ([x_tensor(shape=[2**62, 4])], [RAW_X], ["x"]),
        ([x_tensor(shape=[1] * 40)], [RAW_X], ["'x'", "dimensions"]),
        ([x_tensor(datatype="FLOAT")], [RAW_X], ["'x'", "FLOAT"]),
        ([x_tensor(datatype="")], [RAW_X], ["'x'", "''"]),
        ([tensor("", "FP32", [1, 4])], [RAW_X], ["''"]),
    ], ids=lambda value: None)  # fmt: skip
    def test_values_must_be_those_that_the_description_promises(self, service, inputs, contents, told):
        refused(lambda: infer(service, *inputs, raw=contents), StatusCode.INVALID_ARGUMENT, *told)

    @pytest.mark.parametrize(("datatype", "name", "value"), [
        ("INT8", "in_int8", {"int_contents": [128]}),
        ("UINT16", "in_uint16", {"uint_contents": [65536]}),
    ])  # fmt: skip
    def test_a_typed_value_must_fit_its_datatype(self, service, datatype, name, value):
        refused(lambda: infer(service, tensor(name, datatype, [1, 1], **value), model="echo"), StatusCode.INVALID_ARGUMENT, name, str(next(iter(value.values()))[0]))

    @pytest.mark.parametrize("payload", [b"\x05\0\0\0abc", b"\x03\0\0\0abc\x01", b"\xff\xff\xff\xffabc"])
    def test_strings_that_do_not_fit_their_tensor_are_refused(self, service, payload):
        refused(lambda: infer(service, tensor("x", "BYTES", [1]), raw=[payload], model="echo_string"), StatusCode.INVALID_ARGUMENT, "'x'")

    def test_reserved_and_mistyped_parameters_are_refused(self, service):
        def bad(key, parameter, *told):
            refused(lambda: infer(service, x_tensor(), raw=[RAW_X], parameters={key: parameter}), StatusCode.INVALID_ARGUMENT, key, *told)

        bad("triton_x", service_pb2.InferParameter(int64_param=1), "reserved")
        bad("timeout", service_pb2.InferParameter(bool_param=True))
        bad("timeout", service_pb2.InferParameter(int64_param=-1))
        bad("priority", service_pb2.InferParameter(string_param="high"))

    def test_a_classification_of_nothing_is_refused(self, service):
        message = request("affine", x_tensor(), raw=[RAW_X], outputs=["y"])
        message.outputs[0].parameters["classification"].int64_param = 0
        refused(lambda: service.ModelInfer(message), StatusCode.INVALID_ARGUMENT, "'y'", "classification")

    def test_a_timeout_that_cannot_be_met_is_deadline_exceeded(self, client):
        refused(lambda: client.infer("affine", affine_input(X), timeout=1), StatusCode.DEADLINE_EXCEEDED, "affine", "timeout expired")
        assert client.infer("affine", affine_input(X), client_timeout=20).as_numpy("s").tolist() == [10]

    def test_a_request_on_which_the_model_fails_is_internal(self, client):
        bad = given("x", np.array([[1000]], dtype=np.int64), "INT64")
        refused(lambda: client.infer("picky", [bad]), StatusCode.INTERNAL, "picky")

    def test_a_header_that_is_no_timeout_is_refused(self, service):
        message = request("affine", x_tensor(), raw=[RAW_X])
        refused(
            lambda: service.ModelInfer(message, metadata=[("x-request-timeout", "soon")], timeout=TIMEOUT_S),
            StatusCode.INVALID_ARGUMENT, "x-request-timeout", "soon",
        )  # fmt: skip

    def test_an_unknown_compression_is_unimplemented_and_the_known_ones_are_told(self, fixtures):
        path = "/inference.GRPCInferenceService/ModelInfer"
        with Http2(fixtures.data) as connection:
            stream = connection.ask(path, b"\0\0\0\0\0", GRPC_HEADERS | {"grpc-encoding": "snappy"})
            answer = connection.answer(stream)
        assert answer.headers["grpc-status"] == str(StatusCode.UNIMPLEMENTED.value[0])
        assert "snappy" in answer.headers["grpc-message"]
        assert {"gzip", "deflate"} <= set(answer.headers["grpc-accept-encoding"].replace(" ", "").split(","))

    def test_a_call_that_breaks_its_framing_is_refused(self, fixtures):
        path = "/inference.GRPCInferenceService/ServerLive"
        with Http2(fixtures.data) as connection:
            for body in (b"", b"\0\0\0", b"\0\0\0\0\x05ab", b"\0\0\0\0\0" * 2, b"\x01\0\0\0\0", b"\x07\0\0\0\0"):
                answer = connection.answer(connection.ask(path, body, GRPC_HEADERS))
                assert answer.headers["grpc-status"] == str(StatusCode.INVALID_ARGUMENT.value[0]), body
            answer = connection.answer(connection.ask(path, b"\0\0\0\0\0", GRPC_HEADERS))
            assert answer.headers["grpc-status"] == "0"

    @pytest.mark.parametrize("path", [
        "/inference.GRPCInferenceService/Nonesuch", "/inference.GRPCInferenceService/modelinfer",
        "/nowhere.Service/Method", "/tensorflow.serving.SessionService/SessionRun",
    ])  # fmt: skip
    def test_what_is_not_offered_is_unimplemented(self, fixtures, path):
        with grpc.insecure_channel(fixtures.data) as channel:
            refused(lambda: channel.unary_unary(path)(b"", timeout=TIMEOUT_S), StatusCode.UNIMPLEMENTED, path)

    def test_bytes_that_are_no_message_are_refused(self, fixtures):
        with grpc.insecure_channel(fixtures.data) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            refused(lambda: call(b"\xff" * 100, timeout=TIMEOUT_S), StatusCode.INVALID_ARGUMENT)

    def test_a_message_above_the_body_limit_is_refused_before_it_is_read(self, patient):
        values = np.zeros((1 << 17, 4), dtype=np.float32)
        with triton.InferenceServerClient(patient.data) as client:
            refused(lambda: client.infer("affine", affine_input(values)), StatusCode.RESOURCE_EXHAUSTED, "exceeds the maximum of 1048576 bytes")


class TestAio:
    def test_the_asynchronous_client_asks_and_is_refused_like_the_other(self, fixtures):
        async def run():
            async with triton_aio.InferenceServerClient(fixtures.data) as client:
                assert await client.is_server_live() and await client.is_server_ready()
                assert await client.is_model_ready("affine")
                assert (await client.get_server_metadata()).name == "tidegate"
                assert (await client.get_model_metadata("affine")).inputs[0].name == "x"
                assert (await client.infer("affine", affine_input(X))).as_numpy("y").tolist() == Y
                return await asyncio.gather(client.infer("nonesuch", affine_input(X)), return_exceptions=True)

        (error,) = asyncio.run(run())
        assert error.status() == str(StatusCode.NOT_FOUND)
        assert "nonesuch" in error.message()
