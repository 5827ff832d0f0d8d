"""The network of the usual TensorFlow recipe, trained on the enlarged digits; and its answers to the test images.

Those answers are what every conversion is held against later, so they are made here, by the model that was trained
and by nothing that was exported or converted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_cnn import images
from keras_cnn.images import CHANNELS, CLASSES, LOOKED_AT_TOGETHER, Part

if TYPE_CHECKING:
    from keras_cnn.settings import Settings


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    keras.utils.set_random_seed(settings.seed)
    model = network(settings.size)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    train = images.read(made["data"], "train")
    validation = images.read(made["data"], "validation")
    history = model.fit(
        Batches(train, settings.size, settings.batch_size, settings.seed),
        validation_data=Batches(validation, settings.size, LOOKED_AT_TOGETHER),
        epochs=settings.epochs,
        verbose=2,
    )
    model.save(into / "model.keras", include_optimizer=False)
    (into / "history.json").write_text(json.dumps(history.history, indent=1) + "\n")

    test = images.read(made["data"], "test")
    batches = images.enlarged_batches(test.images, settings.size)
    answers = np.concatenate([model.predict_on_batch(batch) for batch in batches])
    np.save(into / "keras-answers.npy", answers)
    print(f"  accuracy on {len(test)} test images: {(answers.argmax(axis=1) == test.labels).mean():.1%}", flush=True)


def network(size: int) -> keras.Sequential:
    """11.1 million parameters at 224x224, nearly all of them between the last convolution and the units behind it."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((size, size, CHANNELS), name="image"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


class Batches(keras.utils.PyDataset):
    """Enlarges images as they are asked for; in a new order for each epoch if there is a seed."""

    def __init__(self, part: Part, size: int, rows: int, seed: int | None = None):
        super().__init__()
        self.part = part
        self.size = size
        self.rows = rows
        self.rng = None if seed is None else np.random.default_rng(seed)
        self.order = np.arange(len(part))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.part) // self.rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[index * self.rows : (index + 1) * self.rows]
        return images.enlarge(self.part.images[chosen], self.size), self.part.labels[chosen]

    def on_epoch_end(self) -> None:
        if self.rng is not None:
            self.rng.shuffle(self.order)
