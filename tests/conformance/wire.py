"""The few words in which the raw-HTTP tests are written: bodies to send, and claims about answers.

Every claim prints the whole answer when it fails; a bare `assert 400 == 404` helps nobody.
"""

from __future__ import annotations

import json

import numpy as np
import requests

HEADER_LENGTH = "Inference-Header-Content-Length"
TIMEOUT_S = 30


def get(url: str, **options) -> requests.Response:
    return requests.get(url, timeout=TIMEOUT_S, **options)


def post(url: str, body, **options) -> requests.Response:
    """POSTs text or bytes as they are and anything else as JSON."""
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return requests.post(url, data=data, timeout=TIMEOUT_S, **options)


def post_binary(url: str, header: dict, *tensors: bytes, length: object = None) -> requests.Response:
    """POSTs a V2 body with binary tensors; `length` replaces the true length of the JSON part."""
    text = json.dumps(header).encode()
    stated = len(text) if length is None else length
    return post(url, text + b"".join(tensors), headers={HEADER_LENGTH: str(stated)})


def v2(*inputs: dict, **rest) -> dict:
    return {"inputs": list(inputs), **rest}


def tensor(name: str, datatype: str, shape: list[int], data, **parameters) -> dict:
    made = {"name": name, "datatype": datatype, "shape": shape, "data": data}
    return {**made, "parameters": parameters} if parameters else made


def binary_tensor(name: str, datatype: str, shape: list[int], size: int) -> dict:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


def fp32(*values: float) -> bytes:
    return np.array(values, dtype="<f4").tobytes()


def nested(depth: int) -> str:
    """A JSON array around arrays, `depth` deep."""
    return "[" * depth + "]" * depth


def expect(response: requests.Response, status: int = 200):
    """The JSON of an answer that must have this status; Python reads NaN and Infinity too."""
    shown = f"{response.request.method} {response.request.url} -> {response.status_code} {response.text[:600]!r}"
    assert response.status_code == status, f"expected {status}: {shown}"
    assert response.headers.get("Content-Type", "").startswith("application/json"), f"expected JSON: {shown}"
    return json.loads(response.text)


def expect_error(response: requests.Response, status: int, *substrings: str) -> str:
    """The message of an error answer `{"error": message}`, which must hold every one of the substrings."""
    body = expect(response, status)
    assert list(body) == ["error"], f"an error body has the one key 'error': {body}"
    message = body["error"]
    for substring in substrings:
        assert substring in message, f"expected {substring!r} in {message!r}"
    return message


def expect_one_of(message: str, *substrings: str) -> None:
    assert any(s in message for s in substrings), f"expected one of {substrings} in {message!r}"


def outputs(body: dict) -> dict[str, dict]:
    """A V2 answer's outputs by name."""
    return {output["name"]: output for output in body["outputs"]}


def close(got, want, tolerance: float = 1e-5) -> bool:
    """Equal within `tolerance`, with NaN equal to NaN; a row's last bits may depend on its batch."""
    arrays = np.asarray(got, float), np.asarray(want, float)
    return bool(np.allclose(*arrays, atol=tolerance, rtol=tolerance, equal_nan=True))
