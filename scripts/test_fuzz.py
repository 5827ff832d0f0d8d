"""What fuzz.py says and runs, without building anything."""

import contextlib
import io
import re
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import fuzz  # noqa: E402


class Fuzz(unittest.TestCase):
    def test_every_target_is_a_program_of_the_crate_and_the_other_way_round(self):
        manifest = (fuzz.ROOT / "fuzz" / "Cargo.toml").read_text()
        programs = re.findall(r'^\[\[bin\]\]\nname = "([^"]+)"\npath = "targets/([^"]+)\.rs"$', manifest, re.MULTILINE)
        self.assertEqual(sorted(name for name, _ in programs), fuzz.targets())
        for name, path in programs:
            self.assertEqual(name, path.replace("_", "-"))

    def test_without_a_compiler_it_says_so_and_runs_nothing(self):
        said = io.StringIO()
        with mock.patch.object(fuzz.shutil, "which", return_value=None), mock.patch.object(fuzz, "build") as build:
            with contextlib.redirect_stdout(said):
                self.assertEqual(fuzz.main([]), 0)
        build.assert_not_called()
        self.assertIn("skipped", said.getvalue())

    def test_an_unknown_target_is_refused(self):
        with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit):
            fuzz.main(["nope"])
        self.assertIn("no target 'nope'", said.getvalue())

    def test_a_run_is_bounded_and_begins_with_the_golden_vectors(self):
        line = fuzz.command(Path("p"), Path("c"), fuzz.ROOT, Path("a"), 7)
        self.assertEqual(line[0], "p")
        self.assertIn("-max_total_time=7", line)
        self.assertEqual(line[-2:], ["c", str(fuzz.ROOT)])
        self.assertEqual(fuzz.command(Path("p"), Path("c"), Path("/nowhere"), Path("a"), 7)[-1], "c")

    def test_a_broken_target_fails_the_run_with_what_it_said(self):
        for status, fine in ((0, True), (77, False)):
            done = mock.Mock(returncode=status, stdout="", stderr="stat::number_of_executed_units: 12\nboom")
            said = io.StringIO()
            with mock.patch.object(fuzz.subprocess, "run", return_value=done), contextlib.redirect_stdout(said):
                with mock.patch.object(Path, "mkdir"):
                    self.assertEqual(fuzz.run("v2-json", Path("p"), 1), fine)
            self.assertIn("12 inputs" if fine else "boom", said.getvalue())


if __name__ == "__main__":
    unittest.main()
