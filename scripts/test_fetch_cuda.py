"""Claims about `fetch_cuda.py`, checked on made-up wheels in a temporary folder; no network."""

from __future__ import annotations

import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import fetch_cuda as fetch  # noqa: E402


def write_wheel(into: Path) -> list[Path]:
    wheel = into / "nvidia_made_up-13.0-py3-none-manylinux_2_27_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        for member in (
            "nvidia/cu13/lib/libmade.so.13",
            "nvidia/cu13/lib/libnvblas.so.13",
            "nvidia/cu13/include/made.h",
            "nvidia_made_up-13.0.dist-info/licenses/License.txt",
        ):
            opened.writestr(member, member)
    return [wheel]


class FetchCuda(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name) / "cuda"

    def test_libraries_and_the_licence_are_kept_and_nothing_else(self):
        self.assertTrue(fetch.provide(self.folder, write_wheel))
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, ["LICENSE.nvidia-made-up.txt", "libmade.so.13", "packages.txt"])

    def test_a_second_run_downloads_nothing(self):
        fetch.provide(self.folder, write_wheel)
        self.assertFalse(fetch.provide(self.folder, lambda into: self.fail("it downloads")))

    def test_other_pins_than_the_last_ones_are_fetched(self):
        fetch.provide(self.folder, write_wheel)
        (self.folder / "packages.txt").write_text("nvidia-made-up==12.0\n")
        self.assertTrue(fetch.provide(self.folder, write_wheel))

    def test_every_requirement_is_pinned_to_a_version_and_a_hash(self):
        lines = [line for line in fetch.REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
        self.assertEqual(len(fetch.pinned()), len(lines))
        self.assertIn("nvidia-cudnn-cu13", fetch.pinned())


if __name__ == "__main__":
    unittest.main()
