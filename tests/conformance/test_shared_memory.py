"""System shared memory, with NVIDIA's own `tritonclient.utils.shared_memory` over HTTP and over gRPC: regions are
registered, requests name them instead of sending values, and answers are written there.

Whoever made a region may shrink or remove it at any time; then its requests fail and nobody else's.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException, serialize_byte_tensor
from tritonclient.utils import shared_memory as shm

from conftest import FIXTURES_CONFIG, serving
from wire import expect_error, post

SHM = "/dev/shm"
X = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=np.float32)
# HTTP's status and gRPC's.
BAD = ("400", "StatusCode.INVALID_ARGUMENT")
UNKNOWN = ("404", "StatusCode.NOT_FOUND")
NOT_OFFERED = ("501", "StatusCode.UNIMPLEMENTED")

pytestmark = pytest.mark.skipif(not os.path.isdir(SHM), reason=f"no {SHM} here")


@pytest.fixture(scope="module")
def sharing(tmp_path_factory):
    yield from serving(tmp_path_factory.mktemp("sharing"), f'{FIXTURES_CONFIG}\n[shared_memory]\npath = "{SHM}"\n')


@pytest.fixture(params=[triton_http, triton_grpc], ids=["http", "grpc"])
def triton(request):
    return request.param


@pytest.fixture
def client(triton, sharing):
    with triton.InferenceServerClient(sharing.data) as client:
        yield client
        client.unregister_system_shared_memory()


@pytest.fixture
def memory():
    """Makes memory of a size under a key of its own, and removes it afterwards if it is still there."""
    with ExitStack() as cleanup:

        def make(byte_size: int):
            key = f"tidegate-{uuid.uuid4().hex}"
            handle = shm.create_shared_memory_region(key, key, byte_size, create_only=True)
            cleanup.callback(lambda: os.path.exists(f"{SHM}/{key}") and shm.destroy_shared_memory_region(handle))
            return key, handle

        yield make


def shared_input(triton, region: str, byte_size: int, offset: int = 0, shape=X.shape, datatype: str = "FP32"):
    given = triton.InferInput("x", list(shape), datatype)
    given.set_shared_memory(region, byte_size, offset)
    return given


def shared_output(triton, name: str, region: str, byte_size: int, offset: int = 0):
    wanted = triton.InferRequestedOutput(name)
    wanted.set_shared_memory(region, byte_size, offset)
    return wanted


def own_input(triton):
    return triton.InferInput("x", list(X.shape), "FP32").set_data_from_numpy(X)


def regions(client) -> dict[str, tuple[str, int, int]]:
    status = client.get_system_shared_memory_status()
    entries = status if isinstance(status, list) else [
        {"name": r.name, "key": r.key, "offset": r.offset, "byte_size": r.byte_size} for r in status.regions.values()
    ]  # fmt: skip
    return {e["name"]: (e["key"], e["offset"], e["byte_size"]) for e in entries}


def refused(call: Callable, statuses: tuple[str, str], *told: str) -> None:
    with pytest.raises(InferenceServerException) as raised:
        call()
    assert raised.value.status() in statuses, raised.value
    for text in told:
        assert text in raised.value.message(), raised.value


class TestRegions:
    def test_the_extension_is_reported_where_it_is_on(self, triton, client, fixtures):
        def extensions(client) -> list[str]:
            metadata = client.get_server_metadata()
            return metadata["extensions"] if isinstance(metadata, dict) else list(metadata.extensions)

        assert "system_shared_memory" in extensions(client)
        with triton.InferenceServerClient(fixtures.data) as other:
            assert "system_shared_memory" not in extensions(other)
            assert regions(other) == {}
            refused(lambda: other.register_system_shared_memory("r", "key", 8), NOT_OFFERED, "shared_memory.path")
            given = [shared_input(triton, "r", X.nbytes)]
            refused(lambda: other.infer("affine", given), NOT_OFFERED, "shared_memory.path")
            other.unregister_system_shared_memory()

    def test_regions_are_registered_told_and_forgotten(self, client, memory):
        (key, _), (other, _) = memory(64), memory(4096)
        client.register_system_shared_memory("a", key, 64)
        client.register_system_shared_memory("b c", other, 96, offset=1000)
        assert regions(client) == {"a": (key, 0, 64), "b c": (other, 1000, 96)}
        client.unregister_system_shared_memory("a")
        client.unregister_system_shared_memory("a")
        assert regions(client) == {"b c": (other, 1000, 96)}
        refused(lambda: client.get_system_shared_memory_status("a"), UNKNOWN, "'a'")
        client.unregister_system_shared_memory()
        assert regions(client) == {}

    def test_what_is_no_region_is_refused(self, client, memory):
        key, _ = memory(64)
        client.register_system_shared_memory("a", key, 64)

        def bad(name: str, key: str, size: int, offset: int, *told: str) -> None:
            refused(lambda: client.register_system_shared_memory(name, key, size, offset), BAD, *told)

        bad("a", key, 64, 0, "'a'", "already")
        bad("b", "tidegate-nonesuch", 64, 0, "'b'", "tidegate-nonesuch")
        bad("b", key, 65, 0, "'b'", "65 bytes", "there are 64")
        bad("b", key, 64, 1, "'b'", "there are 64")
        bad("b", key, 2**62, 2**62, "'b'")
        bad("b", "../etc/hostname", 1, 0, "'b'")
        bad("b", "/", 1, 0, "'b'")
        bad("b", "", 1, 0, "'b'")
        assert set(regions(client)) == {"a"}

    def test_cuda_memory_is_not_offered_and_nothing_breaks_by_asking(self, triton, client):
        refused(lambda: client.register_cuda_shared_memory("c", b"aGFuZGxl", 0, 8), NOT_OFFERED, "CUDA")
        status = client.get_cuda_shared_memory_status()
        assert not (status if triton is triton_http else status.regions)
        client.unregister_cuda_shared_memory()


class TestInfer:
    def test_values_are_read_from_and_written_to_shared_memory(self, triton, client, memory):
        (in_key, into), (out_key, out_of) = memory(X.nbytes), memory(X.nbytes + 100)
        shm.set_shared_memory_region(into, [X])
        client.register_system_shared_memory("in", in_key, X.nbytes)
        client.register_system_shared_memory("out", out_key, X.nbytes + 100)
        for scale in (1, -3):
            shm.set_shared_memory_region(into, [scale * X])
            result = client.infer(
                "affine", [shared_input(triton, "in", X.nbytes)],
                outputs=[shared_output(triton, "y", "out", X.nbytes + 60, offset=40), triton.InferRequestedOutput("s")],
            )  # fmt: skip
            got = shm.get_contents_as_numpy(out_of, np.float32, X.shape, offset=40)
            np.testing.assert_array_equal(got, 2 * scale * X + 1)
            np.testing.assert_array_equal(result.as_numpy("s"), scale * X.sum(axis=1))
            placed = result.get_output("y")
            parameters = placed["parameters"] if isinstance(placed, dict) else {
                key: getattr(p, p.WhichOneof("parameter_choice")) for key, p in placed.parameters.items()
            }  # fmt: skip
            assert parameters == {
                "shared_memory_region": "out", "shared_memory_offset": 40, "shared_memory_byte_size": X.nbytes,
            }  # fmt: skip

    def test_one_input_may_be_shared_and_another_sent(self, triton, client, memory):
        key, handle = memory(X.nbytes)
        shm.set_shared_memory_region(handle, [X])
        client.register_system_shared_memory("in", key, X.nbytes)
        shared = triton.InferInput("a/b", list(X.shape), "FP32")
        shared.set_shared_memory("in", X.nbytes)
        sent = triton.InferInput("serving_default_x:0", list(X.shape), "FP32").set_data_from_numpy(10 * X)
        for inputs in ([shared, sent], [sent, shared]):
            np.testing.assert_array_equal(client.infer("odd_names", inputs).as_numpy("0"), 9 * X)

    def test_strings_are_shared_too(self, triton, client, memory):
        words = np.array([b"", b"a\0b", "naïve 🌊".encode()], dtype=object)
        written = serialize_byte_tensor(words)
        size = len(written.item())
        key, handle = memory(2 * size)
        shm.set_shared_memory_region(handle, [written])
        client.register_system_shared_memory("r", key, 2 * size)
        given = shared_input(triton, "r", size, shape=[3], datatype="BYTES")
        client.infer("echo_string", [given], outputs=[shared_output(triton, "y", "r", size, offset=size)])
        got = shm.get_contents_as_numpy(handle, np.object_, [3], offset=size)
        assert list(got) == list(words)

    def test_a_request_reaches_nothing_outside_of_its_region(self, triton, client, memory):
        key, handle = memory(4 * X.nbytes)
        shm.set_shared_memory_region(handle, [np.full((8, 4), 7, dtype=np.float32)])
        client.register_system_shared_memory("r", key, X.nbytes, offset=X.nbytes)

        def bad(inputs, statuses, *told, outputs=None):
            refused(lambda: client.infer("affine", inputs, outputs=outputs), statuses, *told)

        bad([shared_input(triton, "r", X.nbytes, offset=4)], BAD, "'r'", "Invalid offset")
        bad([shared_input(triton, "r", X.nbytes + 4)], BAD, "'r'")
        bad([shared_input(triton, "r", X.nbytes - 4)], BAD, "'x'")
        bad([shared_input(triton, "nonesuch", X.nbytes)], UNKNOWN, "Unable to find", "nonesuch")
        bad([own_input(triton)], BAD, "'y'", "at least 32 bytes", outputs=[shared_output(triton, "y", "r", 31)])
        bad([own_input(triton)], BAD, "'r'", outputs=[shared_output(triton, "y", "r", X.nbytes, offset=1)])
        bad([own_input(triton)], UNKNOWN, outputs=[shared_output(triton, "y", "nonesuch", X.nbytes)])
        untouched = shm.get_contents_as_numpy(handle, np.float32, [8, 4])
        np.testing.assert_array_equal(untouched, np.full((8, 4), 7, dtype=np.float32))

    def test_a_region_that_its_owner_shrinks_is_an_error_and_others_are_served(self, triton, client, memory):
        (key, handle), (good_key, good) = memory(1 << 16), memory(X.nbytes)
        shm.set_shared_memory_region(good, [X])
        client.register_system_shared_memory("shrinks", key, 1 << 16)
        client.register_system_shared_memory("stays", good_key, X.nbytes)
        os.truncate(f"{SHM}/{key}", X.nbytes - 1)
        refused(lambda: client.infer("affine", [shared_input(triton, "shrinks", X.nbytes)]), BAD, "'shrinks'", "shrunk")
        outputs = [shared_output(triton, "y", "shrinks", X.nbytes, offset=1 << 15)]
        refused(lambda: client.infer("affine", [own_input(triton)], outputs=outputs), BAD, "'shrinks'", "shrunk")
        assert os.path.getsize(f"{SHM}/{key}") == X.nbytes - 1
        answer = client.infer("affine", [shared_input(triton, "stays", X.nbytes)]).as_numpy("y")
        np.testing.assert_array_equal(answer, 2 * X + 1)

    def test_a_region_that_its_owner_removes_is_an_error_and_others_are_served(self, triton, client, memory):
        key, handle = memory(X.nbytes)
        client.register_system_shared_memory("goes", key, X.nbytes)
        shm.destroy_shared_memory_region(handle)
        inputs = [shared_input(triton, "goes", X.nbytes)]
        refused(lambda: client.infer("affine", inputs), BAD, "'goes'", "no longer exists")
        np.testing.assert_array_equal(client.infer("affine", [own_input(triton)]).as_numpy("y"), 2 * X + 1)


def test_a_region_without_a_size_and_a_size_that_is_none_are_refused(sharing):
    url = sharing.url("/v2/models/affine/infer")
    for parameters, told in [
        ({"shared_memory_region": "r"}, "shared_memory_byte_size"),
        ({"shared_memory_region": 7, "shared_memory_byte_size": 32}, "shared_memory_region"),
        ({"shared_memory_region": "r", "shared_memory_byte_size": -1}, "shared_memory_byte_size"),
        ({"shared_memory_region": "r", "shared_memory_byte_size": 32, "shared_memory_offset": "0"}, "shared_memory_offset"),
    ]:
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 4], "parameters": parameters}]}
        expect_error(post(url, body), 400, told)
