"""Which crates are inside the gateway's binary, with their licences, hashes and files, asked of cargo.

`cargo tree` says which: it resolves features for the gateway alone, as the build does, where `cargo metadata` resolves
them for the whole workspace and would list five crates that are not in the binary. Build scripts, procedural macros and
what only tests need are left out: they do not ship. `cargo metadata` then says everything else.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tidegate-gateway"
LICENCE_FILE = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)([.\-_].*)?$")

Key = tuple[str, str]


class SbomError(Exception):
    """Says in one line which part lacks what."""


@dataclass
class Crate:
    """One crate in the binary; `licence` is an SPDX expression, `sha256` that of the archive it was published as."""

    name: str
    version: str
    licence: str
    folder: Path
    description: str = ""
    repository: str | None = None
    sha256: str | None = None
    is_ours: bool = False
    needs: set[Key] = field(default_factory=set)

    @property
    def key(self) -> Key:
        return self.name, self.version

    def licence_files(self) -> list[Path]:
        """Also those of C sources that a crate carries along."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file() and LICENCE_FILE.match(path.name))


def read(target: str, package: str = PACKAGE) -> list[Crate]:
    """The package first, then all others by name."""
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target))
    with_features = ("-p", package, "--target", target, "--edges", "normal,no-proc-macro")
    tree = parse_tree(cargo("tree", *with_features, "--prefix", "depth", "--format", "|{p}"))
    return join(tree, metadata["packages"], locked_hashes((ROOT / "Cargo.lock").read_text()))


def cargo(*arguments: str) -> str:
    command = ["cargo", arguments[0], "--locked", *arguments[1:]]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise SbomError(f"`{' '.join(command)}` failed: {outcome.stderr.strip()}")
    return outcome.stdout


def parse_tree(text: str) -> dict[Key, set[Key]]:
    """Who needs whom, from lines of `depth|name vVERSION ...`. A crate is spelt out where it stands first."""
    needs: dict[Key, set[Key]] = {}
    above: list[Key] = []
    for line in filter(None, text.splitlines()):
        depth, _, rest = line.partition("|")
        name, version = rest.split()[:2]
        key = (name, version.removeprefix("v"))
        needs.setdefault(key, set())
        above[int(depth) :] = [key]
        if len(above) > 1:
            needs[above[-2]].add(key)
    return needs


def locked_hashes(lock: str) -> dict[Key, str]:
    entry = r'^name = "([^"]+)"\nversion = "([^"]+)"\nsource = "[^"]+"\nchecksum = "([0-9a-f]{64})"$'
    return {(name, version): sha256 for name, version, sha256 in re.findall(entry, lock, re.MULTILINE)}


def join(tree: dict[Key, set[Key]], packages: list[dict], hashes: dict[Key, str]) -> list[Crate]:
    described = {(package["name"], package["version"]): package for package in packages}
    root, *others = tree
    crates = [crate(described[key], hashes.get(key), tree[key]) for key in (root, *sorted(others))]
    without = [f"{crate.name} {crate.version}" for crate in crates if not crate.licence]
    if without:
        raise SbomError(f"no licence expression: {', '.join(without)}; ask the authors, or do without the crate")
    return crates


def crate(package: dict, sha256: str | None, needs: set[Key]) -> Crate:
    return Crate(
        name=package["name"],
        version=package["version"],
        licence=expression(package["license"] or ""),
        folder=Path(package["manifest_path"]).parent,
        description=" ".join((package["description"] or "").split()),
        repository=package["repository"],
        sha256=sha256,
        is_ours=package["source"] is None,
        needs=needs,
    )


def expression(licence: str) -> str:
    """As SPDX writes it: older manifests have a slash where `OR` is meant."""
    return re.sub(r"\s*/\s*", " OR ", licence.strip())
