"""How each kind of file is run: on one thread, any number of rows at a time.

`prepare` turns images into what the file wants, `run` is the part that is worth a stopwatch, and `read` turns what came
out into probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Runner(Protocol):
    def prepare(self, images: np.ndarray) -> Any: ...

    def run(self, prepared: Any) -> Any: ...

    def read(self, output: Any) -> np.ndarray: ...


class SavedModel:
    """TensorFlow, which takes its number of threads once per process: see `one_thread`."""

    def __init__(self, path: Path):
        import tensorflow as tf

        self._constant = tf.constant
        # The variables live only as long as the loaded object; its signature alone does not keep them.
        self._loaded = tf.saved_model.load(str(path))
        self._serve = self._loaded.signatures["serving_default"]

    def prepare(self, images: np.ndarray) -> Any:
        return self._constant(images)

    def run(self, prepared: Any) -> Any:
        (output,) = self._serve(prepared).values()
        return output.numpy()

    def read(self, output: Any) -> np.ndarray:
        return output


class Onnx:
    def __init__(self, path: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def prepare(self, images: np.ndarray) -> Any:
        return {self._input: images}

    def run(self, prepared: Any) -> Any:
        return self._session.run(None, prepared)[0]

    def read(self, output: Any) -> np.ndarray:
        return output


class TensorFlowLite:
    def __init__(self, path: Path):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        self._rows = 0

    def prepare(self, images: np.ndarray) -> Any:
        if self._input["dtype"] == np.float32:
            return images
        scale, zero = self._input["quantization"]
        limits = np.iinfo(self._input["dtype"])
        return np.clip(np.round(images / scale) + zero, limits.min, limits.max).astype(self._input["dtype"])

    def run(self, prepared: Any) -> Any:
        # A new number of rows means new buffers, which would otherwise be paid for in each run.
        if self._rows != len(prepared):
            self._interpreter.resize_tensor_input(self._input["index"], prepared.shape)
            self._interpreter.allocate_tensors()
            self._rows = len(prepared)
        self._interpreter.set_tensor(self._input["index"], prepared)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])

    def read(self, output: Any) -> np.ndarray:
        if self._output["dtype"] == np.float32:
            return output
        scale, zero = self._output["quantization"]
        return (output.astype(np.float32) - zero) * scale


def open_runner(path: Path) -> Runner:
    kinds: dict[str, Callable[[Path], Runner]] = {".onnx": Onnx, ".tflite": TensorFlowLite, "": SavedModel}
    return kinds[path.suffix](path)


def one_thread() -> None:
    """Holds TensorFlow to one thread; before it has run anything in this process."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
