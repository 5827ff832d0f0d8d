"""When a stage is due, on stages of a few lines: contents count, and times do not."""

from __future__ import annotations

import importlib
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from keras_cnn.stage import Stage, StageError, Workshop

DOUGH = Stage("dough", "mixes", settings=("flour",))
BREAD = Stage("bread", "bakes", ("dough",), ("heat",))
SHARED = "def mixed(flour):\n    return flour % 10\n"
DOUGH_CODE = """
from {package}.shared import mixed
def make(into, made, settings):
    (into / "dough").write_text(str(mixed(settings.flour)))
"""
BREAD_CODE = """
def make(into, made, settings):
    (into / "bread").write_text((made["dough"] / "dough").read_text() + str(settings.heat))
"""
FAILING_CODE = """
def make(into, made, settings):
    (into / "bread").write_text("burnt")
    raise OSError
"""
numbers = itertools.count()


@dataclass
class Kitchen:
    flour: int = 1
    heat: int = 200
    radio: str = "off"


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Workshop:
    """Two stages in a package of their own, both made."""
    package = f"bakery{next(numbers)}"
    code = tmp_path / package
    code.mkdir()
    for name, text in (("shared", SHARED), ("dough", DOUGH_CODE), ("bread", BREAD_CODE), ("__init__", "")):
        (code / f"{name}.py").write_text(text.format(package=package))
    (tmp_path / "pins").write_text("oven==1\n")
    monkeypatch.syspath_prepend(tmp_path)
    shop = Workshop(tmp_path / "work", package, Kitchen(), tmp_path / "pins")
    shop.make(DOUGH)
    shop.make(BREAD)
    assert due(shop) == []
    return shop


def due(shop: Workshop) -> list[str]:
    return [stage.name for stage in (DOUGH, BREAD) if shop.is_due(stage)]


def code(shop: Workshop, name: str) -> Path:
    return shop.folder.parent / shop.package / f"{name}.py"


def replace_module(shop: Workshop, name: str, text: str) -> None:
    code(shop, name).write_text(text)
    sys.modules.pop(f"{shop.package}.{name}", None)
    importlib.invalidate_caches()


def test_a_setting_that_a_stage_names_makes_it_due_and_others_do_not(shop):
    shop.settings.radio = "on"
    assert due(shop) == []
    shop.settings.heat = 250
    assert due(shop) == ["bread"]


def test_what_is_made_again_and_comes_out_the_same_makes_nobody_else_due(shop):
    shop.settings.flour = 11
    assert due(shop) == ["dough"]
    shop.make(DOUGH)
    assert due(shop) == []
    shop.settings.flour = 12
    shop.make(DOUGH)
    assert due(shop) == ["bread"]


def test_code_that_a_stage_imports_makes_it_due(shop):
    code(shop, "shared").write_text(SHARED + "# Another word.\n")
    assert due(shop) == ["dough"]


def test_other_pins_make_everything_due(shop):
    shop.pins.write_text("oven==2\n")
    assert due(shop) == ["dough", "bread"]


def test_a_file_that_was_changed_lost_or_added_makes_its_stage_due(shop):
    file = shop.place("dough") / "dough"
    file.write_text("7")
    assert due(shop) == ["dough", "bread"]
    file.unlink()
    assert due(shop) == ["dough", "bread"]
    shop.make(DOUGH)
    assert due(shop) == []
    (shop.place("dough") / "raisins").write_text("")
    assert due(shop) == ["dough", "bread"]


@pytest.mark.parametrize("stamp", ["", "{", "[]", '{"key": 1}', '{"key": "k", "files": {}, "seconds": 1}'])
def test_a_spoilt_stamp_makes_its_stage_due(shop, stamp):
    (shop.place("bread") / "stamp.json").write_text(stamp)
    assert due(shop) == ["bread"]


def test_a_stage_that_fails_leaves_what_was_published_as_it_was(shop):
    replace_module(shop, "bread", FAILING_CODE)
    before = (shop.place("bread") / "bread").read_text()
    with pytest.raises(OSError):
        shop.make(BREAD)
    assert (shop.place("bread") / "bread").read_text() == before
    assert due(shop) == ["bread"]


def test_a_stage_without_what_it_needs_names_who_makes_it(shop):
    (shop.place("dough") / "stamp.json").unlink()
    with pytest.raises(StageError, match=r"bread needs what dough makes.*pipeline.py dough"):
        shop.make(BREAD)


def test_a_stage_is_made_by_one_run_at_a_time(shop):
    with shop.alone(BREAD), pytest.raises(StageError, match="being made .* by another run"):
        shop.make(BREAD)


def test_a_stage_with_work_outside_is_due_when_that_is_gone(shop, monkeypatch):
    outside = Stage("bread", "bakes", ("dough",), ("heat",), outside=True)
    module = shop.module(outside)
    monkeypatch.setattr(module, "still_true", lambda folder, settings: True, raising=False)
    assert not shop.is_due(outside)
    monkeypatch.setattr(module, "still_true", lambda folder, settings: False)
    assert shop.is_due(outside)
