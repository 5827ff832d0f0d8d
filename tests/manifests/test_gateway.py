"""The manifests against the gateway itself: variables, flags, files and probes are those that it knows."""

from __future__ import annotations

import base64
import re
import shutil

import pytest

import toml_reader
from gateway import REPOSITORY, environment, serving, tidegate
from rendered import ROOT, containers, examples, load

# Of other programs in the same pods.
FOREIGN = {"docker.io/library/busybox"}


def images(manifests):
    for pod, _, spec in manifests.pods():
        for container in containers(spec):
            name, _, tag = container["image"].partition(":")
            yield pod, name, tag


def test_images_are_of_this_version(variant):
    version = toml_reader.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    name, manifests = variant
    expected = version + ("-cuda" if name == "gpu" else "")
    assert {(image, tag) for _, image, tag in images(manifests)} == {("ghcr.io/tidegate/tidegate", expected)}
    for example in examples().values():
        for pod, image, tag in images(example):
            assert image in FOREIGN or (image, tag) == ("ghcr.io/tidegate/tidegate", version), pod


def test_variables_are_known(variant):
    _, manifests = variant
    known = set(re.findall(r"\[env: (\w+)\]", tidegate("serve", "--help").stdout))
    (container,) = manifests.gateway()["spec"]["template"]["spec"]["containers"]
    assert {one["name"] for one in container["env"]} - known == set()


@pytest.mark.parametrize("example", [name for name, found in examples().items() if found.of("Pod")])
def test_commands_of_examples_are_known(example):
    """The words are the command line's own, and so are the variables."""
    (pod,) = examples()[example].of("Pod")
    (container,) = pod["spec"]["containers"]
    asked = tidegate(*container["args"][:2], "--help")
    assert asked.returncode == 0, asked.stderr
    for word in container["args"][2:]:
        assert not word.startswith("--") or re.search(rf"^\s+{word} ", asked.stdout, re.MULTILINE), word
    for variable in container["env"]:
        assert f"[env: {variable['name']}]" in asked.stdout, variable


def test_the_configuration_is_good(variant, tmp_path):
    _, manifests = variant
    done = tidegate("check-config", environment=environment(manifests, tmp_path))
    assert done.returncode == 0, done.stderr


def test_a_mistake_in_the_configuration_is_found(production, tmp_path):
    variables = environment(production, tmp_path)
    (tmp_path / "tidegate.toml").write_text("[limits]\nmax_bytes = 1\n")
    done = tidegate("check-config", environment=variables)
    assert done.returncode == 2 and "max_bytes" in done.stderr


def test_probes_and_keys_answer_as_the_manifests_expect(production, tmp_path):
    """An empty volume: live at once, not ready, and ready when the first version is there."""
    repository = tmp_path / "models"
    repository.mkdir()
    with serving(tmp_path, environment(production, tmp_path, repository)) as gateway:
        assert gateway.ask("admin", "/livez")[0] == 200
        assert gateway.ask("admin", "/readyz")[0] == 503
        shutil.copytree(REPOSITORY / "digits" / "1", repository / ".incoming")
        (repository / "digits").mkdir()
        (repository / ".incoming").rename(repository / "digits" / "1")
        gateway.until(lambda: gateway.ask("admin", "/readyz")[0] == 200)
        question = (ROOT / "examples" / "digits" / "samples" / "seven.json").read_bytes()
        assert gateway.ask("data", "/predict", body=question)[0] == 401
        assert gateway.ask("data", "/predict", "dev-only-not-a-secret", question)[0] == 200
        # The scraper's key is for scraping, and metrics are on the admin port alone.
        assert gateway.ask("admin", "/metrics")[0] == 401
        assert gateway.ask("admin", "/metrics", "dev-only-scrape-token")[0] == 200
        assert gateway.ask("admin", "/admin/v1/models", "dev-only-scrape-token")[0] == 403
        assert gateway.ask("data", "/metrics", "dev-only-not-a-secret")[0] == 404


def test_the_token_for_scraping_is_in_the_file_of_keys(rendered_text):
    data = load(rendered_text("dev")).named("Secret", "tidegate-api-key")["data"]
    keys, token = (base64.b64decode(data[name]).decode() for name in ("api_key", "scrape_token"))
    assert ["scraper", token, "metrics"] in [line.split() for line in keys.splitlines()]
