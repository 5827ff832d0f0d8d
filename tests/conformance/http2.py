"""An HTTP/2 connection that is told what to send, for what grpcio and requests cannot be made to do: broken gRPC framing,
and streams that are reset. One connection, any number of streams, one thread.
"""

from __future__ import annotations

import socket
from collections import defaultdict
from dataclasses import dataclass, field

import h2.connection
import h2.errors
import h2.events

GRPC_HEADERS = {"content-type": "application/grpc", "te": "trailers"}
TIMEOUT_S = 30
READ_BYTES = 65536


@dataclass
class Answer:
    """Headers and trailers together, and the body."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False


class Http2:
    def __init__(self, address: str):
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        self._state = h2.connection.H2Connection()
        self._state.initiate_connection()
        self._answers: dict[int, Answer] = defaultdict(Answer)
        self._authority = address
        self._send()

    def __enter__(self) -> Http2:
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()

    def ask(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """POSTs, and says in which stream the answer will be; does not wait for it."""
        stream = self._state.get_next_available_stream_id()
        pseudo = {":method": "POST", ":scheme": "http", ":authority": self._authority, ":path": path}
        self._state.send_headers(stream, [*pseudo.items(), *headers.items()], end_stream=not body)
        if body:
            self._state.send_data(stream, body, end_stream=True)
        self._send()
        return stream

    def reset(self, stream: int) -> None:
        self._state.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self._send()

    def answer(self, stream: int) -> Answer:
        while not self._answers[stream].ended:
            received = self._socket.recv(READ_BYTES)
            assert received, "the server closed the connection before it had answered"
            for event in self._state.receive_data(received):
                self._take(event)
            self._send()
        return self._answers[stream]

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            texts = {name.decode(): value.decode() for name, value in event.headers}
            self._answers[event.stream_id].headers.update(texts)
        elif isinstance(event, h2.events.DataReceived):
            self._answers[event.stream_id].body += event.data
            self._state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self._answers[event.stream_id].ended = True
        else:
            reset = isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated)
            assert not reset, f"the server reset what was asked: {event}"

    def _send(self) -> None:
        self._socket.sendall(self._state.data_to_send())
