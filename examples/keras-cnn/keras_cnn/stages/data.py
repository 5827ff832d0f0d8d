"""The digits, split by seed: three fifths to train on, a fifth to choose by, a fifth that is only ever asked about.

*Optical Recognition of Handwritten Digits*, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998, CC BY
4.0, in the copy that scikit-learn ships. Every digit is as frequent in each part.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

if TYPE_CHECKING:
    from keras_cnn.settings import Settings

# The data set counts the inked pixels of each 4x4 block: 0 to 16.
BRIGHTEST = 16
FIFTH = 0.2


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    digits = load_digits()
    every = np.sort(np.random.default_rng(settings.seed).permutation(len(digits.target))[: settings.images])
    held = round(len(every) * FIFTH)
    rest, test = cut(every, digits.target, len(every) - held, settings.seed)
    train, validation = cut(rest, digits.target, len(rest) - held, settings.seed)
    arrays = {}
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        arrays[f"{name}_images"] = (digits.images[rows] / BRIGHTEST).astype(np.float32)
        arrays[f"{name}_labels"] = digits.target[rows]
    np.savez(into / "digits.npz", **arrays)
    print(f"  {len(train)} images to train on, {len(validation)} to choose by, {len(test)} to test with", flush=True)


def cut(rows: np.ndarray, labels: np.ndarray, first: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`first` of the rows, and the others."""
    one, other = train_test_split(rows, train_size=first, stratify=labels[rows], random_state=seed)
    return one, other
