"""What operators and their tools ask over gRPC: health, reflection, the repository, statistics and configuration, log and
trace settings; and what clients are told under overload. What HTTP tells as well is asked there too: both tell and change
the same.
"""

from __future__ import annotations

import shutil

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from google.protobuf import descriptor_pool, message_factory
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import tensorflow_protos as tf
from conftest import MODELS, PATIENT_PLACES
from gateway import Gateway
from grpc_wire import TIMEOUT_S, affine_input, refused, request, stub, tensor
from metrics import eventually, scrape, total
from tensorflow_wire import predict_request, proto_of
from wire import expect_error, fp32, post, v2
from wire import tensor as json_tensor

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
X = [[1, 2, 3, 4]]
SERVICES = {
    "inference.GRPCInferenceService",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "grpc.health.v1.Health",
}


@pytest.fixture(scope="module")
def channel(fixtures):
    with grpc.insecure_channel(fixtures.data) as channel:
        yield channel


@pytest.fixture
def client(managed):
    with triton.InferenceServerClient(managed.data) as client:
        yield client


class TestHealth:
    @staticmethod
    def check(channel, service: str) -> int:
        asked = health_pb2.HealthCheckRequest(service=service)
        return health_pb2_grpc.HealthStub(channel).Check(asked, timeout=TIMEOUT_S).status

    @staticmethod
    def watch(channel, service: str):
        asked = health_pb2.HealthCheckRequest(service=service)
        return health_pb2_grpc.HealthStub(channel).Watch(asked, timeout=TIMEOUT_S)

    @pytest.mark.parametrize("service", ["", *sorted(SERVICES)])
    def test_the_server_and_each_of_its_services_are_healthy(self, channel, service):
        assert self.check(channel, service) == SERVING

    def test_a_models_name_may_be_asked_like_a_services(self, channel):
        assert self.check(channel, "affine") == SERVING
        assert self.check(channel, "seq_map") == NOT_SERVING
        refused(lambda: self.check(channel, "nonesuch"), StatusCode.NOT_FOUND, "nonesuch")

    def test_a_watched_model_tells_each_change(self, managed, client):
        with grpc.insecure_channel(managed.data) as channel:
            watched = self.watch(channel, "affine")
            assert next(watched).status == SERVING
            client.unload_model("affine")
            assert next(watched).status == NOT_SERVING
            client.load_model("affine")
            assert next(watched).status == SERVING
            watched.cancel()

    def test_a_watched_service_that_is_not_there_is_unknown_and_watched_on(self, channel):
        watched = self.watch(channel, "nonesuch")
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        assert watched.is_active()
        watched.cancel()

    def test_who_watches_a_draining_server_is_told_and_let_go(self, tmp_path, repository):
        gateway = Gateway(tmp_path, f'[repository]\npath = "{repository}"\n')
        gateway.start()
        with grpc.insecure_channel(gateway.data) as channel:
            watched = self.watch(channel, "")
            assert next(watched).status == SERVING
            gateway.stop()
            assert [told.status for told in watched] == [NOT_SERVING]


class TestReflection:
    def test_the_services_are_listed(self, channel):
        assert SERVICES <= set(ProtoReflectionDescriptorDatabase(channel).get_services())

    def test_a_tool_that_knows_no_message_asks_with_what_reflection_tells(self, channel):
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service = pool.FindServiceByName("inference.GRPCInferenceService")
        method = service.methods_by_name["ModelMetadata"]
        asked, answered = (message_factory.GetMessageClass(d) for d in (method.input_type, method.output_type))
        call = channel.unary_unary(
            f"/{service.full_name}/{method.name}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        assert call(asked(name="affine"), timeout=TIMEOUT_S).inputs[0].name == "x"

    def test_fields_have_the_numbers_that_the_standard_clients_have(self, channel):
        """What the server says of its messages, against the clients' own classes, from the services down: every method
        and every field of ours is one of theirs. What of theirs we leave out, the wire skips."""
        ours = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        compared = set()
        for name in SERVICES:
            service, theirs = (pool.FindServiceByName(name) for pool in (ours, descriptor_pool.Default()))
            for method in service.methods:
                known = theirs.methods_by_name[method.name]
                compare(method.input_type, known.input_type, compared)
                compare(method.output_type, known.output_type, compared)
        assert {"inference.ModelInferRequest", "tensorflow.TensorProto", "tensorflow.serving.ModelConfig"} <= compared

    def test_what_is_not_there_is_not_found(self, channel):
        asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Message")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        refused(lambda: list(call(iter([asked]), timeout=TIMEOUT_S)), StatusCode.NOT_FOUND, "no.such.Message")


def compare(ours, theirs, compared: set[str]) -> None:
    """A message of ours with theirs, field by field, and the messages in them."""
    if ours.full_name in compared:
        return
    compared.add(ours.full_name)
    for name, field in ours.fields_by_name.items():
        known = theirs.fields_by_name[name]
        assert on_the_wire(field) == on_the_wire(known), f"{ours.full_name}.{name}"
        if field.message_type is not None:
            compare(field.message_type, known.message_type, compared)


def on_the_wire(field) -> tuple:
    """An enum's values are those of an int32."""
    kind = field.TYPE_INT32 if field.type == field.TYPE_ENUM else field.type
    return field.number, kind, field.is_repeated


class TestRepository:
    @staticmethod
    def index(client) -> list[tuple[str, str, str, str]]:
        return [(m.name, m.version, m.state, m.reason) for m in client.get_model_repository_index().models]

    def test_a_model_is_unloaded_and_loaded_again(self, client):
        expected = client.infer("affine", affine_input(X)).as_numpy("y")
        assert self.index(client) == [("affine", "1", "READY", "")]
        client.unload_model("affine", unload_dependents=True)
        assert self.index(client) == [("affine", "1", "UNAVAILABLE", "unloaded")]
        assert not client.is_model_ready("affine")
        refused(lambda: client.infer("affine", affine_input(X)), StatusCode.UNAVAILABLE, "not at ready state")
        client.load_model("affine")
        assert (client.infer("affine", affine_input(X)).as_numpy("y") == expected).all()

    def test_what_was_copied_in_is_loaded(self, client, repository):
        shutil.copytree(MODELS / "echo_fp32", repository / "echo_fp32")
        refused(lambda: client.infer("echo_fp32", affine_input(X)), StatusCode.NOT_FOUND, "echo_fp32")
        client.load_model("echo_fp32")
        assert client.infer("echo_fp32", affine_input(X)).as_numpy("y").tolist() == X

    def test_what_cannot_be_done_is_refused(self, client):
        refused(lambda: client.load_model("nowhere"), StatusCode.NOT_FOUND, "nowhere")
        refused(lambda: client.unload_model("nowhere"), StatusCode.NOT_FOUND, "nowhere")
        files = {"file:1/model.onnx": b"no model"}
        refused(
            lambda: client.load_model("affine", config="{}", files=files),
            StatusCode.UNIMPLEMENTED, "load parameter 'file:1/model.onnx'",
        )  # fmt: skip
        assert client.infer("affine", affine_input(X)).as_numpy("s").tolist() == [10]

    def test_where_management_is_off_changes_are_refused_and_the_index_is_not(self, fixtures):
        with triton.InferenceServerClient(fixtures.data) as client:
            assert "model_repository" not in client.get_server_metadata().extensions
            assert ("affine", "1", "READY", "") in self.index(client)
            refused(lambda: client.load_model("affine"), StatusCode.PERMISSION_DENIED, "data.management")
            refused(lambda: client.unload_model("affine"), StatusCode.PERMISSION_DENIED, "data.management")


class TestStatisticsAndConfiguration:
    """What NVIDIA's load generator reads before and after each of its measurements."""

    def test_what_was_answered_is_counted_the_same_over_both_protocols(self, managed, client):
        for _ in range(3):
            client.infer("affine", affine_input(X * 2))
        eventually(lambda: client.get_inference_statistics("affine").model_stats[0].inference_stats.success.count, 3)
        (told,) = client.get_inference_statistics("affine", "1").model_stats
        assert (told.name, told.version, told.inference_count) == ("affine", "1", 6)
        assert 1 <= told.execution_count <= 3
        assert told.inference_stats.fail.count == 0
        assert told.inference_stats.compute_infer.ns > 0
        assert sum(batch.compute_infer.count for batch in told.batch_stats) == told.execution_count
        with triton_http.InferenceServerClient(managed.data) as http:
            (over_http,) = http.get_inference_statistics("affine")["model_stats"]
        assert over_http["inference_count"] == told.inference_count
        assert over_http["inference_stats"]["queue"] == {
            "count": told.inference_stats.queue.count, "ns": told.inference_stats.queue.ns,
        }  # fmt: skip
        refused(lambda: client.get_inference_statistics("nonesuch"), StatusCode.NOT_FOUND, "nonesuch")

    def test_the_configuration_is_the_same_over_both_protocols(self, fixtures):
        with triton.InferenceServerClient(fixtures.data) as client, triton_http.InferenceServerClient(fixtures.data) as http:
            told, over_http = client.get_model_config("affine").config, http.get_model_config("affine")
            assert (told.name, told.max_batch_size) == (over_http["name"], over_http["max_batch_size"])
            assert [(i.name, i.data_type, list(i.dims)) for i in told.input] == [("x", triton.model_config_pb2.TYPE_FP32, [4])]
            assert over_http["input"][0]["name"] == "x" and over_http["input"][0]["dims"] == [4]
            assert told.HasField("dynamic_batching") and "dynamic_batching" in over_http
            refused(lambda: client.get_model_config("nonesuch"), StatusCode.NOT_FOUND, "nonesuch")


class TestLogSettings:
    def test_a_change_over_one_protocol_is_told_over_the_other(self, managed, client):
        def read() -> dict:
            settings = client.get_log_settings().settings
            return {key: getattr(value, value.WhichOneof("parameter_choice")) for key, value in settings.items()}

        with triton_http.InferenceServerClient(managed.data) as http:
            before = read()
            assert before == http.get_log_settings()
            assert (before["log_info"], before["log_verbose_level"]) == (True, 0)
            client.update_log_settings({"log_verbose_level": 1})
            assert http.get_log_settings() == {**before, "log_verbose_level": 1}
            changed = http.update_log_settings({"log_verbose_level": 0, "log_info": False})
            assert changed == {**before, "log_info": False} == read()
            client.update_log_settings({"log_info": True})
            assert read() == before

    def test_a_verbose_log_says_more(self, managed, client):
        assert '"level":"DEBUG"' not in managed.log.read_text()
        client.update_log_settings({"log_verbose_level": 2})
        client.infer("affine", affine_input(X))
        eventually(lambda: '"level":"TRACE"' in managed.log.read_text() or '"level":"DEBUG"' in managed.log.read_text(), True)

    def test_what_is_no_setting_is_refused(self, managed, client):
        for settings, code, status, told in [
            ({"log_verbose": 1}, StatusCode.INVALID_ARGUMENT, 400, "log_verbose"),
            ({"log_warning": False}, StatusCode.INVALID_ARGUMENT, 400, "log_warnings"),
            ({"log_file": "/etc/passwd"}, StatusCode.UNIMPLEMENTED, 501, "log_file"),
            ({"log_format": "default"}, StatusCode.UNIMPLEMENTED, 501, "log_format"),
        ]:
            refused(lambda: client.update_log_settings(settings), code, told)
            expect_error(post(managed.url("/v2/logging"), settings), status, told)
        for settings in ({"log_info": "yes"}, {"log_info": 1}, {"log_verbose_level": -1}, {"log_verbose_level": True}):
            expect_error(post(managed.url("/v2/logging"), settings), 400, *settings)

    def test_where_management_is_off_settings_are_told_and_not_changed(self, fixtures):
        with triton.InferenceServerClient(fixtures.data) as client:
            assert "log_info" in client.get_log_settings().settings
            off = {"log_info": False}
            refused(lambda: client.update_log_settings(off), StatusCode.PERMISSION_DENIED, "data.management")
        with triton_http.InferenceServerClient(fixtures.data) as client:
            assert client.get_log_settings()["log_info"] is True
            expect_error(post(fixtures.url("/v2/logging"), {"log_info": False}), 403, "data.management")


class TestTraceSettings:
    def test_traces_are_told_to_be_off_over_both_protocols(self, fixtures):
        with triton.InferenceServerClient(fixtures.data) as client, triton_http.InferenceServerClient(fixtures.data) as http:
            for model in (None, "affine"):
                over_grpc = {key: list(value.value) for key, value in client.get_trace_settings(model).settings.items()}
                over_http = http.get_trace_settings(model)
                assert over_grpc["trace_level"] == over_http["trace_level"] == ["OFF"]
                assert set(over_grpc) == set(over_http)
            refused(lambda: client.get_trace_settings("nonesuch"), StatusCode.NOT_FOUND, "nonesuch")

    def test_nobody_is_told_that_traces_are_on_when_they_are_not(self, managed, client):
        on = {"trace_level": ["TIMESTAMPS"]}
        refused(lambda: client.update_trace_settings(settings=on), StatusCode.UNIMPLEMENTED, "trace_level")
        expect_error(post(managed.url("/v2/trace/setting"), on), 501, "trace_level")
        expect_error(post(managed.url("/v2/models/affine/trace/setting"), on), 501, "trace_level")
        refused(lambda: client.update_trace_settings(settings={"x": "1"}), StatusCode.INVALID_ARGUMENT, "'x'")
        told = client.update_trace_settings(settings={"trace_level": ["OFF"], "trace_rate": None}).settings
        assert list(told["trace_level"].value) == ["OFF"]

    def test_where_management_is_off_a_change_is_refused(self, fixtures):
        off = {"trace_level": ["OFF"]}
        with triton.InferenceServerClient(fixtures.data) as client:
            refused(lambda: client.update_trace_settings(settings=off), StatusCode.PERMISSION_DENIED, "data.management")
        expect_error(post(fixtures.url("/v2/trace/setting"), off), 403, "data.management")


class TestOverload:
    """PATIENT_PLACES requests of a row each fill the queue of `patient` and are too few for a batch."""

    @pytest.fixture
    def full(self, patient):
        row = request("affine", tensor("x", "FP32", [1, 4]), raw=[fp32(1, 2, 3, 4)])
        with grpc.insecure_channel(patient.data) as channel:
            calls = [stub(channel).ModelInfer.future(row, timeout=TIMEOUT_S) for _ in range(PATIENT_PLACES)]
            eventually(lambda: total(scrape(patient), "tidegate_queue_depth", model="affine"), PATIENT_PLACES)
            yield patient
            for call in calls:
                assert call.cancel()

    def test_who_finds_the_queue_full_is_told_so_and_when_to_come_back(self, full):
        with grpc.insecure_channel(full.data) as channel:
            row = request("affine", tensor("x", "FP32", [1, 4]), raw=[fp32(1, 2, 3, 4)])
            for call in (
                lambda: stub(channel).ModelInfer(row, timeout=TIMEOUT_S),
                lambda: tf.PredictionServiceStub(channel).Predict(
                    predict_request("affine", x=proto_of(np.array(X, np.float32))), timeout=TIMEOUT_S
                ),
            ):
                error = refused(call, StatusCode.RESOURCE_EXHAUSTED, "Exceeds maximum queue size")
                assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
        with triton.InferenceServerClient(full.data) as client:
            refused(lambda: client.infer("affine", affine_input(X)), StatusCode.RESOURCE_EXHAUSTED)

    def test_on_a_stream_it_is_the_answer_of_that_request_alone(self, full):
        row = request("affine", tensor("x", "FP32", [1, 4]), raw=[fp32(1, 2, 3, 4)], id="late")
        with grpc.insecure_channel(full.data) as channel:
            (answer,) = stub(channel).ModelStreamInfer(iter([row]), timeout=TIMEOUT_S)
        assert "Exceeds maximum queue size" in answer.error_message
        assert answer.infer_response.id == "late"

    def test_the_same_over_http_is_429_with_retry_after(self, full):
        response = post(full.url("/v2/models/affine/infer"), v2(json_tensor("x", "FP32", [1, 4], X)))
        expect_error(response, 429, "Exceeds maximum queue size")
        assert int(response.headers["Retry-After"]) >= 1
