"""PromQL, as far as the checks look into it: which series and labels an expression names, and whether Prometheus's own
reader takes it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from exported import PROMETHEUS, TARGET_LABELS

WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "and", "or", "unless", "atan2"}
STRING = re.compile(r'"(?:\\.|[^"\\])*"' + r"|'(?:\\.|[^'\\])*'")
LISTS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)\s*\{([^}]*)\}")
NAME = re.compile(r"(?<![\w.:])([A-Za-z_:][A-Za-z0-9_:]*)\b(?!\s*\()")


def problems(expression: str, known: dict[str, set[str]]) -> Iterator[str]:
    """Series that nobody exports, and labels that they do not have."""
    plain = STRING.sub('""', expression)
    used: set[str] = set()
    for name in series(plain):
        labels = known.get(name, PROMETHEUS.get(name))
        if labels is None:
            yield f"nobody exports '{name}': {expression}"
        used |= labels or set()
    for name, matchers in SELECTOR.findall(plain):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            if name in known and label not in known[name] | TARGET_LABELS:
                yield f"'{name}' has no label '{label}': {expression}"
    for labels in LISTS.findall(plain):
        for label in re.findall(r"\w+", labels):
            if label not in used | TARGET_LABELS:
                yield f"none of its series has a label '{label}': {expression}"


def series(plain: str) -> set[str]:
    without = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", LISTS.sub(" ", plain))
    without = re.sub(r"\boffset\s+\w+", " ", without)
    return set(NAME.findall(without)) - WORDS


def promtool(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    found = shutil.which("promtool")
    if not found:
        pytest.skip("promtool is not installed (Debian: prometheus): Prometheus's own reader was not asked")
    return subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd)


def check_syntax(expressions: list[str], folder: Path) -> subprocess.CompletedProcess:
    rules = [{"record": f"expression:{number}", "expr": one} for number, one in enumerate(expressions)]
    file = folder / "expressions.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    return promtool("check", "rules", str(file))
