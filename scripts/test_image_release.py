"""What a release is built with, and when it is refused; no image is touched."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import image_build  # noqa: E402
import image_release  # noqa: E402


class Given(unittest.TestCase):
    def test_the_tag_has_to_be_the_version_of_the_crates(self):
        with self.assertRaisesRegex(image_release.ReleaseError, f"expected the tag v{image_build.version()}"):
            image_release.given("v99.0.0", "cpu")

    def test_variants_are_told_apart_by_their_tag(self):
        version = image_build.version()
        self.assertTrue(image_release.given(f"v{version}", "cpu").endswith(f"\ntag={version}"))
        self.assertTrue(image_release.given(f"v{version}", "cuda").endswith(f"\ntag={version}-cuda"))

    def test_the_arguments_are_one_output_of_many_lines(self):
        lines = image_release.given(f"v{image_build.version()}", "cuda").splitlines()
        self.assertEqual((lines[0], lines[1]), ("arguments<<END", "VARIANT=cuda"))
        self.assertIn("END", lines)


if __name__ == "__main__":
    unittest.main()
