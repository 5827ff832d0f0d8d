"""The variants of the manifests, each rendered once for the whole run."""

from __future__ import annotations

import pytest

from rendered import VARIANTS, Manifests, load, render_variant


@pytest.fixture(scope="session")
def rendered_text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    return lambda name: render_variant(name, folder / name.replace(" ", "-"))


@pytest.fixture(params=list(VARIANTS))
def variant(request, rendered_text) -> tuple[str, Manifests]:
    """Its name and its objects."""
    return request.param, load(rendered_text(request.param))


@pytest.fixture
def everything(rendered_text) -> Manifests:
    return load(rendered_text("production with all components"))


@pytest.fixture
def production(rendered_text) -> Manifests:
    return load(rendered_text("production"))
