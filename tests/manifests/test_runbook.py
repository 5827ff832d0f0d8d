"""docs/deploy.md, followed by the real kubectl against a stand-in for a cluster (stand_in/): every command is typed as it
stands there, ends well, and leaves what the page says. Commands that need containers are listed in runbook.py, each with its
reason; where the page goes on from what they do, `Walk.instead` does it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import toml_reader
from gateway import environment, tidegate
from rendered import K8S, ROOT, VARIANTS, Manifests, examples, kubectl, load
from runbook import CANNOT_RUN, RUN, Shell, commands, may_run, parts
from stand_in.kinds import resources_of
from stand_in.server import ApiServer, Request, listening
from stand_in.world import World

PAGE = (ROOT / "docs" / "deploy.md").read_text()
TRAFFIC = "k8s/overlays/production/traffic.toml"
LAYER = "tidegate.io/layer"


@dataclass
class Step:
    command: str
    status: int
    output: str
    asked: list[Request]
    before: dict
    after: dict

    def changed(self) -> list[dict]:
        return [one for key, one in self.after.items() if self.before.get(key) != one]

    def named(self, kind: str, name: str, namespace: str = "tidegate") -> dict | None:
        found = [one for key, one in self.after.items() if (key[0].kind, *key[1:]) == (kind, namespace, name)]
        return found[0] if found else None


@dataclass
class Walk:
    """One reader at one cluster, with a copy of k8s/ to edit."""

    folder: Path
    api: ApiServer
    world: World
    shell: Shell
    steps: list[Step] = field(default_factory=list)

    def follow(self, page: str) -> None:
        for command in commands(page):
            self.prepare(page, command)
            if may_run(command):
                self.type(command)
            else:
                self.instead(command)

    def prepare(self, page: str, command: str) -> None:
        """What the page tells in prose: the split is edited before it is applied, a release is a change of the image."""
        if f"{LAYER}=traffic" in command:
            (split,) = re.findall(rf"```toml\n# {TRAFFIC}\n(.*?)```", page, re.DOTALL)
            (self.folder / TRAFFIC).write_text(split)
        if f"{LAYER}=workload" in command:
            release(self.folder)

    def instead(self, command: str) -> None:
        if command.endswith("touch /incoming/complete"):
            self.world.file_complete = True

    def type(self, command: str) -> Step:
        store, asked = self.api.store, len(self.api.asked)
        before = dict(store.objects)
        status, output = self.shell.type(command)
        self.steps.append(Step(command, status, output, self.api.asked[asked:], before, dict(store.objects)))
        assert status == 0, f"{command}\n{output}"
        return self.steps[-1]

    def step(self, start: str) -> Step:
        return next(one for one in self.steps if one.command.startswith(start))


def release(folder: Path) -> None:
    """Another image, and another size of batches: the ConfigMap of the name with a hash changes, too."""
    for file, old, new in (
        ("overlays/production/kustomization.yaml", "newTag: 0.1.0", "newTag: 0.2.0"),
        ("base/kustomization.yaml", "max_batch_size=64", "max_batch_size=32"),
    ):
        text = (folder / "k8s" / file).read_text()
        assert old in text, f"{file} has no {old!r} to change"
        (folder / "k8s" / file).write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def known(rendered_text):
    """The kinds of everything that is applied."""
    manifests = [load(rendered_text(name)) for name in VARIANTS] + list(examples().values())
    return resources_of(one for found in manifests for one in found.objects)


@contextmanager
def reader(folder: Path, known):
    kubectl()
    shutil.copytree(K8S, folder / "k8s")
    api = ApiServer(known)
    world = World(api)
    for namespace in ("default", "kube-system", "ingress-nginx"):
        world.namespace(namespace)
    with listening(api) as address:
        config = folder / "kubeconfig"
        config.write_text(json.dumps(kubeconfig(address)))
        names = {"KUBECONFIG": str(config), "HOME": str(folder), "KUBECACHEDIR": str(folder / "cache")}
        with Shell(folder, names) as shell:
            yield Walk(folder, api, world, shell)


def kubeconfig(address: str) -> dict:
    return {
        **{"apiVersion": "v1", "kind": "Config", "current-context": "stand-in"},
        "clusters": [{"name": "stand-in", "cluster": {"server": address}}],
        "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "reader"}}],
        "users": [{"name": "reader", "user": {}}],
    }


@pytest.fixture
def fresh(tmp_path, known):
    with reader(tmp_path, known) as walk:
        yield walk


@pytest.fixture(scope="module")
def followed(tmp_path_factory, known):
    """The whole page, once."""
    with reader(tmp_path_factory.mktemp("runbook"), known) as walk:
        walk.follow(PAGE)
        yield walk


def test_every_command_of_the_page_runs_or_has_a_reason_why_not():
    found = commands(PAGE)
    assert found and all(may_run(command) in (True, False) for command in found)
    programs = {part for command in found if not re.match(r"\w+[=(]", command) for part in parts(command)}
    assert (RUN | CANNOT_RUN.keys()) - programs == set(), "listed, and no longer on the page"


def test_every_command_ends_well(followed):
    expected = [command for command in commands(PAGE) if may_run(command)]
    assert [step.command for step in followed.steps] == expected
    for step in followed.steps:
        assert not re.search("warning|deprecated|no resources found", step.output, re.IGNORECASE), step


