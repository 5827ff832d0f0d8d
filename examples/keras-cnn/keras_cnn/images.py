"""The images: real handwritten digits, and how 8x8 pixels become what the model looks at.

An image is kept as the data set has it and enlarged when it is looked at: all of them at 224x224x3 would be a gigabyte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PIXELS = 8
CHANNELS = 3
CLASSES = 10
# Of images that are looked at together; at 224x224x3 they are 19 MB.
LOOKED_AT_TOGETHER = 32


@dataclass(frozen=True)
class Part:
    """Images [rows, 8, 8] from 0 to 1, and the digit that each shows."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def read(folder: Path, part: str) -> Part:
    """A part of what stage `data` made: train, validation or test."""
    with np.load(folder / "digits.npz") as arrays:
        return Part(arrays[f"{part}_images"], arrays[f"{part}_labels"])


def enlarge(images: np.ndarray, size: int) -> np.ndarray:
    """[rows, 8, 8] to [rows, size, size, 3]: bilinear, grey in every channel.

    The same numbers as `tf.image.resize`, as two products with one small matrix, so that whoever only measures or asks
    needs no TensorFlow.
    """
    shares = pixel_shares(size)
    large = shares @ images @ shares.T
    return np.repeat(large[..., None], CHANNELS, axis=3)


def pixel_shares(size: int) -> np.ndarray:
    """[size, 8]: by how much each old pixel counts in each new one along an axis; pixel centres are at halves."""
    centres = (np.arange(size) + 0.5) * PIXELS / size - 0.5
    below = np.floor(centres).astype(int)
    above_share = centres - below
    shares = np.zeros((size, PIXELS), np.float32)
    rows = np.arange(size)
    np.add.at(shares, (rows, np.clip(below, 0, PIXELS - 1)), 1 - above_share)
    np.add.at(shares, (rows, np.clip(below + 1, 0, PIXELS - 1)), above_share)
    return shares


def enlarged_batches(images: np.ndarray, size: int, rows: int = LOOKED_AT_TOGETHER) -> Iterator[np.ndarray]:
    for start in range(0, len(images), rows):
        yield enlarge(images[start : start + rows], size)
