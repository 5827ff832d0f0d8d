"""The whole road, once: a gateway serves the repository, and its answers over HTTP are held against Keras's.

Test images are sent one by one from several callers at a time, so that the gateway puts them into batches; the
tolerance is the variant's own.
"""

from __future__ import annotations

import json
import tempfile
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_cnn import conversion, gateway, images, variants
from keras_cnn.conversion import ConversionError
from keras_cnn.gateway import Gateway
from keras_cnn.stage import StageError
from keras_cnn.stages import push

if TYPE_CHECKING:
    from keras_cnn.settings import Settings

ASKED = 100
CALLERS = 8
TIMEOUT_S = 30


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    receipt = json.loads((made["push"] / push.RECEIPT).read_text())
    test = images.read(made["data"], "test")
    keras = np.load(made["train"] / "keras-answers.npy")[:ASKED]
    binary = gateway.binary(settings.tidegate)
    repository = settings.repository.absolute()
    with tempfile.TemporaryDirectory() as folder, Gateway(binary, repository, Path(folder)) as served:
        url = served.url(f"/v2/models/{receipt['model']}/versions/{receipt['version']}/infer")
        with ThreadPoolExecutor(CALLERS) as callers:
            enlarged = (images.enlarge(image[None], settings.size) for image in test.images[:ASKED])
            rows = list(callers.map(lambda image: ask(url, image), enlarged))
    found = conversion.compare(np.array(rows, np.float32), keras, test.labels[: len(keras)])
    variant = variants.named(receipt["variant"])
    if faults := found.faults(variant.tolerance):
        raise ConversionError(variant, repository / receipt["model"], len(keras), found, faults)
    answered = f"  {len(keras)} answers over HTTP from version {receipt['version']}: accuracy {found.accuracy:.1%}, "
    print(f"{answered}largest difference to Keras {found.largest_difference:.2g}", flush=True)
    (into / "answers.json").write_text(json.dumps(asdict(found), indent=1) + "\n")


def ask(url: str, image: np.ndarray) -> list[float]:
    """One image in the binary form of the Open Inference Protocol: raw numbers behind a head in JSON."""
    raw = image.astype("<f4").tobytes()
    length = {"binary_data_size": len(raw)}
    tensor = {"name": "image", "shape": list(image.shape), "datatype": "FP32", "parameters": length}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, head + raw, headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise StageError(f"{url} answered {error.code}: {error.read().decode(errors='replace')}") from None
    except OSError as error:
        raise StageError(f"{url} did not answer: {error}") from None
    return answer["outputs"][0]["data"]
