"""What a caller may choose, with defaults that make the real model; each field is also a flag of `pipeline.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from keras_cnn.variants import ONNX_NAMES

EXAMPLE = Path(__file__).resolve().parent.parent
REPOSITORY_ROOT = EXAMPLE.parent.parent


def number(smallest: int, largest: int) -> Callable[[str], int]:
    """Reads a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isdecimal() or not smallest <= int(text) <= largest:
            raise argparse.ArgumentTypeError(f"a whole number from {smallest} to {largest} was expected, not {text!r}")
        return int(text)

    return read


def one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """Reads one of these names."""

    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"one of {', '.join(names)} was expected, not {text!r}")
        return text

    return read


def setting(default: Any, read: Callable[[str], Any], help: str) -> Any:
    return field(default=default, metadata={"read": read, "help": help})


@dataclass(frozen=True)
class Settings:
    """A stage is made again when one of those that it names changes."""

    # Below 18 the last convolution has nothing left to look at.
    size: int = setting(224, number(18, 512), "height and width of the images, in pixels")
    images: int = setting(1797, number(200, 1797), "how many digits to use")
    epochs: int = setting(4, number(1, 1000), "how often training sees each image")
    batch_size: int = setting(32, number(1, 1024), "rows in a training step")
    seed: int = setting(2024, number(0, 2**31 - 1), "of the split, the first weights and the order of the images")
    calibration: int = setting(128, number(1, 1000), "training images that quantization may look at")
    rounds: int = setting(5, number(1, 100), "how often the report turns to each variant with its stopwatch")
    variant: str = setting("int8-static", one_of(ONNX_NAMES), f"what is pushed: {', '.join(ONNX_NAMES)}")
    repository: Path = setting(EXAMPLE / "work" / "repository", Path, "the model repository that is pushed to")
    model: str = setting("cnn", str, "the model's name there")
    version: int | None = setting(None, number(1, 2**31 - 1), "the version to push as; the next free one unless given")
    name: str | None = setting(None, str, "a name for that version, such as v1.0.0")
    label: str | None = setting(None, str, "a label that shall point to that version")
    tidegate: Path | None = setting(None, Path, "the tidegate binary; else TIDEGATE_BIN, else target/release-fast's")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting."""
    for each in fields(Settings):
        shown = "" if each.default is None else f" (default: {each.default})"
        parser.add_argument(
            f"--{each.name.replace('_', '-')}",
            type=each.metadata["read"],
            default=each.default,
            metavar=each.name.upper(),
            help=each.metadata["help"] + shown,
        )


def from_flags(options: argparse.Namespace) -> Settings:
    return Settings(**{each.name: getattr(options, each.name) for each in fields(Settings)})


def as_flags(settings: Settings) -> list[str]:
    """The flags that give these settings to another process."""
    flags = []
    for each in fields(Settings):
        value = getattr(settings, each.name)
        if value is not None:
            flags.append(f"--{each.name.replace('_', '-')}={value}")
    return flags
