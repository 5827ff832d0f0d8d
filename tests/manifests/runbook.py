"""docs/deploy.md as a sequence of commands, and a shell to type them into.

`commands` takes every ```console block apart; `may_run` says which of the commands the stand-in for a cluster can serve.
What is in neither list has not been thought about, and is an error."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT, MORE = "$ ", "> "
# Variables and functions of the reader's shell.
SHELL = re.compile(r"^\w+(=|\(\) \{)")
# What stands on its first line after the word belongs to the command.
HEREDOC = re.compile(r"<<\w+([^\n]*)\n.*", re.DOTALL)
COMMAND_TIMEOUT_S = 60

RUN = {
    *("kubectl apply", "kubectl create", "kubectl delete", "kubectl get", "kubectl label"),
    *("kubectl patch", "kubectl rollout", "kubectl wait"),
}
CANNOT_RUN = {
    "kind create": "makes a cluster of containers",
    "kind load": "needs a cluster of containers",
    "kubectl cp": "streams into a container, and the stand-in has none",
    "kubectl exec": "streams into a container, and the stand-in has none",
    "kubectl logs": "reads what a container wrote, and the stand-in has none",
    "kubectl port-forward": "streams to a container, and the stand-in has none",
    "kubectl run": "runs a container and streams to it, and the stand-in has none",
    "curl": "asks a gateway through a forwarded port; test_gateway.py asks one directly",
}


def commands(page: str) -> list[str]:
    """As they are typed: without the prompts, with the lines that continue them, without what is printed."""
    found: list[str] = []
    for block in BLOCK.findall(page):
        continues = False
        for line in block.splitlines():
            if line.startswith(PROMPT):
                found.append(line.removeprefix(PROMPT))
            elif line.startswith(MORE) or continues:
                found[-1] += "\n" + (line.removeprefix(MORE))
            else:
                continue
            continues = line.endswith("\\")
    return found


def may_run(command: str) -> bool:
    """All parts of a line can run, or none can."""
    if SHELL.match(command):
        return True
    verdicts = {verdict(part) for part in parts(command)}
    assert len(verdicts) == 1, f"only some of this can run, write it as two commands: {command}"
    return verdicts.pop()


def verdict(program: str) -> bool:
    assert program in RUN or program in CANNOT_RUN, f"{program!r} is neither in RUN nor in CANNOT_RUN: add it to one"
    return program in RUN


def parts(command: str) -> list[str]:
    """`kubectl VERB` or the program, for each simple command of the line; what a heredoc holds and comments left out."""
    words = shlex.shlex(HEREDOC.sub(r"\1", command), posix=True, punctuation_chars=True)
    words.whitespace_split = True
    simple: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set("&|;"):
            simple.append([])
        else:
            simple[-1].append(word)
    return [program(one) for one in simple if one]


def program(words: list[str]) -> str:
    if words[0] == "kubectl" and words[1] == "-n":
        words = [words[0], *words[3:]]
    return " ".join(words[:2]) if words[0] in ("kubectl", "kind") else words[0]


class Shell:
    """One bash for the whole page, as a reader has one terminal: variables and functions live on."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder = folder / "typed"
        self.folder.mkdir()
        self.count = 0
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # What a command has started ends with it.
            start_new_session=True,
        )

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(COMMAND_TIMEOUT_S)
        self.process.stdout.close()

    def type(self, command: str) -> tuple[int, str]:
        """Exit status, and what was printed."""
        self.count += 1
        script, output = self.folder / f"{self.count}.sh", self.folder / f"{self.count}.txt"
        script.write_text(command + "\n")
        # Read as a file, so that a command cannot read the next one as its input.
        self.process.stdin.write(f"source {script} </dev/null >{output} 2>&1; echo $?\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], COMMAND_TIMEOUT_S)[0]:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"not done after {COMMAND_TIMEOUT_S} s: {command}\n{output.read_text()}")
        status = self.process.stdout.readline()
        assert status, f"the shell ended at: {command}"
        return int(status), output.read_text()
