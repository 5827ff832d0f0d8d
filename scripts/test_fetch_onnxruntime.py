"""Claims about `fetch_onnxruntime.py`, checked on a made-up wheel in a temporary folder; no network."""

from __future__ import annotations

import hashlib
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import fetch_onnxruntime as fetch

CONTENT = b"a library" * 1000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Provide(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name) / "ort"
        self.archive = fetch.Archive("made_up", "lib.so", {"lib.so": sha256(CONTENT), "shared.so": sha256(b"shared")})
        self.downloads = 0

    def download(self, content: bytes = CONTENT):
        def write_wheel(archive: fetch.Archive, into: Path) -> Path:
            self.downloads += 1
            wheel = into / "made_up.whl"
            with zipfile.ZipFile(wheel, "w") as opened:
                for name in fetch.LICENCE_FILES:
                    opened.writestr(f"onnxruntime/{name}", "a licence")
                opened.writestr("onnxruntime/capi/lib.so", content)
                opened.writestr("onnxruntime/capi/shared.so", b"shared")
            return wheel

        return write_wheel

    def provide(self, content: bytes = CONTENT) -> bool:
        return fetch.provide(self.folder, self.archive, self.download(content))

    def test_a_first_run_brings_library_and_licences_and_leaves_no_scratch(self):
        self.assertTrue(self.provide())
        self.assertEqual((self.folder / "lib.so").read_bytes(), CONTENT)
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, ["LICENSE", "ThirdPartyNotices.txt", "lib.so", "shared.so"])

    def test_a_second_run_downloads_nothing(self):
        self.provide()
        self.assertFalse(self.provide())
        self.assertEqual(self.downloads, 1)

    def test_a_truncated_library_is_replaced(self):
        self.provide()
        (self.folder / "lib.so").write_bytes(CONTENT[:100])
        self.assertTrue(self.provide())
        self.assertEqual((self.folder / "lib.so").read_bytes(), CONTENT)

    def test_a_lost_licence_file_is_brought_back(self):
        self.provide()
        (self.folder / "LICENSE").unlink()
        self.assertTrue(self.provide())
        self.assertTrue((self.folder / "LICENSE").exists())

    def test_a_wheel_with_the_wrong_library_is_refused_and_nothing_is_installed(self):
        with self.assertRaisesRegex(fetch.FetchError, f"expected {sha256(CONTENT)}"):
            self.provide(b"something else")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_damaged_wheel_is_refused(self):
        def write_noise(archive: fetch.Archive, into: Path) -> Path:
            wheel = into / "made_up.whl"
            wheel.write_bytes(b"not a zip file")
            return wheel

        with self.assertRaisesRegex(fetch.FetchError, "damaged"):
            fetch.provide(self.folder, self.archive, write_noise)

    def test_a_folder_that_cannot_be_made_is_named(self):
        self.folder.write_text("a file is in the way")
        with self.assertRaisesRegex(fetch.FetchError, f"cannot write {self.folder}"):
            self.provide()

    def test_a_python_without_pip_is_told_how_to_get_it(self):
        with mock.patch("importlib.util.find_spec", return_value=None):
            with self.assertRaisesRegex(fetch.FetchError, "ensurepip"):
                fetch.provide(self.folder, self.archive)

    def test_pip_is_asked_for_the_package_that_the_archive_names(self):
        failed = mock.Mock(returncode=1, stdout="", stderr="")
        with mock.patch("subprocess.run", return_value=failed) as run:
            with self.assertRaises(fetch.FetchError):
                fetch.provide(self.folder, fetch.GPU_ARCHIVES["Linux", "x86_64"])
        self.assertEqual(run.call_args.args[0][-1], f"onnxruntime-gpu=={fetch.VERSION}")

    def test_what_pip_complains_about_is_passed_on_in_one_line(self):
        failed = mock.Mock(returncode=1, stdout="", stderr="WARNING: x\nERROR: No matching distribution\n")
        with mock.patch("subprocess.run", return_value=failed):
            with self.assertRaises(fetch.FetchError) as raised:
                fetch.provide(self.folder, self.archive)
        self.assertIn("ERROR: No matching distribution", str(raised.exception))
        self.assertNotIn("\n", str(raised.exception))


class ArchiveFor(unittest.TestCase):
    def test_other_spellings_of_a_machine_are_understood(self):
        self.assertIs(fetch.archive_for("Linux", "AMD64"), fetch.ARCHIVES["Linux", "x86_64"])
        self.assertIs(fetch.archive_for("Linux", "arm64"), fetch.ARCHIVES["Linux", "aarch64"])

    def test_an_unknown_platform_is_named_with_the_way_out(self):
        with self.assertRaisesRegex(fetch.FetchError, "Plan9 mips.*ORT_DYLIB_PATH"):
            fetch.archive_for("Plan9", "mips")

    def test_there_is_no_build_for_cuda_where_there_is_no_cuda(self):
        with self.assertRaisesRegex(fetch.FetchError, "Darwin arm64.*known: Linux x86_64"):
            fetch.archive_for("Darwin", "arm64", fetch.GPU_ARCHIVES)

    def test_the_builds_for_cpu_and_cuda_never_share_a_folder_or_a_hash(self):
        cpu, gpu = fetch.ARCHIVES["Linux", "x86_64"], fetch.GPU_ARCHIVES["Linux", "x86_64"]
        self.assertNotEqual(cpu.default_folder, gpu.default_folder)
        self.assertNotEqual(cpu.sha256[cpu.library], gpu.sha256[gpu.library])

    def test_every_archive_pins_its_own_library(self):
        for archive in (*fetch.ARCHIVES.values(), *fetch.GPU_ARCHIVES.values()):
            self.assertIn(archive.library, archive.sha256)
            self.assertEqual(list(archive.members())[-1], archive.library)


if __name__ == "__main__":
    unittest.main()
