"""Which command builds the image, and with which arguments; nothing is built."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import image_build  # noqa: E402
import image_root  # noqa: E402


class ImageBuild(unittest.TestCase):
    def test_every_argument_is_one_that_the_dockerfile_knows(self):
        known = re.findall(r"^ARG (\w+)", (image_build.ROOT / "Dockerfile").read_text(), re.MULTILINE)
        self.assertLessEqual(set(image_build.arguments("cpu", base="localhost/base")), set(known))

    def test_a_prebuilt_binary_replaces_the_stages_before_the_last(self):
        command = image_build.command("buildah", "t", {"VERSION": "1"}, Path("/made"))
        self.assertIn("--build-context binaries=/made", " ".join(command))
        self.assertRegex((image_build.ROOT / "Dockerfile").read_text(), r"(?m)^FROM scratch AS binaries$")

    def test_without_a_builder_it_says_what_it_looked_for(self):
        said = io.StringIO()
        with mock.patch.object(image_build.shutil, "which", return_value=None):
            with contextlib.redirect_stderr(said), self.assertRaises(SystemExit):
                image_build.main(["--tag", "x"])
        self.assertIn("none of buildah, podman, docker is installed", said.getvalue())

    def test_outside_of_a_checkout_the_labels_say_that_nothing_is_known(self):
        with mock.patch.object(image_build.subprocess, "run", return_value=mock.Mock(returncode=128)):
            filled_in = image_build.arguments("cpu")
        self.assertEqual((filled_in["REVISION"], filled_in["CREATED"]), ("unknown", "1970-01-01T00:00:00Z"))


class ImageRoot(unittest.TestCase):
    def test_a_binary_that_is_not_there_is_named_with_the_command_that_makes_it(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as said:
            status = image_root.main(["--binary", f"{folder}/tidegate", "--into", f"{folder}/root"])
        self.assertEqual(status, 1)
        self.assertIn("make build", said.getvalue())


if __name__ == "__main__":
    unittest.main()
