"""The SavedModel: the form in which TensorFlow's own servers and converters take a model.

`model.export` writes it with one signature, `serving_default`. `model.save` with a folder's name, as older recipes have
it, is an error since Keras 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras

from keras_cnn import conversion

if TYPE_CHECKING:
    from keras_cnn.settings import Settings


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    model = keras.models.load_model(made["train"] / "model.keras", compile=False)
    model.export(into / "saved_model", verbose=False)
    conversion.check_stage("export", into, made, settings.size)
