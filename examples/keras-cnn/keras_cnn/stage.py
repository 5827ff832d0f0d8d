"""When a stage must be made again, and how what it makes is published.

A stage owns one folder, `<work>/<stage>/`, with its files and `stamp.json` among them. The stamp holds a key - a hash
of the stage's code, of the settings that it names and of the files that it was made of - and the hash of every file.
Whoever asks for the stage again with the same key, and finds the files as the stamp has them, has nothing to do. Keys
are made of contents, not of times: a stage that was made again and came out the same makes nobody else due.

Files are made in `<work>/.<stage>.partial/` and the folder is renamed when they are complete, stamp included. A stage
that was interrupted has therefore no folder of its own, and is made anew.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

STAMP = "stamp.json"
CHUNK = 1 << 20


class StageError(Exception):
    """Why a stage cannot be made, for the person who asked for it."""


@dataclass(frozen=True)
class Stage:
    """A step of the road. Its code is `make(into, made, settings)` in a module of its name."""

    name: str
    about: str
    needs: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    # It has an effect outside of its folder; its module's `still_true(folder, settings)` says whether that still holds.
    outside: bool = False
    # Left out of a run of all stages.
    optional: bool = False


@dataclass(frozen=True)
class Stamp:
    key: str
    files: dict[str, str]
    seconds: float


class Workshop:
    """A work folder, the code of the stages (`package`), and the settings of this run."""

    def __init__(self, folder: Path, package: str, settings: Any, pins: Path):
        self.folder = folder
        self.package = package
        self.settings = settings
        self.pins = pins

    def place(self, name: str) -> Path:
        return self.folder / name

    def module_name(self, stage: Stage) -> str:
        return f"{self.package}.{stage.name}"

    def module(self, stage: Stage) -> ModuleType:
        return importlib.import_module(self.module_name(stage))

    def stamp(self, name: str) -> Stamp | None:
        """The stamp of a stage that is made and unharmed, whatever it was made of; else None."""
        folder = self.place(name)
        try:
            stamp = Stamp(**json.loads((folder / STAMP).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return stamp if hashes(folder) == stamp.files else None

    def key(self, stage: Stage) -> str | None:
        """None while something that the stage needs is not there."""
        needs = {name: self.stamp(name) for name in stage.needs}
        if any(stamp is None for stamp in needs.values()):
            return None
        parts = {
            "code": {f"{path.parent.name}/{path.name}": file_hash(path) for path in sources(self.module_name(stage))},
            "pins": file_hash(self.pins),
            "settings": {name: str(getattr(self.settings, name)) for name in stage.settings},
            "needs": {name: stamp.files for name, stamp in needs.items() if stamp is not None},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def is_due(self, stage: Stage) -> bool:
        stamp = self.stamp(stage.name)
        if stamp is None or stamp.key != self.key(stage):
            return True
        return stage.outside and not self.module(stage).still_true(self.place(stage.name), self.settings)

    def make(self, stage: Stage) -> float:
        """Makes the stage, due or not, and gives the seconds that it took; StageError if something is missing."""
        for name in stage.needs:
            if self.stamp(name) is None:
                raise StageError(
                    f"{stage.name} needs what {name} makes, and {self.place(name)} is missing or was changed: "
                    f"run `pipeline.py {name}` first, or `pipeline.py run` for all stages"
                )
        with self.alone(stage):
            # Taken before the work: code that is edited meanwhile makes the stage due again.
            key = self.key(stage)
            partial = self.folder / f".{stage.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            start = time.monotonic()
            self.module(stage).make(partial, {name: self.place(name) for name in stage.needs}, self.settings)
            seconds = round(time.monotonic() - start, 1)
            stamp = {"key": key, "files": hashes(partial), "seconds": seconds}
            (partial / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
            publish(partial, self.place(stage.name))
        return seconds

    @contextmanager
    def alone(self, stage: Stage) -> Iterator[None]:
        """Two runs that make one stage would write into each other's files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{stage.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StageError(f"{stage.name} is being made in {self.folder} by another run: wait for it") from None
            yield


def publish(partial: Path, place: Path) -> None:
    """A folder cannot be renamed over another, so the old one goes first; who dies in between makes the stage again."""
    for folder, _, names in os.walk(partial):
        for name in names:
            with open(Path(folder) / name, "rb") as file:
                os.fsync(file.fileno())
    shutil.rmtree(place, ignore_errors=True)
    partial.rename(place)


def hashes(folder: Path) -> dict[str, str]:
    """Of every file below the folder but its stamp, by path."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): file_hash(path) for path in found if path != folder / STAMP}


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sources(module: str) -> list[Path]:
    """The module's file and those of all modules that it imports, directly or not, from its own outermost package."""
    root = module.partition(".")[0]
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or (path := source_of(name)) is None:
            continue
        found[name] = path
        waiting += [each for each in imports(path) if each.partition(".")[0] == root]
    return sorted(found.values())


def source_of(module: str) -> Path | None:
    """None for a name that is no module: `from package.module import function` names one of each."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def imports(path: Path) -> list[str]:
    """What the file imports when it runs; what stands under `if TYPE_CHECKING` is for readers and checkers of types."""
    names = []
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            waiting += ast.iter_child_nodes(node)
    return names
