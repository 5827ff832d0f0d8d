"""What is in the image, and what is not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from conftest import image_build
from engine import Engine

MEGABYTE = 1_000_000
# Bytes unpacked and as a registry keeps them. Measured (docs/image.md): 66 and 26 MB, for CUDA 2508 and 1602 MB.
LARGEST = {"cpu": (80 * MEGABYTE, 32 * MEGABYTE), "cuda": (2700 * MEGABYTE, 1750 * MEGABYTE)}
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "busybox", "toybox", "perl", "python3", "apt", "dpkg", "apk"}


def programs(root: Path) -> set[str]:
    """Whatever can be started: machine code other than libraries and the loader, and shells by whatever kind of file.

    A script of another sort is only text here, because what would interpret it is not there.
    """
    found = set()
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            if path.name in SHELLS or (is_machine_code(path) and not re.search(r"\.so(\.[\w.]+)?$", path.name)):
                found.add(str(path.relative_to(root)))
    return found


def is_machine_code(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def needed(library: Path) -> set[str]:
    dynamic = subprocess.run(["readelf", "--dynamic", str(library)], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic))


def configuration(engine: Engine, image: str) -> dict:
    return json.loads(engine.ask("image", "inspect", image))[0]


def test_the_gateway_is_the_only_program(files: Path):
    assert programs(files) == {"usr/local/bin/tidegate"}


def test_a_shell_would_have_been_found(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    shutil.copy("/bin/sh", tmp_path / "bin" / "renamed")
    (tmp_path / "bin" / "sh").symlink_to("renamed")
    assert programs(tmp_path) == {"bin/renamed", "bin/sh"}


def test_a_shell_cannot_be_started(engine: Engine, image: str):
    outcome = engine.call("run", "--rm", "--entrypoint", "/bin/sh", image, "-c", "true")
    assert outcome.returncode == 127, outcome.stderr


def test_nobody_but_root_owns_or_writes_anything_but_the_state_folder(files: Path):
    ours = [files / "usr/local", files / "usr/share/doc/tidegate", files / "models", files / "etc/tidegate"]
    paths = [path for top in ours for path in (top, *top.rglob("*")) if not path.is_symlink()]
    assert [path for path in paths if path.stat().st_uid != 0 or path.stat().st_mode & 0o022] == []
    assert (files / "var/lib/tidegate").stat().st_mode & 0o7777 == 0o1777


def test_the_user_is_a_number_and_not_root(engine: Engine, image: str):
    assert configuration(engine, image)["Config"]["User"] == "65532:65532"


def test_the_environment_and_the_ports_are_those_that_manifests_rely_on(engine: Engine, image: str):
    config = configuration(engine, image)["Config"]
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    assert environment["MODEL_BASE_PATH"] == "/models"
    assert environment["TIDEGATE_STATE"] == "/var/lib/tidegate"
    assert environment["TIDEGATE_DATA_ADDRESS"] == "0.0.0.0:8500,0.0.0.0:8501"
    assert environment["TIDEGATE_ADMIN_ADDRESS"] == "0.0.0.0:8502"
    assert set(config["ExposedPorts"]) == {"8500/tcp", "8501/tcp", "8502/tcp"}
    assert config["Entrypoint"] == ["/usr/local/bin/tidegate"] and config["Cmd"] == ["serve"]
    assert not config.get("Volumes")


def test_the_health_check_is_the_binary_itself(engine: Engine, image: str):
    assert configuration(engine, image)["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/tidegate", "probe"]


def test_the_labels_say_what_it_is_and_where_it_comes_from(engine: Engine, image: str):
    labels = configuration(engine, image)["Labels"]
    said = {name: labels.get(f"org.opencontainers.image.{name}") for name in ("title", "version", "licenses", "source")}
    assert said == {
        "title": "Tidegate",
        "version": image_build.version(),
        "licenses": "Apache-2.0",
        "source": "https://github.com/tidegate/tidegate",
    }
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", labels["org.opencontainers.image.revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"])


def test_the_licences_of_everything_inside_are_there(files: Path):
    documents = files / "usr/share/doc/tidegate"
    assert "Apache License" in (documents / "LICENSE").read_text()
    assert "MIT License" in (documents / "onnxruntime/LICENSE").read_text()
    assert (documents / "onnxruntime/ThirdPartyNotices.txt").stat().st_size > 100_000
    assert (documents / "rust/COPYRIGHT-library.html").stat().st_size > 100_000
    texts = (documents / "THIRD-PARTY-LICENSES.txt").read_text()
    bill = json.loads((files / "usr/share/sbom/tidegate.cdx.json").read_text())
    crates = [part for part in bill["components"] if part["purl"].startswith("pkg:cargo/") and "hashes" in part]
    assert len(crates) > 50
    assert [crate["purl"] for crate in crates if f"\n{crate['name']} {crate['version']} (" not in texts] == []


def test_whatever_the_binary_and_its_libraries_need_is_there(files: Path):
    ours = [files / "usr/local/bin/tidegate", *(files / "usr/local/lib").glob("*.so*")]
    there = {path.name for path in files.rglob("*.so*")}
    missing = {path.name: needed(path) - there for path in ours}
    # The driver's own library is put there by the machine that has a GPU.
    assert {name: libraries for name, libraries in missing.items() if libraries - {"libcuda.so.1"}} == {}


def test_the_binary_is_stripped(files: Path):
    # `.symtab` is the section that strip removes; its name would stand in the table of sections' names.
    assert b"\0.symtab\0" not in (files / "usr/local/bin/tidegate").read_bytes()


def test_the_sizes_are_within_what_the_documentation_promises(engine: Engine, image: str, files: Path):
    variant = "cuda" if (files / "usr/local/lib/libonnxruntime_providers_cuda.so").exists() else "cpu"
    size, compressed = configuration(engine, image)["Size"], engine.compressed_size(image)
    print(f"{size / MEGABYTE:.1f} MB, {compressed / MEGABYTE:.1f} MB compressed")
    largest, largest_compressed = LARGEST[variant]
    assert size <= largest
    assert compressed <= largest_compressed
