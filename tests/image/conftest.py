"""The image under test, and one hardened container of it that most tests share.

By default the image is built here: the development build, stripped, on a base that is made once (`scripts/image_base.py`).
TIDEGATE_IMAGE names one that exists already, TIDEGATE_BASE_IMAGE another base.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import DIGITS, HARDENED, ROOT, SERVES_DIGITS, Container, Engine, reason_to_skip

sys.path.insert(0, str(ROOT / "scripts"))

import image_base  # noqa: E402
import image_build  # noqa: E402
import image_release  # noqa: E402, F401

TAG = "localhost/tidegate-under-test"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    return Engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="session")
def image(engine: Engine) -> Iterator[str]:
    named = os.environ.get("TIDEGATE_IMAGE")
    if named:
        yield named
        return
    base = os.environ.get("TIDEGATE_BASE_IMAGE") or image_base.provide()
    binary = os.environ.get("TIDEGATE_BIN") or ROOT / "target" / "debug" / "tidegate"
    assert image_build.main(["--tag", TAG, "--prebuilt", str(binary), "--base", base]) == 0
    yield TAG
    engine.call("rmi", TAG)


@pytest.fixture(scope="session")
def files(engine: Engine, image: str) -> Iterator[Path]:
    with engine.files(image) as root:
        yield root


@pytest.fixture(scope="module")
def gateway(engine: Engine, image: str) -> Iterator[Container]:
    with engine.container(image, *HARDENED, *SERVES_DIGITS) as container:
        container.wait_until_ready()
        yield container


@pytest.fixture(scope="session")
def samples() -> Path:
    return DIGITS / "samples"


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of `requirements.txt`'s programs."""
    folder = Path(os.environ.get("TIDEGATE_TOOLS") or ROOT / ".deps" / "venv-tools" / "bin")
    if not (folder.parent / "installed").is_file():
        pytest.skip(f"{folder.parent} holds no tools; `make tools` installs them")
    return folder
