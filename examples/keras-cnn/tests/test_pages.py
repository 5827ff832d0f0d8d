"""The pages on exports from other frameworks, followed to the letter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import EXAMPLE, able_tidegate
from page import Command, File, Reader, is_as_shown, steps

DOCS = EXAMPLE.parent.parent / "docs"
TORCH_PYTHON = "TIDEGATE_TORCH_PYTHON"


def followed(page: str, folder: Path, python: str) -> None:
    """All of the page; or, without a gateway that can push, as far as it goes, and then the test is skipped."""
    tidegate, reason = able_tidegate()
    ran = Reader(folder, python, tidegate).follow((DOCS / page).read_text())
    assert "venv/bin/python export.py" in ran
    if tidegate is None:
        pytest.skip(f"the model is exported and checked, and not pushed: {reason}")
    assert any(command.startswith("curl ") for command in ran)


def test_the_page_on_scikit_learn_does_what_it_shows(tmp_path):
    followed("export-sklearn.md", tmp_path, sys.executable)


def test_the_page_on_pytorch_does_what_it_shows(tmp_path):
    python = os.environ.get(TORCH_PYTHON)
    if python is None:
        pytest.skip(f"PyTorch is 5.5 GB; {TORCH_PYTHON} names a Python that has it")
    if subprocess.run([python, "-c", "import torch, onnxscript, onnxruntime"], capture_output=True).returncode:
        pytest.skip(f"{python} has no PyTorch, or not all that its export needs")
    followed("export-pytorch.md", tmp_path, python)


def test_files_commands_and_outputs_are_told_apart():
    page = "```python a.py\nx = 1\n\ny = 2\n```\n$ not this\n```console\n$ b\none\n$ c\n```\n```json\n{}\n```\n"
    assert steps(page) == [File("a.py", ["x = 1", "", "y = 2"]), Command("b", ["one"]), Command("c")]


def test_dots_stand_for_anything_on_a_line_or_for_lines():
    assert is_as_shown(["a...c"], "abbc\n")
    assert is_as_shown(["[...]"], "[1.5]")
    assert is_as_shown(["first", "...", "last"], "first\n2\n3\nlast\n")
    assert is_as_shown([], "")
    assert not is_as_shown([], "something\n")
    assert not is_as_shown(["a...c"], "ab\nc\n")
    assert not is_as_shown(["0.9"], "0x9")
