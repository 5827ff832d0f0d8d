"""Claims about what the pipelines' scripts decide; no cluster and no gateway is asked."""

from __future__ import annotations

import argparse
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import deploy  # noqa: E402
import gateway_client  # noqa: E402
import push_model  # noqa: E402
import smoke_test  # noqa: E402

try:
    import move_weights
except ImportError:  # Python 3.10 does not read TOML.
    move_weights = None

FILE = '[models.digits]\nlabels = { blue = 1 }\nweights = { blue = 100 }\n[models.other]\nweights = { 3 = 1 }\n'


class Outcomes(unittest.TestCase):
    def test_what_callers_do_wrong_is_no_failure(self):
        before, after = Counter(response=100), Counter(response=190, invalid_argument=5, caller_gone=4, internal=1)
        self.assertEqual(gateway_client.failed_share(before, after), (0.01, 100))

    def test_no_requests_are_no_failure(self):
        self.assertEqual(gateway_client.failed_share(Counter(internal=7), Counter(internal=7)), (0.0, 0))


class ApiKey(unittest.TestCase):
    def key_of(self, text: str) -> str | None:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            return gateway_client.api_key(file.name)

    def test_it_is_the_first_of_the_file_with_or_without_a_name(self):
        self.assertEqual(self.key_of("# ours\n\npipeline secret-1 data\nother secret-2\n"), "secret-1")
        self.assertEqual(self.key_of("secret-3\n"), "secret-3")

    def test_a_file_without_a_key_is_an_error(self):
        with self.assertRaisesRegex(gateway_client.GatewayError, "holds no key"):
            self.key_of("# none yet\n")


class SmokeTest(unittest.TestCase):
    def test_a_version_is_named_in_every_path(self):
        self.assertEqual(smoke_test.path_of("a.v2.json", "m", "4"), "/v2/models/m/versions/4/infer")
        self.assertEqual(smoke_test.path_of("a.tf.json", "m", "4"), "/v1/models/m/versions/4:predict")

    def test_predict_is_not_asked_for_a_version_that_it_cannot_name(self):
        samples = deploy.ROOT / "examples" / "digits" / "samples"
        self.assertIn("/predict", {question.path for question in smoke_test.questions(samples, "digits")})
        self.assertNotIn("/predict", {question.path for question in smoke_test.questions(samples, "digits", "2")})

    def test_integers_are_found_in_all_three_kinds_of_answers(self):
        v2 = {"outputs": [{"datatype": "FP32", "data": [0.5]}, {"datatype": "INT64", "data": [3, 1]}]}
        for answer in ({"class": [3, 1], "predictions": [[0.5]]}, {"predictions": [{"p": 0.5, "label": 3}, {"p": 0.5, "label": 1}]}, v2):
            self.assertEqual(smoke_test.integers_in(answer), [3, 1])


class Images(unittest.TestCase):
    def test_a_tag_is_no_digest(self):
        for wrong in ("ghcr.io/a/b:1.0", "ghcr.io/a/b@sha256:12", "--help@sha256:" + "a" * 64):
            with self.assertRaises(argparse.ArgumentTypeError):
                deploy.image_by_digest(wrong)

    def test_a_port_in_the_name_is_not_taken_for_a_tag(self):
        self.assertEqual(push_model.image_fields("host:5000/a:1.0"), {"newName": "host:5000/a", "newTag": "1.0"})


@unittest.skipUnless(move_weights, "needs Python 3.11, which reads TOML")
class TrafficFile(unittest.TestCase):
    def test_other_models_stay_as_they_are(self):
        text = move_weights.rewritten(FILE, "digits", {"blue": 1, "green": 4}, {"blue": 90, "green": 10})
        self.assertEqual(move_weights.split(text, "other"), {3: 1})
        self.assertEqual(move_weights.split(text, "digits"), {1: 90, 4: 10})

    def test_labels_stay_when_only_weights_are_given(self):
        self.assertEqual(move_weights.split(move_weights.rewritten(FILE, "digits", None, {"blue": 7}), "digits"), {1: 7})

    def test_a_name_that_is_no_bare_key_survives(self):
        text = move_weights.rewritten("", 'a "b".c', {"x y": 2}, {"x y": 1})
        self.assertEqual(move_weights.split(text, 'a "b".c'), {2: 1})

    def test_a_weight_for_an_unknown_label_is_refused(self):
        with self.assertRaisesRegex(move_weights.MoveError, r"green: no label of digits \(known: blue\)"):
            move_weights.rewritten(FILE, "digits", None, {"green": 1})


if __name__ == "__main__":
    unittest.main()
