"""NVIDIA's own client manages the repository: index, load, unload, on real ONNX Runtime.

It has a gateway of its own, with `data.management` on and a repository that the tests change. What happens
under load and in the middle of a shutdown is held elsewhere, on engines that can be held.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from conftest import MODELS
from wire import post

X = np.array([[1, 2, 3, 4]], dtype=np.float32)


@pytest.fixture
def client(managed):
    with triton.InferenceServerClient(managed.data, network_timeout=120) as client:
        yield client


def index(client) -> list[tuple[str, str, str, str]]:
    return [tuple(entry[key] for key in ("name", "version", "state", "reason")) for entry in client.get_model_repository_index()]


def ask(client, model: str = "affine", version: str = "") -> np.ndarray:
    given = triton.InferInput("x", list(X.shape), "FP32").set_data_from_numpy(X)
    return client.infer(model, [given], model_version=version).as_numpy("y")


def refused(call, status: str, *substrings: str) -> None:
    with pytest.raises(InferenceServerException) as raised:
        call()
    assert raised.value.status() == status, raised.value
    for substring in substrings:
        assert substring in raised.value.message(), raised.value


def test_the_extension_is_reported_where_it_is_on(client, fixtures):
    assert "model_repository" in client.get_server_metadata()["extensions"]
    with triton.InferenceServerClient(fixtures.data) as other:
        assert "model_repository" not in other.get_server_metadata()["extensions"]
        assert other.get_model_repository_index()
        refused(lambda: other.load_model("affine"), "403", "data.management")
        refused(lambda: other.unload_model("affine"), "403", "data.management")


def test_a_model_is_unloaded_and_loaded_again(client):
    expected = ask(client)
    assert index(client) == [("affine", "1", "READY", "")]
    client.unload_model("affine")
    client.unload_model("affine", unload_dependents=True)
    assert index(client) == [("affine", "1", "UNAVAILABLE", "unloaded")]
    assert not client.is_model_ready("affine")
    refused(lambda: ask(client), "503", "not at ready state")
    client.load_model("affine")
    assert client.is_model_ready("affine")
    np.testing.assert_array_equal(ask(client), expected)


def test_versions_and_models_that_were_copied_in_are_loaded_and_those_that_went_are_gone(client, repository):
    expected = ask(client)
    shutil.copytree(repository / "affine" / "1", repository / "affine" / "2")
    shutil.copytree(MODELS / "echo_fp32", repository / "echo_fp32")
    refused(lambda: ask(client, version="2"), "404")
    client.load_model("affine")
    np.testing.assert_array_equal(ask(client, version="2"), expected)
    client.load_model("echo_fp32")
    assert client.is_model_ready("echo_fp32")
    shutil.rmtree(repository / "affine" / "1")
    client.load_model("affine")
    assert [entry[:3] for entry in index(client)] == [("affine", "2", "READY"), ("echo_fp32", "1", "READY")]
    refused(lambda: ask(client, version="1"), "404")


def test_a_file_that_cannot_be_loaded_leaves_what_serves(client, repository):
    expected = ask(client)
    file = repository / "affine" / "1" / "model.onnx"
    # Another file in its place, as deployments do it: whoever writes into a file that is served gets what he deserves.
    file.unlink()
    file.write_bytes(b"no model")
    refused(lambda: client.load_model("affine"), "400", "failed to load 'affine', version 1")
    np.testing.assert_array_equal(ask(client), expected)
    state = index(client)
    assert state[0][2] == "READY" and "serves on" in state[0][3]


def test_a_configuration_sent_with_a_load_holds_until_a_load_without_one(client, repository):
    expected = ask(client)
    in_effect = client.get_model_config("affine")
    in_effect["max_batch_size"] = 4
    in_effect["dynamic_batching"]["preferred_batch_size"] = [2]
    client.load_model("affine", config=json.dumps(in_effect))
    changed = client.get_model_config("affine")
    assert changed["max_batch_size"] == 4 and changed["dynamic_batching"]["preferred_batch_size"] == [2]
    np.testing.assert_array_equal(ask(client), expected)

    (repository / "affine" / "config.pbtxt").write_text("max_batch_size: 8 dynamic_batching {}")
    client.load_model("affine")
    assert client.get_model_config("affine")["max_batch_size"] == 8
    np.testing.assert_array_equal(ask(client), expected)


def test_what_cannot_be_done_is_refused(client, managed):
    refused(lambda: client.load_model("nowhere"), "404", "failed to load 'nowhere', no such model")
    refused(lambda: client.unload_model("nowhere"), "404", "no such model")
    files = {"file:1/model.onnx": b"no model"}
    refused(lambda: client.load_model("affine", config="{}", files=files), "501", "load parameter 'file:1/model.onnx'")
    refused(lambda: client.load_model("affine", config='{"sequence_batching": {}}'), "400", "sequences are not offered")
    refused(lambda: client.load_model("affine", config="no JSON"), "400", "failed to load 'affine', model configuration")
    named = post(managed.url("/v2/repository/mine/models/affine/load"), {})
    assert named.status_code == 501 and "repository_name" in named.json()["error"]
    assert post(managed.url("/v2/repository/mine/index"), {}).json()[0]["name"] == "affine"
