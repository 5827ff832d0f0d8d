"""A page of docs/, carried out as it stands there: its files are written, its commands run, and what they print held
against it.

A fenced block of Python whose fence names a file (```python export.py) is that file. In a `console` block a line that
begins with `$ ` is a command, and what follows is its output: `...` stands for anything on its line, or alone on a
line for any lines. Everything happens in a folder that was empty. The environment of a page is there already, so what
would make it is left out, and `tidegate serve` is a gateway at free ports.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from keras_cnn.gateway import Gateway, environment

TIMEOUT_S = 120
ENVIRONMENT = ("python3 -m venv ", "venv/bin/pip ")


@dataclass
class File:
    name: str
    lines: list[str] = field(default_factory=list)


@dataclass
class Command:
    text: str
    output: list[str] = field(default_factory=list)


def steps(markdown: str) -> list[File | Command]:
    """Files and commands in the page's order."""
    found: list[File | Command] = []
    fence = None
    for line in markdown.splitlines():
        if line.startswith("```"):
            fence = line[3:].strip() if fence is None else None
            if fence and fence.startswith("python "):
                found.append(File(fence.removeprefix("python ")))
        elif fence == "console":
            if line.startswith("$ "):
                found.append(Command(line.removeprefix("$ ")))
            else:
                found[-1].output.append(line)
        elif fence and fence.startswith("python "):
            found[-1].lines.append(line)
    return found


def is_as_shown(shown: list[str], printed: str) -> bool:
    """Whether the output is what the page shows, dots apart."""
    lines = [r"(?s:.*)" if line.strip() == "..." else ".*".join(map(re.escape, line.split("..."))) for line in shown]
    return re.fullmatch("\n".join(lines), printed.strip("\n")) is not None


class Reader:
    """Somebody who follows a page, in a folder of their own."""

    def __init__(self, folder: Path, python: str, tidegate: Path | None):
        self.folder = folder
        self.python = python
        self.tidegate = tidegate
        self.open = ExitStack()
        self.served: Gateway | None = None

    def follow(self, markdown: str) -> list[str]:
        """Returns the commands that ran; stops before the first of `tidegate` where there is none."""
        ran = []
        with self.open:
            for step in steps(markdown):
                if isinstance(step, File):
                    (self.folder / step.name).write_text("\n".join(step.lines) + "\n")
                elif step.text.startswith("tidegate ") and self.tidegate is None:
                    break
                elif not step.text.startswith(ENVIRONMENT):
                    self.carry_out(step)
                    ran.append(step.text)
        return ran

    def carry_out(self, command: Command) -> None:
        if repository := re.fullmatch(r"tidegate serve --model-repository (\S+)", command.text):
            state = self.folder / "gateway"
            state.mkdir()
            self.served = self.open.enter_context(Gateway(self.tidegate, self.folder / repository[1], state))
            return
        text = command.text.replace("venv/bin/python", self.python)
        if self.served:
            text = text.replace("localhost:8501", self.served.url(""))
        if text.startswith("tidegate "):
            text = f"{self.tidegate} {text.removeprefix('tidegate ')}"
        done = subprocess.run(
            ["bash", "-c", text], cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S
        )
        assert done.returncode == 0, f"$ {command.text}\n{done.stdout}{done.stderr}"
        both = "\n".join(["printed:", done.stdout, "the page shows:", *command.output])
        assert is_as_shown(command.output, done.stdout), f"$ {command.text}\n{both}"
