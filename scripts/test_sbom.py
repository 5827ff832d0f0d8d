"""Claims about the bill of materials and the licence texts, on made-up crates; cargo is not asked."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import sbom  # noqa: E402
import sbom_crates  # noqa: E402
import sbom_licences  # noqa: E402

TREE = """0|tidegate-gateway v0.1.0 (/source/crates/gateway)
1|bytes v1.0.0
1|hyper v1.2.0
2|bytes v1.0.0
2|http v1.1.0
1|http v1.1.0
"""


def package(name: str, version: str, **other) -> dict:
    path = f"/nowhere/{name}/Cargo.toml"
    known = {"license": "MIT", "description": None, "repository": None, "source": "registry", "manifest_path": path}
    return {"name": name, "version": version, **known, **other}


class Crates(unittest.TestCase):
    def test_the_tree_says_who_needs_whom(self):
        tree = sbom_crates.parse_tree(TREE)
        self.assertEqual(next(iter(tree)), ("tidegate-gateway", "0.1.0"))
        self.assertEqual(tree["hyper", "1.2.0"], {("bytes", "1.0.0"), ("http", "1.1.0")})
        self.assertEqual(tree["http", "1.1.0"], set())

    def test_a_crate_without_a_licence_stops_everything_and_is_named(self):
        with self.assertRaisesRegex(sbom_crates.SbomError, "no licence expression: b 2.0"):
            sbom_crates.join({("a", "1.0"): set(), ("b", "2.0"): set()}, [package("a", "1.0"), package("b", "2.0", license=None)], {})

    def test_crates_that_are_not_in_the_tree_are_left_out(self):
        crates = sbom_crates.join({("a", "1.0"): set()}, [package("a", "1.0"), package("only-tests", "1.0")], {})
        self.assertEqual([crate.name for crate in crates], ["a"])

    def test_an_old_slash_means_or(self):
        self.assertEqual(sbom_crates.expression("MIT/Apache-2.0"), "MIT OR Apache-2.0")
        self.assertEqual(sbom_crates.expression("Apache-2.0 / MIT"), "Apache-2.0 OR MIT")

    def test_hashes_come_from_the_lock_file(self):
        lock = f'[[package]]\nname = "fnv"\nversion = "1.0.7"\nsource = "registry"\nchecksum = "{"a" * 64}"\n'
        self.assertEqual(sbom_crates.locked_hashes(lock), {("fnv", "1.0.7"): "a" * 64})


class Document(unittest.TestCase):
    def setUp(self):
        packages = [package(name, version) for name, version in (("hyper", "1.2.0"), ("http", "1.1.0"), ("bytes", "1.0.0"))]
        ours = package("tidegate-gateway", "0.1.0", source=None, license="Apache-2.0")
        self.crates = sbom_crates.join(sbom_crates.parse_tree(TREE), [ours, *packages], {("hyper", "1.2.0"): "f" * 64})
        self.beside = [sbom.library("pypi", "onnxruntime", "1.0", {"license": {"id": "MIT"}}, sha256="e" * 64)]
        self.bill = sbom.document(self.crates, self.beside)

    def test_everything_but_the_program_itself_is_a_component(self):
        names = [component["name"] for component in self.bill["components"]]
        self.assertEqual(names, ["bytes", "http", "hyper", "onnxruntime"])
        self.assertEqual(self.bill["metadata"]["component"]["name"], "tidegate")

    def test_every_reference_leads_somewhere(self):
        known = {component["bom-ref"] for component in (*self.bill["components"], self.bill["metadata"]["component"])}
        self.assertEqual({entry["ref"] for entry in self.bill["dependencies"]}, known)
        self.assertLessEqual({ref for entry in self.bill["dependencies"] for ref in entry["dependsOn"]}, known)

    def test_the_program_depends_on_what_cargo_does_not_know(self):
        program = next(entry for entry in self.bill["dependencies"] if "tidegate-gateway" in entry["ref"])
        self.assertIn("pkg:pypi/onnxruntime@1.0", program["dependsOn"])

    def test_the_same_content_gives_the_same_bytes_and_other_content_another_number(self):
        self.assertEqual(sbom.document(self.crates, self.beside), self.bill)
        self.assertNotEqual(sbom.document(self.crates, [])["serialNumber"], self.bill["serialNumber"])


class Licences(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def crate(self, name: str, files: dict[str, str], repository: str = "") -> sbom_crates.Crate:
        folder = self.folder / name
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        folder.mkdir(exist_ok=True)
        return sbom_crates.Crate(name, "1.0", "MIT", folder, repository=repository)

    def test_a_text_that_many_share_stands_once_below_all_of_them(self):
        crates = [self.crate("a", {"LICENSE-MIT": "take it"}), self.crate("b", {"LICENSE": "take  it\n"})]
        texts = sbom_licences.texts(crates)
        self.assertEqual(texts.count("take it"), 1)
        self.assertIn("a 1.0 (MIT)\nb 1.0 (MIT)\n", texts)

    def test_the_licence_of_c_sources_inside_a_crate_is_there(self):
        self.assertIn("of the library", sbom_licences.texts([self.crate("a", {"LICENSE": "ours", "c/lib/LICENSE": "of the library"})]))

    def test_a_crate_without_a_text_takes_that_of_its_neighbour(self):
        crates = [self.crate("tool", {"LICENSE": "of the project"}, "its-home"), self.crate("tool-extra", {}, "its-home")]
        self.assertIn("tool-extra 1.0", sbom_licences.texts(crates))

    def test_a_crate_without_a_text_and_a_neighbour_is_an_error(self):
        with self.assertRaisesRegex(sbom_crates.SbomError, "lonely 1.0 carries no licence text"):
            sbom_licences.texts([self.crate("lonely", {}, "its-home")])


if __name__ == "__main__":
    unittest.main()
