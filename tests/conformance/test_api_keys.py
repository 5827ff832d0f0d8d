"""API keys as standard clients bring them: `tritonclient` in headers and metadata, `requests` as a bearer token, and a
file that changes as the kubelet changes a mounted secret. Whatever is answered, logged or counted, no key is in it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from gateway import REPOSITORY_ROOT, Gateway, binary
from metrics import eventually
from wire import expect_error, get

MODELS = REPOSITORY_ROOT / "tests" / "fixtures" / "models"
SECRET = "conformance-secret-"
WEB, OPS, SCRAPER, NEXT = (f"{SECRET}{name}" for name in ("web-0001", "ops-0002", "scraper-0003", "next-0004"))
KEYS = f"web {WEB} predict\nops {OPS} predict,admin\nscraper {SCRAPER} metrics\n"
CONFIG = """
[repository]
path = "{models}"

[data]
management = true

[api_keys]
path = "{folder}/keys/api_key"
metrics = true

[log]
access_sample = 1.0
"""
UNAUTHENTICATED, PERMISSION_DENIED = str(grpc.StatusCode.UNAUTHENTICATED), str(grpc.StatusCode.PERMISSION_DENIED)


class Secret:
    """A folder as the kubelet mounts it: the file is a link into `..data`, which is a link to the present folder."""

    def __init__(self, folder: Path, text: str):
        self.folder = folder
        self.editions = 0
        folder.mkdir()
        self.publish(text)
        os.symlink("..data/api_key", folder / "api_key")

    def publish(self, text: str) -> None:
        self.editions += 1
        edition = self.folder / f"..edition-{self.editions}"
        edition.mkdir()
        (edition / "api_key").write_text(text)
        os.symlink(edition.name, self.folder / "..next")
        os.replace(self.folder / "..next", self.folder / "..data")


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    return Secret(tmp_path_factory.mktemp("secret") / "keys", KEYS)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, secret):
    """Its log is searched for keys when it has ended."""
    folder = tmp_path_factory.mktemp("guarded")
    gateway = Gateway(folder, CONFIG.format(models=MODELS, folder=secret.folder.parent))
    gateway.start()
    yield gateway
    gateway.stop()
    log = gateway.log.read_text()
    assert '"key":"web"' in log and SECRET not in log


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def inputs(client):
    values = np.array([[1, 2, 3, 4]], dtype=np.float32)
    tensor = client.InferInput("x", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values)
    return [tensor]


def test_tritonclient_over_http_brings_its_key_in_a_header(guarded):
    with triton_http.InferenceServerClient(guarded.data) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("affine")
        for headers in (bearer(WEB), {"X-API-Key": WEB}):
            answer = client.infer("affine", inputs(triton_http), headers=headers)
            assert answer.get_response()["model_name"] == "affine"
        for headers, said in (({}, "an API key is needed"), (bearer(SCRAPER), "lacks the scope 'predict'")):
            with pytest.raises(InferenceServerException) as refused:
                client.infer("affine", inputs(triton_http), headers=headers)
            assert said in str(refused.value) and SECRET not in str(refused.value)


def test_tritonclient_over_grpc_brings_its_key_in_metadata(guarded):
    with triton_grpc.InferenceServerClient(guarded.data) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("affine")
        for metadata in (bearer(WEB), {"x-api-key": WEB}):
            # Metadata keys are in lower case.
            metadata = {name.lower(): value for name, value in metadata.items()}
            assert client.infer("affine", inputs(triton_grpc), headers=metadata).get_response().model_name == "affine"
        for metadata, status in (({}, UNAUTHENTICATED), ({"x-api-key": SCRAPER}, PERMISSION_DENIED)):
            with pytest.raises(InferenceServerException) as refused:
                client.infer("affine", inputs(triton_grpc), headers=metadata)
            assert refused.value.status() == status
            assert SECRET not in str(refused.value)
        with pytest.raises(InferenceServerException) as refused:
            client.unload_model("affine", headers={"x-api-key": WEB})
        assert refused.value.status() == PERMISSION_DENIED
        client.load_model("affine", headers={"x-api-key": OPS})


def test_a_stream_is_asked_for_its_key_once(guarded):
    for metadata, status in (({"x-api-key": WEB}, None), ({}, UNAUTHENTICATED)):
        answers: list = []
        with triton_grpc.InferenceServerClient(guarded.data) as client:
            client.start_stream(lambda result, error: answers.append((result, error)), headers=metadata)
            for _ in range(3):
                try:
                    client.async_stream_infer("affine", inputs(triton_grpc))
                except InferenceServerException:
                    break  # The stream has ended already.
            eventually(lambda: len(answers) >= (3 if status is None else 1), True)
            client.stop_stream()
        errors = [error for _, error in answers if error is not None]
        assert [error.status() for error in errors[:1]] == ([] if status is None else [status])


def test_the_admin_port_asks_too_and_both_count_by_name(guarded):
    models = guarded.admin_url("/admin/v1/models")
    assert expect_error(get(models), 401, "an API key is needed")
    assert expect_error(get(models, headers=bearer(WEB)), 403, "API key 'web' lacks the scope 'admin'")
    assert get(models, headers=bearer(OPS)).status_code == 200
    assert get(guarded.admin_url("/readyz")).status_code == 200
    for url in (guarded.admin_url("/metrics"), guarded.url("/metrics")):
        assert get(url).status_code == 401
        page = get(url, headers=bearer(SCRAPER))
        assert page.status_code == 200 and SECRET not in page.text
        assert 'tidegate_api_key_requests_total{key="web",port="admin",outcome="denied"}' in page.text


def test_the_commands_take_their_key_from_a_file(guarded, tmp_path):
    key = tmp_path / "key"
    key.write_text(f"{OPS}\n")

    def tidegate(*arguments: str) -> subprocess.CompletedProcess:
        command = [str(binary()), *arguments, "--admin", f"http://{guarded.admin}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert tidegate("probe").returncode == 0
    refused = tidegate("probe", "--model", "affine")
    assert refused.returncode == 1 and "an API key is needed" in refused.stderr
    assert tidegate("probe", "--model", "affine", "--api-key-file", str(key)).returncode == 0
    shown = tidegate("weights", "affine", "--api-key-file", str(key))
    assert shown.returncode == 0 and shown.stdout.startswith("affine\n"), shown.stderr


def test_a_swapped_secret_is_followed_and_a_bad_one_is_not(guarded, secret):
    url = guarded.url("/v2/models")

    def statuses() -> tuple[int, int]:
        return tuple(requests.get(url, headers=bearer(key), timeout=5).status_code for key in (WEB, NEXT))

    def is_valid() -> bool:
        return "\ntidegate_api_keys_file_valid 1\n" in get(guarded.url("/metrics"), headers=bearer(SCRAPER)).text

    assert statuses() == (200, 401) and is_valid()
    secret.publish("web short\n")
    eventually(is_valid, False)
    assert statuses() == (200, 401)
    secret.publish(KEYS.replace(WEB, NEXT))
    eventually(statuses, (401, 200))
    assert is_valid()
    secret.publish(KEYS)
    eventually(statuses, (200, 401))
