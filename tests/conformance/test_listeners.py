"""Every listener speaks everything: two TCP ports and a Unix socket, each asked over HTTP and gRPC by its own client."""

from __future__ import annotations

import socket
import tempfile
from http.client import HTTPConnection
from pathlib import Path

import grpc
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from conftest import FIXTURES_CONFIG
from gateway import Gateway

# As a client on gRPC's C core has to say for a Unix socket: the path, its default, is no authority of HTTP/2.
NAMED = [("grpc.default_authority", "localhost")]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    # A socket's path may be 107 bytes long, and a temporary folder's name of pytest's is long already.
    with tempfile.TemporaryDirectory(prefix="tg") as short:
        listeners = ("127.0.0.1:0", "127.0.0.1:0", f"unix:{short}/data.sock")
        gateway = Gateway(tmp_path_factory.mktemp("listeners"), FIXTURES_CONFIG, listeners)
        gateway.start()
        yield gateway
        gateway.stop()
        assert not Path(short, "data.sock").exists(), "the socket's file goes with its listener"


def addresses(gateway) -> list[str]:
    listed = gateway.listening()
    assert len(listed) == 3 and listed[0] == gateway.data
    return listed


def test_each_answers_http(gateway):
    for address in addresses(gateway):
        connection = HTTPConnection("localhost", timeout=10)
        if address.startswith("unix:"):
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(address.removeprefix("unix:"))
        else:
            connection = HTTPConnection(address, timeout=10)
        connection.request("GET", "/v2/health/ready")
        assert connection.getresponse().status == 200, address
        connection.close()


def test_each_answers_grpc(gateway):
    for address in addresses(gateway):
        with triton.InferenceServerClient(address, channel_args=NAMED) as client:
            assert client.is_server_ready() and client.is_model_ready("affine"), address


def test_a_socket_without_a_named_authority_is_refused_by_http2(gateway):
    """The reason to name one. If this fails, the page on gRPC can lose a paragraph."""
    with triton.InferenceServerClient(addresses(gateway)[2]) as client:
        with pytest.raises(InferenceServerException) as refused:
            client.is_server_ready()
    assert refused.value.status() == str(grpc.StatusCode.INTERNAL)
