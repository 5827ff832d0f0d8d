"""The pages about the cluster, and the comments in the manifests: what they point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages import anchors
from rendered import K8S, ROOT

PAGES = [ROOT / "docs" / "deploy.md", ROOT / "docs" / "observability.md", K8S / "README.md"]
MANIFESTS = sorted(path for path in K8S.rglob("*") if path.suffix in (".yaml", ".toml", ".conf"))
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
PATH = re.compile(r"(?<![\w/.-])(?:k8s|base|overlays|components|examples|docs|tests/manifests)/[\w./-]*\w")


def dead_links(page: Path) -> list[str]:
    dead = []
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith("http"):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or anchor and anchor not in anchors(file):
            dead.append(f"{target}#{anchor}")
    return dead


def missing_paths(file: Path) -> list[str]:
    """Of the repository, or of k8s/, which comments there leave out."""
    return [path for path in PATH.findall(file.read_text()) if not any((root / path).exists() for root in (ROOT, K8S))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert dead_links(page) == []


@pytest.mark.parametrize("file", [*PAGES, *MANIFESTS], ids=lambda file: str(file.relative_to(ROOT)))
def test_paths_that_are_named_exist(file):
    assert missing_paths(file) == []


def test_dead_links_and_missing_paths_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A heading\n[a](#a-heading) [b](#another) [c](gone.md) see k8s/overlays/staging and k8s/base\n")
    assert dead_links(page) == ["#another", "gone.md#"]
    assert missing_paths(page) == ["k8s/overlays/staging"]
