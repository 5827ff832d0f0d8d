"""What `tidegate model push` does as far as the pipeline can see it, for tests of the pipeline where no gateway is
built.

It copies the file and the samples into a version, or finds them there, and checks nothing.
"""

import argparse
import shutil
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("noun", choices=["model"])
parser.add_argument("verb", choices=["push"])
parser.add_argument("model")
parser.add_argument("file", type=Path)
parser.add_argument("--repository", type=Path, required=True)
parser.add_argument("--samples", type=Path, required=True)
parser.add_argument("--version", type=int)
parser.add_argument("--name")
parser.add_argument("--label")
asked = parser.parse_args()

folder = asked.repository / asked.model
taken = [int(each.name) for each in folder.glob("*") if each.name.isdecimal()]
version = asked.version or max(taken, default=0) + 1
place = folder / str(version)
if version in taken:
    same = asked.file.read_bytes() == (place / "model.onnx").read_bytes()
    sys.exit(None if same else f"version {version} is another file")
shutil.copytree(asked.samples, place / "samples")
shutil.copyfile(asked.file, place / "model.onnx")
