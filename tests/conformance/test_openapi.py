"""Both ports answer as their own OpenAPI documents say, whatever is asked.

schemathesis reads `/openapi.json` and makes up requests, good ones and broken ones; every answer must have a status
that the document lists for its path, with the documented body, content type and headers. A fault, 500, is never an
answer, but for the one that Triton's contract fixes. Random requests hardly ever fit a model, so good ones are sent
beside them.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import one_of

from conftest import serving
from gateway import REPOSITORY_ROOT

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis needs Python 3.11")
from schemathesis.checks import load_all_checks  # noqa: E402
from schemathesis.generation import GenerationMode  # noqa: E402
from schemathesis.specs.openapi import checks as conformance  # noqa: E402

load_all_checks()

MODELS = REPOSITORY_ROOT / "tests" / "fixtures" / "models"
CONFIG = """
[repository]
path = "{repository}"
default_model = "affine"

[models.affine]
labels = {{ stable = 1 }}

[data]
management = true

[limits]
request_timeout = "5s"
body_read_timeout = "2s"
"""
# The model under test stays; whatever is loaded and unloaded is this one.
LOADED_AND_UNLOADED = "renamed"
KNOWN = {"model": "affine", "version": 1, "label": "stable"}

BOUNDED = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def no_fault(_context, response, _case) -> None:
    """Triton answers 500 to a negative dimension, and its own tests hold it to that."""
    if response.status_code == 500:
        assert "as unsigned-integer: -" in response.json()["error"], response.text


CHECKS = [
    no_fault,
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    folder = tmp_path_factory.mktemp("described")
    for model in ("affine", "echo_json", "text_bytes", LOADED_AND_UNLOADED):
        shutil.copytree(MODELS / model, folder / "repository" / model)
    yield from serving(folder, CONFIG.format(repository=folder / "repository"))


@pytest.fixture(scope="module")
def data_document(described):
    return document(described.url("/openapi.json"))


@pytest.fixture(scope="module")
def admin_document(described):
    return document(described.admin_url("/openapi.json"))


def document(url: str):
    """Half of the names that are made up become names of something that is there."""
    loaded = schemathesis.openapi.from_url(url, config=schemathesis.Config())

    @loaded.hook("map_path_parameters")
    def _(context, path_parameters):
        path = context.operation.path
        if not path_parameters:
            return path_parameters
        if path.endswith(("/load", "/unload")):
            return {**path_parameters, "model": LOADED_AND_UNLOADED}
        named = {name: value for name, value in KNOWN.items() if name in path_parameters}
        is_known = sum(str(path_parameters.get("model", "")).encode()) % 2 == 0
        return {**path_parameters, **named} if is_known else path_parameters

    return loaded


def operations(port: str) -> list[tuple[str, str]]:
    """Path and method, from the document that the gateway was built with."""
    paths = json.loads((REPOSITORY_ROOT / "docs" / "openapi" / f"{port}.json").read_text())["paths"]
    return [(path, method) for path, item in paths.items() for method in item if method != "parameters"]


@pytest.mark.parametrize(("path", "method"), operations("data"))
def test_the_data_port_answers_what_its_document_says(data_document, path, method):
    hold(data_document[path][method])


@pytest.mark.parametrize(("path", "method"), operations("admin"))
def test_the_admin_port_answers_what_its_document_says(admin_document, path, method):
    hold(admin_document[path][method])


X = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
RAW = np.array([1, 2, 3, 4], dtype="<f4").tobytes()
INFER = "/v2/models/{model}/infer"
PREDICT = "/v1/models/{model}:predict"
JSON = "application/json"

FITTING = {
    "json": (INFER, JSON, {}, {"id": "1", "inputs": [X], "outputs": [{"name": "s"}]}),
    "binary-answer": (INFER, JSON, {}, {"inputs": [X], "parameters": {"binary_data_output": True}}),
    "raw": (INFER, "application/octet-stream", {"Inference-Header-Content-Length": "0"}, RAW),
    "of-a-version": ("/v2/models/{model}/versions/{version}/infer", JSON, {}, {"inputs": [X]}),
    "rows": (PREDICT, JSON, {}, {"instances": [[1, 2, 3, 4], [5, 6, 7, 8]]}),
    "columns": ("/v1/models/{model}/labels/{label}:predict", JSON, {}, {"inputs": [[1, 2, 3, 4]]}),
    "image": ("/predict", JSON, {}, {"image": [1, 2, 3, 4]}),
    "instances": ("/predict", JSON, {}, {"instances": [[1, 2, 3, 4]] * 100}),
    "late": (INFER, JSON, {"X-Request-Timeout": "1us"}, {"inputs": [X]}),
}


@pytest.fixture
def stable(described):
    """Made anew: other tests here move and remove labels."""
    path = "/admin/v1/models/affine/labels/stable"
    requests.put(described.admin_url(path), json={"version": 1}, timeout=30).raise_for_status()


@pytest.mark.usefixtures("stable")
@pytest.mark.parametrize("name", FITTING)
def test_a_prediction_is_answered_as_documented(data_document, name):
    path, media_type, headers, body = FITTING[name]
    named = {key: value for key, value in KNOWN.items() if f"{{{key}}}" in path}
    case = data_document[path]["post"].Case(path_parameters=named, headers=headers, body=body, media_type=media_type)
    response = case.call_and_validate(checks=CHECKS, timeout=30)
    # Too late is too late for the body already, or for the answer.
    assert response.status_code in ((408, 504) if name == "late" else (200,)), response.text
    assert ("server-timing" in response.headers) == (name != "late")


@pytest.mark.usefixtures("stable")
def test_weights_are_answered_as_documented(admin_document):
    operation = admin_document["/admin/v1/models/{model}/weights"]["put"]
    case = operation.Case(path_parameters={"model": "affine"}, body={"weights": {"stable": 1}}, media_type=JSON)
    assert case.call_and_validate(checks=CHECKS, timeout=30).status_code == 200


def hold(operation) -> None:
    good, broken = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @BOUNDED
    @given(one_of(good, broken))
    def ask(case):
        case.call_and_validate(checks=CHECKS, timeout=30)

    ask()
