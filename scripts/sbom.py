#!/usr/bin/env python3
"""Writes what is inside the image's binary: a bill of materials (CycloneDX 1.6) and the licence texts.

The bill lists the crates that are linked in, Rust's standard library and ONNX Runtime; for CUDA also NVIDIA's libraries.
What the base image brings is not in it: that is described by the base's own package database, which scanners read. There
is no time and no random serial number inside, so the same sources give the same bytes.

    python3 scripts/sbom.py --output tidegate.cdx.json --licences THIRD-PARTY-LICENSES.txt

Needs Python 3.10 or newer and cargo.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import urllib.parse
import uuid
from pathlib import Path

import fetch_cuda
import fetch_onnxruntime
import sbom_licences
from sbom_crates import Crate, SbomError, read

TARGETS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
SOURCE = "https://github.com/tidegate/tidegate"


def document(crates: list[Crate], beside: list[dict]) -> dict:
    """The bill. `crates` begins with the program itself; `beside` are components that cargo does not know."""
    program, *others = crates
    known = {crate.key for crate in crates}
    graph = [{"ref": ref(*crate.key), "dependsOn": sorted(ref(*key) for key in crate.needs & known)} for crate in crates]
    graph[0]["dependsOn"] = sorted([*graph[0]["dependsOn"], *(component["bom-ref"] for component in beside)])
    graph += [{"ref": component["bom-ref"], "dependsOn": []} for component in beside]
    components = sorted([*map(of_crate, others), *beside], key=lambda component: component["bom-ref"])
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**of_crate(program), "type": "application", "name": "tidegate"}},
        "components": components,
        "dependencies": sorted(graph, key=lambda entry: entry["ref"]),
    }
    # The number is made of the content, so it is new exactly when something changed.
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True))}"
    return bill


def ref(name: str, version: str) -> str:
    return f"pkg:cargo/{name}@{version}"


def of_crate(crate: Crate) -> dict:
    component = {
        "type": "library",
        "bom-ref": ref(*crate.key),
        "name": crate.name,
        "version": crate.version,
        "description": crate.description,
        "licenses": [{"expression": crate.licence}],
        "purl": ref(*crate.key),
    }
    if crate.sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": crate.sha256}]
    repository = SOURCE if crate.is_ours else crate.repository
    if repository:
        component["externalReferences"] = [{"type": "vcs", "url": repository}]
    return component


def library(kind: str, name: str, version: str, licence: dict, sha256: str | None = None, url: str = "") -> dict:
    """A component that is no crate; `kind` is the package type of its purl."""
    purl = f"pkg:{kind}/{name}@{urllib.parse.quote(version)}"
    component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "licenses": [licence], "purl": purl}
    if sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    if url:
        component["externalReferences"] = [{"type": "website", "url": url}]
    return component


def beside_the_crates(target: str, variant: str, rust: str) -> list[dict]:
    archives = fetch_onnxruntime.GPU_ARCHIVES if variant == "cuda" else fetch_onnxruntime.ARCHIVES
    archive = fetch_onnxruntime.archive_for("Linux", target.split("-")[0], archives)
    runtime = library(
        *("pypi", archive.package, fetch_onnxruntime.VERSION, {"license": {"id": "MIT"}}),
        sha256=archive.sha256[archive.library],
        url="https://onnxruntime.ai",
    )
    standard = library("generic", "rust-std", rust, {"expression": "MIT OR Apache-2.0"}, url="https://www.rust-lang.org")
    if variant == "cpu":
        return [runtime, standard]
    terms = {"license": {"name": "NVIDIA Software License Agreement", "url": "https://docs.nvidia.com/cuda/eula/"}}
    nvidia = [library("pypi", name, version, terms) for name, version in fetch_cuda.pinned().items()]
    # cuDNN needs it, the base has none: `image_root.py` takes the builder's.
    zlib = library("deb", "debian/zlib1g", debian_version("zlib1g"), {"license": {"id": "Zlib"}}, url="https://zlib.net")
    return [runtime, standard, *nvidia, zlib]


def rust_version() -> str:
    return subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def debian_version(package: str) -> str:
    command = ["dpkg-query", "--show", "--showformat=${Version}", package]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise SbomError(f"{package}: its version is not known, and it would be in the image for CUDA: {error}") from None


def host_target() -> str:
    return platform.machine().replace("arm64", "aarch64") + "-unknown-linux-gnu"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Writes the bill of materials of the gateway and its licence texts.")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the bill, as CycloneDX JSON")
    parser.add_argument("--licences", type=Path, metavar="FILE", help="the licence texts, as one text file")
    parser.add_argument("--variant", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--target", choices=TARGETS, default=host_target())
    options = parser.parse_args(arguments)
    try:
        crates = read(options.target)
        bill = document(crates, beside_the_crates(options.target, options.variant, rust_version()))
        texts = sbom_licences.texts(crates)
    except (SbomError, fetch_onnxruntime.FetchError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    options.output.write_text(json.dumps(bill, indent=1) + "\n")
    if options.licences:
        options.licences.write_text(texts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
