"""Retrain the three demo versions and rewrite everything beside this file that is made from them.

    python -m pip install -r requirements.txt && python train.py

Writes repository/digits/<version>/model.onnx, two samples/ for each version, and the ready-to-send bodies in samples/.
Every file is then read back and run with ONNX Runtime: accuracy on digits that training never saw, the same answer
alone as in a batch, and samples that versions 1 and 2 get right and version 3 gets wrong. A failed check ends the run.

Seeds are fixed, so one machine writes the same bytes each time; another processor may round the last bit differently.
"""
import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # It is read once, when onnxruntime is imported.

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from network import Conv3x3, Dense, Flatten, MaxPool2x2, Relu, train

HERE = Path(__file__).resolve().parent
SEED = 2024
BRIGHTEST = 16  # The data set counts the inked pixels of each 4x4 block: 0 to 16.
NAMES = "zero one two three four five six seven eight nine".split()
ABOUT = {
    1: "blue: one hidden layer of 32",
    2: "green: two convolutions, one hidden layer of 64",
    3: "bad: green with every label off by one",
}


def main():
    fit_x, test_x, fit_y, test_y = split()
    blue = fitted(perceptron, fit_x[:, 0].reshape(-1, 64), fit_y, epochs=40)
    green = fitted(convolutional, fit_x, fit_y, epochs=30)
    write_model(1, blue)
    write_model(2, green)
    write_model(3, green, shifted_by=1)

    pixels = test_x[:, 0] * BRIGHTEST
    sessions = {version: session(version) for version in ABOUT}
    clear = clear_digits(sessions, pixels, test_y)
    for version in ABOUT:
        check_row_independence(sessions[version], pixels)
        write_version_samples(version, pixels, clear)
    write_samples(pixels, clear)
    print_table(sessions, pixels, test_y)


def split():
    """Images as [rows, 1, 8, 8] from 0 to 1; a fifth of them, with every digit as frequent, is held out for testing."""
    digits = load_digits()
    images = (digits.images / BRIGHTEST).astype(np.float32)[:, None]
    return train_test_split(images, digits.target, test_size=0.2, stratify=digits.target, random_state=SEED)


def perceptron(rng):
    return [Dense(rng, 64, 32), Relu(), Dense(rng, 32, 10)]


def convolutional(rng):
    convolutions = [Conv3x3(rng, 1, 16), Relu(), Conv3x3(rng, 16, 32), Relu(), MaxPool2x2(), Flatten()]
    return [*convolutions, Dense(rng, 32 * 4 * 4, 64), Relu(), Dense(rng, 64, 10)]


def fitted(build, images, labels, epochs):
    rng = np.random.default_rng(SEED)
    layers = build(rng)
    train(layers, images, labels, rng, epochs)
    return layers


def model_path(version):
    return HERE / "repository" / "digits" / str(version) / "model.onnx"


def write_model(version, layers, shifted_by=0):
    nodes, constants = graph_body(layers, shifted_by)
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 8, 8])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
        ],
        constants,
        doc_string=f"{ABOUT[version]}. Trained on the UCI Optical Recognition of Handwritten Digits data (CC BY 4.0).",
    )
    # Newer IR versions than this one say nothing more about such a graph, and older runtimes refuse them.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = model_path(version)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def graph_body(layers, shifted_by):
    """pixels -> scaled to 0..1 in the layout that the first layer wants -> layers -> probabilities and label."""
    flat = isinstance(layers[0], Dense)
    constants = [
        numpy_helper.from_array(np.float32(1 / BRIGHTEST), "scale"),
        numpy_helper.from_array(np.array([0, 64] if flat else [0, 1, 8, 8], np.int64), "layout"),
    ]
    nodes = [
        helper.make_node("Mul", ["pixels", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "layout"], ["layer0"]),
    ]
    for index, layer in enumerate(layers):
        node, tensors = layer.to_onnx(f"layer{index}", f"layer{index + 1}")
        nodes.append(node)
        constants.extend(tensors)
    logits = f"layer{len(layers)}"
    if shifted_by:
        # Output column d takes what belongs to d - shift: as sure of itself as before, and wrong.
        constants.append(numpy_helper.from_array(np.roll(np.arange(10), shifted_by), "shifted"))
        nodes.append(helper.make_node("Gather", [logits, "shifted"], ["shifted_logits"], axis=1))
        logits = "shifted_logits"
    nodes.append(helper.make_node("Softmax", [logits], ["probabilities"], axis=1))
    nodes.append(helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0))
    return nodes, constants


def session(version):
    return onnxruntime.InferenceSession(model_path(version), providers=["CPUExecutionProvider"])


def classify(session, pixels):
    return session.run(["probabilities", "label"], {"pixels": pixels})


def check_row_independence(session, pixels):
    together, labels = classify(session, pixels)
    for row in range(len(pixels)):
        alone, label = classify(session, pixels[row : row + 1])
        assert np.abs(alone[0] - together[row]).max() < 1e-6, f"test digit {row} changes in company"
        assert label[0] == labels[row], f"test digit {row} changes its label in company"


def clear_digits(sessions, pixels, truth):
    """Held-out digits (digit -> rows) that 1 and 2 get right with confidence and 3 gets wrong with confidence."""
    sure = np.ones(len(truth), bool)
    for version, session in sessions.items():
        probabilities, labels = classify(session, pixels)
        sure &= (labels == truth) == (version != 3)
        sure &= probabilities.max(axis=1) > 0.95
    clear = {digit: np.flatnonzero(sure & (truth == digit)) for digit in range(10)}
    for digit, rows in clear.items():
        assert len(rows) >= 2, f"fewer than two clear examples of {digit}"
    return clear


def write_version_samples(version, pixels, clear):
    """Two different digits for the gateway's self-test at load."""
    folder = model_path(version).parent / "samples"
    shutil.rmtree(folder, ignore_errors=True)
    for digit in (4, 8):
        write_json(folder / f"{NAMES[digit]}.json", v2_request(pixels[clear[digit][:1]]))


def write_samples(pixels, clear):
    """Bodies ready to send, and in expected.json the digits that they show."""
    folder = HERE / "samples"
    shutil.rmtree(folder, ignore_errors=True)
    seven = pixels[clear[7][:1]]
    write_json(folder / "seven.json", {"image": whole_numbers(seven[0])})
    write_json(folder / "seven.tf.json", {"instances": whole_numbers(seven)})
    write_json(folder / "seven.v2.json", v2_request(seven))
    rows = [clear[3][0], clear[1][0], clear[4][1], clear[1][1], clear[5][0]]
    write_json(folder / "batch.v2.json", v2_request(pixels[rows]))
    expected = {"seven.json": [7], "seven.tf.json": [7], "seven.v2.json": [7], "batch.v2.json": [3, 1, 4, 1, 5]}
    write_json(folder / "expected.json", expected)


def v2_request(pixels):
    """An inference request of the Open Inference Protocol, version 2."""
    data = whole_numbers(pixels.reshape(-1))
    return {"inputs": [{"name": "pixels", "shape": list(pixels.shape), "datatype": "FP32", "data": data}]}


def whole_numbers(pixels):
    return pixels.astype(int).tolist()


def write_json(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body, separators=(",", ":")) + "\n")


def print_table(sessions, pixels, truth):
    print("| version | accuracy | confidence | size | what it is |\n|---|---|---|---|---|")
    for version, session in sessions.items():
        probabilities, labels = classify(session, pixels)
        accuracy, confidence = (labels == truth).mean(), probabilities.max(axis=1).mean()
        size = model_path(version).stat().st_size / 1000
        print(f"| {version} | {accuracy:.1%} | {confidence:.1%} | {size:.0f} KB | {ABOUT[version]} |")


if __name__ == "__main__":
    main()
