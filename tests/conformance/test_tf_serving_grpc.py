"""TensorFlow Serving's own gRPC client, with its own message classes, works against the gateway unchanged.

`PredictionService` and `ModelService` on the same port as everything else: tensors in every form that the client's
library writes, versions and labels, signatures, status, and a reload that moves them.
"""

from __future__ import annotations

import shutil

import grpc
import numpy as np
import pytest
from grpc import StatusCode

import tensorflow_protos as tf
from datatypes import VALUES
from grpc_wire import TIMEOUT_S, refused
from tensorflow_wire import DTYPES, array_of, predict_request, proto_of, shape_of
from wire import expect, get

X = np.array([[1, 2, 3, 4]], dtype=np.float32)
AVAILABLE = tf.ModelVersionStatus.AVAILABLE


class Service:
    """Both services of one gateway."""

    def __init__(self, channel: grpc.Channel):
        self.predictions = tf.PredictionServiceStub(channel)
        self.models = tf.ModelServiceStub(channel)

    def predict(self, model: str, **rest):
        return self.predictions.Predict(predict_request(model, **rest), timeout=TIMEOUT_S)

    def status(self, model: str, **spec):
        asked = tf.GetModelStatusRequest()
        named(asked.model_spec, model, **spec)
        return self.models.GetModelStatus(asked, timeout=TIMEOUT_S).model_version_status

    def metadata(self, model: str, fields=("signature_def",), **spec):
        asked = tf.GetModelMetadataRequest(metadata_field=fields)
        named(asked.model_spec, model, **spec)
        return self.predictions.GetModelMetadata(asked, timeout=TIMEOUT_S)


def named(spec, model: str, version: int | None = None, label: str | None = None) -> None:
    spec.name = model
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label


@pytest.fixture(scope="module")
def service(fixtures):
    with grpc.insecure_channel(fixtures.data) as channel:
        yield Service(channel)


@pytest.fixture(scope="module")
def digits_service(digits):
    with grpc.insecure_channel(digits.data) as channel:
        yield Service(channel)


@pytest.fixture(scope="module")
def images(samples):
    body, expected = samples["batch.v2.json"]
    return np.array(body["inputs"][0]["data"], dtype=np.float32).reshape(len(expected), 8, 8), expected


def floats(shape: list[int], values: list[float]) -> tf.TensorProto:
    return tf.TensorProto(dtype=tf.types_pb2.DT_FLOAT, tensor_shape=shape_of(*shape), float_val=values)


# The field of typed values, by datatype; BF16 and FP16 stand in theirs as bits.
FIELDS = {
    **{"BOOL": "bool_val", "INT64": "int64_val", "UINT32": "uint32_val", "UINT64": "uint64_val"},
    **{"FP32": "float_val", "FP64": "double_val", "BYTES": "string_val", "FP16": "half_val", "BF16": "half_val"},
    **dict.fromkeys(("INT8", "INT16", "INT32", "UINT8", "UINT16"), "int_val"),
}
TENSORS = {name: np.vectorize(str.encode, otypes=[object])(v) if name == "BYTES" else v for name, v in VALUES.items()}


def typed(datatype: str) -> tf.TensorProto:
    values = TENSORS[datatype]
    plain = values.view(np.uint16) if FIELDS[datatype] == "half_val" else values
    described = {"dtype": DTYPES[values.dtype], "tensor_shape": shape_of(*values.shape)}
    return tf.TensorProto(**described, **{FIELDS[datatype]: plain.flatten().tolist()})


class TestPredict:
    @pytest.mark.parametrize("write", [proto_of, None], ids=["tensor_content", "typed"])
    def test_every_datatype_comes_back_bit_for_bit(self, service, write):
        datatypes = {i["name"]: i["datatype"] for i in ECHOED}
        inputs = {name: write(TENSORS[d]) if write else typed(d) for name, d in datatypes.items()}
        outputs = service.predict("echo", **inputs).outputs
        assert set(outputs) == {name.replace("in_", "out_", 1) for name in datatypes}
        for name, datatype in datatypes.items():
            got, sent = array_of(outputs[name.replace("in_", "out_", 1)]), TENSORS[datatype]
            assert got.dtype == sent.dtype
            assert got.tolist() == sent.tolist() if datatype == "BYTES" else got.tobytes() == sent.tobytes(), datatype

    def test_images_are_classified(self, digits_service, images):
        pixels, expected = images
        answer = digits_service.predict("digits", version=1, pixels=proto_of(pixels))
        assert array_of(answer.outputs["label"]).tolist() == expected
        assert array_of(answer.outputs["probabilities"]).shape == (len(expected), 10)

    def test_one_value_stands_for_all_and_the_last_for_the_rest(self, service):
        assert array_of(service.predict("affine", x=floats([2, 4], [3])).outputs["s"]).tolist() == [12, 12]
        assert array_of(service.predict("affine", x=floats([2, 4], [1, 2])).outputs["s"]).tolist() == [7, 8]

    def test_only_the_outputs_of_the_filter_come_back(self, service):
        assert set(service.predict("affine", x=proto_of(X)).outputs) == {"y", "s"}
        assert set(service.predict("affine", x=proto_of(X), only=["s"]).outputs) == {"s"}
        refused(lambda: service.predict("affine", x=proto_of(X), only=["z"]), StatusCode.INVALID_ARGUMENT, "z")

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_the_version_that_answered_is_told(self, digits_service, images, version):
        spec = digits_service.predict("digits", version=version, pixels=proto_of(images[0])).model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("digits", version, "serving_default")

    @pytest.mark.parametrize(("label", "version"), [("blue", 1), ("green", 2)])
    def test_a_label_is_the_version_that_it_names(self, digits_service, images, label, version):
        spec = digits_service.predict("digits", label=label, pixels=proto_of(images[0])).model_spec
        assert spec.WhichOneof("version_choice") == "version"
        assert spec.version.value == version

    def test_without_a_version_one_with_a_weight_answers(self, digits_service, images):
        answers = [digits_service.predict("digits", pixels=proto_of(images[0][:1])) for _ in range(40)]
        assert {answer.model_spec.version.value for answer in answers} == {1, 2}

    def test_there_is_one_signature_and_it_may_be_named(self, service):
        for signature in ("", "serving_default"):
            assert service.predict("affine", signature=signature, x=proto_of(X)).model_spec.name == "affine"
        refused(
            lambda: service.predict("affine", signature="other", x=proto_of(X)),
            StatusCode.INVALID_ARGUMENT, 'Serving signature key "other" not found',
        )  # fmt: skip

    @pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
    def test_messages_may_be_compressed(self, service, compression):
        asked = predict_request("affine", x=proto_of(np.repeat(X, 1000, axis=0)))
        answer = service.predictions.Predict(asked, compression=compression, timeout=TIMEOUT_S)
        assert array_of(answer.outputs["s"]).tolist() == [10] * 1000

    def test_who_is_asked_must_be_there(self, service, digits_service, images):
        pixels = proto_of(images[0])
        for call, code, told in [
            (lambda: service.predict("nonesuch", x=proto_of(X)), "NOT_FOUND", "Servable not found for request: Latest(nonesuch)"),
            (lambda: service.predict("affine", version=99, x=proto_of(X)), "NOT_FOUND", "Specific(affine, 99)"),
            (lambda: service.predict("affine", version=-1, x=proto_of(X)), "NOT_FOUND", "Specific(affine, -1)"),
            (lambda: service.predict("seq_map", x=proto_of(X)), "UNAVAILABLE", "seq_map"),
            (lambda: digits_service.predict("digits", label="red", pixels=pixels), "INVALID_ARGUMENT", "Unrecognized servable version label"),
            (lambda: service.predictions.Predict(tf.PredictRequest()), "INVALID_ARGUMENT", "Missing ModelSpec"),
        ]:
            refused(call, StatusCode[code], told)

    @pytest.mark.parametrize("rows", [1 << 40, 1 << 60])
    def test_one_value_that_stands_for_too_many_is_refused_by_what_it_would_take(self, service, rows):
        call = lambda: service.predict("affine", x=floats([rows, 4], [1]))  # noqa: E731
        refused(call, StatusCode.RESOURCE_EXHAUSTED, "bytes, expected at most")

    @pytest.mark.parametrize(("inputs", "told"), [
        ({}, ["x"]),
        ({"z": proto_of(X)}, ["z"]),
        ({"x": proto_of(X), "z": proto_of(X)}, ["z"]),
        ({"x": proto_of(X[:, :3])}, ["x", "shape"]),
        ({"x": proto_of(X[0])}, ["x", "shape"]),
        ({"x": proto_of(X.astype(np.float64))}, ["x", "FP64", "FP32"]),
        ({"x": floats([1, 4], [1, 2, 3, 4, 5])}, ["x"]),
        ({"x": floats([1, 4], [])}, ["x"]),
        ({"x": floats([-1, 4], [1])}, ["x", "-1"]),
        ({"x": tf.TensorProto(dtype=1, tensor_shape=shape_of(1, 4), tensor_content=b"abc")}, ["x", "16", "3"]),
        ({"x": tf.TensorProto(dtype=1, tensor_shape=shape_of(1, 4), int_val=[1, 2, 3, 4])}, ["x"]),
        ({"x": tf.TensorProto(dtype=8, tensor_shape=shape_of(1, 4))}, ["x", "datatype"]),
        ({"x": tf.TensorProto()}, ["x", "datatype"]),
    ], ids=lambda value: None)  # fmt: skip
    def test_inputs_are_checked(self, service, inputs, told):
        refused(lambda: service.predict("affine", **inputs), StatusCode.INVALID_ARGUMENT, *told)

    def test_a_request_on_which_the_model_fails_is_internal(self, service):
        bad = proto_of(np.array([[1000]], dtype=np.int64))
        refused(lambda: service.predict("picky", x=bad), StatusCode.INTERNAL, "picky")

    def test_what_needs_examples_is_unimplemented(self, service):
        for method, asked in [
            (service.predictions.Classify, tf.ClassificationRequest()),
            (service.predictions.Regress, tf.RegressionRequest()),
            (service.predictions.MultiInference, tf.MultiInferenceRequest()),
        ]:
            refused(lambda: method(asked, timeout=TIMEOUT_S), StatusCode.UNIMPLEMENTED, "Predict")


ECHOED = [{"name": f"in_{'string' if d == 'BYTES' else d.lower()}", "datatype": d} for d in VALUES]


class TestMetadata:
    def test_the_signature_is_that_of_the_model(self, digits_service):
        answer = digits_service.metadata("digits", version=2)
        assert (answer.model_spec.name, answer.model_spec.version.value) == ("digits", 2)
        signatures = tf.SignatureDefMap()
        assert answer.metadata["signature_def"].Unpack(signatures)
        assert set(signatures.signature_def) == {"serving_default"}
        signature = signatures.signature_def["serving_default"]
        assert signature.method_name == "tensorflow/serving/predict"

        def told(infos):
            return {n: (i.name, i.dtype, [d.size for d in i.tensor_shape.dim]) for n, i in infos.items()}

        assert told(signature.inputs) == {"pixels": ("pixels", tf.types_pb2.DT_FLOAT, [-1, 8, 8])}
        assert told(signature.outputs) == {
            "probabilities": ("probabilities", tf.types_pb2.DT_FLOAT, [-1, 10]),
            "label": ("label", tf.types_pb2.DT_INT64, [-1]),
        }

    def test_a_label_leads_to_its_version(self, digits_service):
        assert digits_service.metadata("digits", label="green").model_spec.version.value == 2

    def test_what_is_not_there_is_refused(self, service):
        refused(lambda: service.metadata("affine", label="red"), StatusCode.INVALID_ARGUMENT, "red")
        refused(lambda: service.metadata("nonesuch"), StatusCode.NOT_FOUND, "Servable not found", "nonesuch")
        refused(lambda: service.metadata("affine", version=9), StatusCode.NOT_FOUND, "Specific(affine, 9)")
        refused(lambda: service.metadata("affine", fields=()), StatusCode.INVALID_ARGUMENT, "metadata_field")
        refused(lambda: service.metadata("affine", fields=["assets"]), StatusCode.INVALID_ARGUMENT, "assets")


class TestStatus:
    def test_all_versions_are_told_newest_first_or_the_one_that_was_asked_for(self, digits_service):
        told = digits_service.status("digits")
        assert [(s.version, s.state, s.status.error_code) for s in told] == [(v, AVAILABLE, 0) for v in (3, 2, 1)]
        assert [s.version for s in digits_service.status("digits", version=2)] == [2]
        assert [s.version for s in digits_service.status("digits", label="green")] == [2]

    def test_a_version_that_could_not_be_loaded_has_ended_and_says_why(self, service):
        (status,) = service.status("not_onnx")
        assert status.state == tf.ModelVersionStatus.END
        assert status.status.error_code != 0
        assert "not an ONNX model" in status.status.error_message

    def test_rest_and_grpc_tell_the_same(self, fixtures, service):
        for model in ("affine", "seq_map"):
            (rest,) = expect(get(fixtures.url(f"/v1/models/{model}")))["model_version_status"]
            (told,) = service.status(model)
            assert rest["version"] == str(told.version)
            assert rest["state"] == tf.ModelVersionStatus.State.Name(told.state)
            assert rest["status"]["error_message"] == told.status.error_message

    def test_what_is_not_there_is_refused(self, service):
        refused(lambda: service.status("affine", label="red"), StatusCode.INVALID_ARGUMENT, "red")
        refused(lambda: service.status("nonesuch"), StatusCode.NOT_FOUND, "Could not find any versions of model nonesuch")
        refused(lambda: service.status("affine", version=9), StatusCode.NOT_FOUND, "Could not find version 9 of model affine")


class TestReload:
    @pytest.fixture
    def service(self, managed, repository):
        for version in ("2", "3"):
            shutil.copytree(repository / "affine" / "1", repository / "affine" / version)
        with grpc.insecure_channel(managed.data) as channel:
            yield Service(channel)

    @staticmethod
    def reload(service, name="affine", platform="tensorflow", versions=(1, 2), labels=None, base_path=""):
        asked = tf.ReloadConfigRequest()
        model = asked.config.model_config_list.config.add(name=name, model_platform=platform, base_path=base_path)
        model.model_version_policy.specific.versions.extend(versions)
        model.version_labels.update(labels or {})
        return service.models.HandleReloadConfigRequest(asked, timeout=TIMEOUT_S)

    @staticmethod
    def available(service) -> list[int]:
        return [s.version for s in service.status("affine") if s.state == AVAILABLE]

    @staticmethod
    def answering(service, **asked) -> int:
        return service.predict("affine", x=proto_of(X), **asked).model_spec.version.value

    def test_versions_and_labels_move_to_where_the_new_configuration_has_them(self, service):
        assert self.available(service) == [1]
        assert self.reload(service, labels={"stable": 1, "canary": 2}).status.error_code == 0
        assert self.available(service) == [2, 1]
        assert (self.answering(service, label="stable"), self.answering(service, label="canary")) == (1, 2)
        self.reload(service, versions=(2, 3), labels={"stable": 2, "canary": 3})
        assert self.available(service) == [3, 2]
        assert (self.answering(service, label="stable"), self.answering(service, label="canary")) == (2, 3)
        refused(lambda: self.answering(service, version=1), StatusCode.UNAVAILABLE, "1")

    def test_all_versions_or_the_latest_may_be_wanted(self, service):
        asked = tf.ReloadConfigRequest()
        model = asked.config.model_config_list.config.add(name="affine", model_platform="tensorflow")
        model.model_version_policy.all.SetInParent()
        service.models.HandleReloadConfigRequest(asked, timeout=TIMEOUT_S)
        assert self.available(service) == [3, 2, 1]
        model.model_version_policy.latest.num_versions = 2
        service.models.HandleReloadConfigRequest(asked, timeout=TIMEOUT_S)
        assert self.available(service) == [3, 2]

    def test_what_cannot_be_served_changes_nothing(self, service):
        self.reload(service, labels={"stable": 1})
        for bad, told in [
            ({"versions": (1, 9)}, "9"),
            ({"labels": {"stable": 9}}, "9"),
            ({"labels": {"7": 1}}, "7"),
            ({"name": "nonesuch"}, "nonesuch"),
            ({"platform": "caffe"}, "caffe"),
            ({"versions": (0,)}, "0"),
        ]:
            refused(lambda: self.reload(service, **bad), StatusCode.INVALID_ARGUMENT, told)
            assert self.available(service) == [2, 1]
            assert self.answering(service, label="stable") == 1
        refused(
            lambda: service.models.HandleReloadConfigRequest(tf.ReloadConfigRequest()),
            StatusCode.INVALID_ARGUMENT, "model_config_list",
        )  # fmt: skip

    def test_where_management_is_off_it_is_refused(self, fixtures):
        with grpc.insecure_channel(fixtures.data) as channel:
            service = Service(channel)
            refused(lambda: self.reload(service), StatusCode.PERMISSION_DENIED, "data.management")
