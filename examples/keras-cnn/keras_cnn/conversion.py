"""The check that every conversion has to pass before its files are published.

A converter that misreads a layer says nothing; its file loads, runs and answers wrongly. So each file is asked about
all test images, and its answers are held against those that Keras gave when the model was trained.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from keras_cnn import images, runners, variants
from keras_cnn.stage import StageError
from keras_cnn.variants import Tolerance, Variant

CHECKED = "checked.json"


@dataclass(frozen=True)
class Comparison:
    """A variant's answers to the test images beside Keras's."""

    accuracy: float
    keras_accuracy: float
    agreement: float
    largest_difference: float
    # The test image on which they differ most.
    sample: int

    def faults(self, allowed: Tolerance) -> list[str]:
        """What is beyond tolerance. Written so that NaN, which compares false, is a fault."""
        faults = []
        if not self.largest_difference <= allowed.largest_difference:
            faults.append(f"largest difference {self.largest_difference:.3g}, allowed {allowed.largest_difference:g}")
        if not self.agreement >= allowed.agreement:
            faults.append(f"the same class as Keras on {self.agreement:.1%}, at least {allowed.agreement:.1%} wanted")
        # Rounded, or 0.72 - 0.70 is more than 0.02.
        lost = round(self.keras_accuracy - self.accuracy, 6)
        if not lost <= allowed.accuracy_drop:
            faults.append(f"accuracy {lost:.1%} below Keras's, allowed {allowed.accuracy_drop:.1%}")
        return faults


class ConversionError(StageError):
    """A conversion changed the model's answers."""

    def __init__(self, variant: Variant, path: Path, rows: int, found: Comparison, faults: list[str]):
        self.variant = variant
        self.found = found
        lines = [
            f"{variant.name}: the converted model does not answer as Keras does; "
            f"nothing of stage {variant.stage} was published",
            *(f"  beyond tolerance    {fault}" for fault in faults),
            f"  largest difference  {found.largest_difference:.3g}, on test image {found.sample} of {rows}",
            f"  accuracy            {found.accuracy:.1%}; Keras {found.keras_accuracy:.1%}",
            f"  same class          {found.agreement:.1%}",
            f"  file                {path} (kept until the stage is made again)",
        ]
        super().__init__("\n".join(lines))


def compare(answers: np.ndarray, keras: np.ndarray, labels: np.ndarray) -> Comparison:
    """All [rows, classes] but the labels."""
    if answers.shape != keras.shape:
        raise StageError(f"answers of shape {answers.shape} came, and {keras.shape} was expected")
    differences = np.abs(answers - keras).max(axis=1)
    # Of several NaNs this is the first, and of numbers the largest: NaN wins over any number.
    sample = int(differences.argmax())
    classes, keras_classes = answers.argmax(axis=1), keras.argmax(axis=1)
    return Comparison(
        accuracy=float((classes == labels).mean()),
        keras_accuracy=float((keras_classes == labels).mean()),
        agreement=float((classes == keras_classes).mean()),
        largest_difference=float(differences[sample]),
        sample=sample,
    )


def check_stage(stage: str, into: Path, made: dict[str, Path], size: int) -> None:
    """Checks the files of a stage and writes down what was found; ConversionError for the first that is wrong."""
    test = images.read(made["data"], "test")
    keras = np.load(made["train"] / "keras-answers.npy")
    checked = {}
    for variant in variants.made_by(stage):
        path = into / variant.file
        found = compare(answers(path, test.images, size), keras, test.labels)
        if faults := found.faults(variant.tolerance):
            raise ConversionError(variant, path, len(test), found, faults)
        print(
            f"  {variant.name}: accuracy {found.accuracy:.1%}, same class as Keras on {found.agreement:.1%}, "
            f"largest difference {found.largest_difference:.2g}",
            flush=True,
        )
        checked[variant.name] = asdict(found)
    (into / CHECKED).write_text(json.dumps(checked, indent=1) + "\n")


def answers(path: Path, small_images: np.ndarray, size: int) -> np.ndarray:
    """What a file answers to the images."""
    runner = runners.open_runner(path)
    batches = images.enlarged_batches(small_images, size)
    return np.concatenate([runner.read(runner.run(runner.prepare(batch))) for batch in batches])
