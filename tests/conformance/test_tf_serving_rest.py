"""TensorFlow Serving's REST interface, in plain `requests`, as its documentation and source describe it.

Status, metadata and predict in row and column form, by version and by label, with its own way with strings,
numbers and errors: a malformed path is 400 (not 404), trailing bytes are ignored, NaN and Infinity are both
accepted and emitted, and `:classify` and `:regress` are declined with 501.
"""

from __future__ import annotations

import base64
import http.client
import json
import math

import pytest
import requests

from wire import TIMEOUT_S, close, expect, expect_error, expect_one_of, get, post

ROW = [1, 2, 3, 4]
ANSWER = {"y": [3, 5, 7, 9], "s": 10}


def b64(text: str) -> dict[str, str]:
    return {"b64": base64.b64encode(text.encode()).decode()}


@pytest.fixture
def affine(fixtures):
    """y = 2x + 1 and s = the sum of a row: one input, two outputs."""
    return fixtures.url("/v1/models/affine:predict")


@pytest.fixture
def echo(fixtures):
    """y = x, of any width: one input, one output."""
    return fixtures.url("/v1/models/echo_fp32:predict")


@pytest.fixture
def text(fixtures):
    """text_bytes = text, and words = how many it has."""
    return fixtures.url("/v1/models/text_bytes:predict")


class TestStatus:
    def test_every_version_is_listed_with_all_fields(self, digits):
        body = expect(get(digits.url("/v1/models/digits")))
        ok = {"error_code": "OK", "error_message": ""}
        versions = sorted(body["model_version_status"], key=lambda entry: entry["version"])
        assert versions == [{"version": v, "state": "AVAILABLE", "status": ok} for v in ("1", "2", "3")]

    @pytest.mark.parametrize(("path", "version"), [("/versions/3", "3"), ("/labels/blue", "1"), ("/labels/green", "2")])
    def test_one_version_may_be_asked_for_by_number_or_label(self, digits, path, version):
        body = expect(get(digits.url(f"/v1/models/digits{path}")))
        assert [entry["version"] for entry in body["model_version_status"]] == [version]

    def test_the_answer_is_pretty_printed(self, digits):
        assert '\n "model_version_status": [' in get(digits.url("/v1/models/digits")).text

    def test_a_refused_model_has_ended_and_says_why_under_200(self, fixtures):
        (entry,) = expect(get(fixtures.url("/v1/models/custom_op")))["model_version_status"]
        assert entry["state"] == "END"
        assert entry["status"]["error_code"] != "OK"
        assert "com.example.vision" in entry["status"]["error_message"]

    def test_what_was_never_heard_of_is_404(self, digits):
        expect_error(get(digits.url("/v1/models/nonesuch")), 404, "Could not find any versions of model nonesuch")
        expect_error(get(digits.url("/v1/models/digits/versions/99")), 404, "Could not find version 99 of model digits")

    def test_an_unknown_label_is_400(self, digits):
        expect_error(get(digits.url("/v1/models/digits/labels/red")), 400, "Unrecognized servable version label")

    def test_no_model_name_is_400(self, digits):
        expect_error(get(digits.url("/v1/models")), 400, "Missing model name in request.")


class TestMetadata:
    def test_the_signature_is_told_as_tensorflow_tells_it(self, fixtures):
        body = expect(get(fixtures.url("/v1/models/affine/metadata")))
        assert body["model_spec"] == {"name": "affine", "signature_name": "", "version": "1"}
        signature = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["method_name"] == "tensorflow/serving/predict"
        assert set(signature["outputs"]) == {"y", "s"}
        described = signature["inputs"]["x"]
        assert described["dtype"] == "DT_FLOAT"
        dimensions = [{"size": "-1", "name": ""}, {"size": "4", "name": ""}]
        assert described["tensor_shape"] == {"dim": dimensions, "unknown_rank": False}

    def test_every_datatype_has_its_tensorflow_name(self, fixtures):
        body = expect(get(fixtures.url("/v1/models/echo/metadata")))
        inputs = body["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]
        integers = {
            f"in_{kind}{bits}": f"DT_{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
        }
        floats = {"in_fp16": "DT_HALF", "in_bf16": "DT_BFLOAT16", "in_fp32": "DT_FLOAT", "in_fp64": "DT_DOUBLE"}
        others = {"in_bool": "DT_BOOL", "in_string": "DT_STRING"}
        assert {name: i["dtype"] for name, i in inputs.items()} == {**integers, **floats, **others}

    @pytest.mark.parametrize(("path", "version"), [("/versions/3", "3"), ("/labels/green", "2")])
    def test_it_may_be_asked_for_by_version_or_label(self, digits, path, version):
        assert expect(get(digits.url(f"/v1/models/digits{path}/metadata")))["model_spec"]["version"] == version

    def test_an_unknown_model_is_404(self, digits):
        expect_error(get(digits.url("/v1/models/nonesuch/metadata")), 404, "nonesuch")


class TestPredictByRow:
    def test_many_outputs_come_as_one_object_a_row(self, affine):
        body = expect(post(affine, {"instances": [ROW, [0, 0, 0, 0]]}))
        assert body == {"predictions": [ANSWER, {"y": [1, 1, 1, 1], "s": 0}]}

    def test_rows_may_name_their_inputs(self, affine):
        assert expect(post(affine, {"instances": [{"x": ROW}]})) == {"predictions": [ANSWER]}

    def test_one_output_comes_bare(self, echo):
        assert expect(post(echo, {"instances": [[1.5, 2], [3, 4]]})) == {"predictions": [[1.5, 2], [3, 4]]}

    def test_several_inputs_are_told_apart_by_name(self, fixtures):
        rows = [{"a/b": [1, 1, 1, 1], "serving_default_x:0": [2, 3, 4, 5]}]
        body = expect(post(fixtures.url("/v1/models/odd_names:predict"), {"instances": rows}))
        assert body["predictions"][0]["0"] == [1, 2, 3, 4]

    def test_the_signature_may_be_named(self, affine):
        expect(post(affine, {"signature_name": "serving_default", "instances": [ROW]}))

    def test_more_rows_than_a_batch_holds_come_back_in_order(self, affine):
        rows = [[n, 0, 0, 0] for n in range(150)]
        body = expect(post(affine, {"instances": rows}))
        assert [row["s"] for row in body["predictions"]] == list(range(150))

    @pytest.mark.parametrize("body", [{"instances": []}, {"instances": 1}, {"instances": {}}, {"instances": None}])
    def test_instances_are_a_list_with_something_in_it(self, affine, body):
        expect_error(post(affine, body), 400)

    def test_plain_values_and_objects_do_not_mix(self, affine):
        expect_error(post(affine, {"instances": [ROW, {"x": ROW}]}), 400)
        expect_error(post(affine, {"instances": [{"x": ROW}, ROW]}), 400)

    def test_an_object_names_exactly_the_inputs(self, fixtures, affine):
        expect_error(post(affine, {"instances": [{"z": ROW}]}), 400, "keys must be equal to: x")
        expect_error(post(affine, {"instances": [{"x": ROW, "z": ROW}]}), 400, "keys must be equal to: x")
        scaled = fixtures.url("/v1/models/shared_vector:predict")
        expect_error(post(scaled, {"instances": [{"x": ROW}]}), 400, "keys must be equal to: ")

    def test_plain_values_need_a_model_of_one_input(self, fixtures):
        expect_error(post(fixtures.url("/v1/models/odd_names:predict"), {"instances": [ROW]}), 400)

    @pytest.mark.parametrize("rows", [[[1, 2, 3, 4], [1, 2, 3]], [[1, 2, 3, [4]]], [[[1], [2, 3]]], [[1, 2], 3]])
    def test_ragged_rows_are_refused(self, affine, rows):
        expect_one_of(expect_error(post(affine, {"instances": rows}), 400), "Expecting tensor size", "Expecting shape")

    def test_rows_of_the_wrong_width_are_refused(self, affine):
        expect_error(post(affine, {"instances": [[1, 2, 3]]}), 400)

    def test_a_value_of_the_wrong_type_is_refused(self, affine, fixtures):
        expect_error(post(affine, {"instances": [["1", 2, 3, 4]]}), 400)
        expect_error(post(fixtures.url("/v1/models/picky:predict"), {"instances": [[1.5]]}), 400)

    def test_outputs_that_do_not_share_their_rows_have_no_row_form(self, fixtures):
        message = expect_error(post(fixtures.url("/v1/models/no_batch:predict"), {"instances": ROW}), 400)
        expect_one_of(message, "has inconsistent batch size", "has no shape information")


class TestPredictByColumn:
    def test_inputs_may_be_named_or_bare(self, affine):
        answer = {"outputs": {"y": [[3, 5, 7, 9]], "s": [10]}}
        assert expect(post(affine, {"inputs": {"x": [ROW]}})) == answer
        assert expect(post(affine, {"inputs": [ROW]})) == answer

    def test_one_output_comes_bare(self, echo):
        assert expect(post(echo, {"inputs": [[1.5, 2], [3, 4]]})) == {"outputs": [[1.5, 2], [3, 4]]}

    def test_shared_inputs_need_no_rows(self, fixtures):
        body = {"inputs": {"x": [ROW, ROW], "scale": 3}}
        assert expect(post(fixtures.url("/v1/models/shared_scalar:predict"), body)) == {"outputs": [[3, 6, 9, 12]] * 2}

    def test_a_model_without_a_batch_is_served(self, fixtures):
        body = expect(post(fixtures.url("/v1/models/no_batch:predict"), {"inputs": ROW}))
        assert body == {"outputs": {"y": [2, 4, 6, 8], "total": 10}}

    def test_inputs_are_checked_by_name(self, affine):
        expect_error(post(affine, {"inputs": {"z": [ROW]}}), 400)
        expect_error(post(affine, {"inputs": {}}), 400)


class TestBodies:
    def test_instances_and_inputs_exclude_each_other(self, affine):
        expect_error(post(affine, {"instances": [ROW], "inputs": [ROW]}), 400, "expecting only one of")

    def test_one_of_them_must_be_there(self, affine):
        expect_error(post(affine, {"signature_name": "serving_default"}), 400, "Missing 'inputs' or 'instances' key")

    def test_an_empty_body_is_named(self, affine):
        expect_error(post(affine, ""), 400, "JSON Parse error: The document is empty")

    @pytest.mark.parametrize("body", ["{", '{"instances": [[1,2,3,4]', "nonsense", '{"instances": [[1,2,3,]]}'])
    def test_broken_json_is_a_parse_error(self, affine, body):
        expect_error(post(affine, body), 400, "JSON Parse error")

    @pytest.mark.parametrize("body", ["[]", "1", '"text"', "null"])
    def test_a_body_that_is_no_object_is_refused(self, affine, body):
        expect_error(post(affine, body), 400)

    def test_whatever_follows_the_first_value_is_ignored(self, affine):
        body = json.dumps({"instances": [ROW]}) + " {trailing ]"
        assert expect(post(affine, body)) == {"predictions": [ANSWER]}

    def test_unknown_keys_are_ignored(self, affine):
        expect(post(affine, {"instances": [ROW], "note": {"a": [1]}}))

    def test_deep_nesting_is_refused_and_the_gateway_lives(self, affine):
        depth = 100_000
        expect_error(post(affine, '{"instances": ' + "[" * depth + "]" * depth + "}"), 400)
        expect(post(affine, {"instances": [ROW]}))


class TestNumbers:
    def test_nan_and_infinities_are_accepted_and_emitted(self, echo):
        response = post(echo, '{"instances": [[NaN, Infinity, -Infinity]]}')
        assert close(expect(response)["predictions"], [[math.nan, math.inf, -math.inf]])
        for word in ("NaN", "Infinity", "-Infinity"):
            assert word in response.text

    @pytest.mark.parametrize("number", ["1e400", "1e39"])
    def test_overflow_becomes_infinity(self, echo, number):
        body = expect(post(echo, f'{{"instances": [[{number}, -{number}]]}}'))
        assert body["predictions"] == [[math.inf, -math.inf]]

    @pytest.mark.parametrize("number", ["1e-400", "1e-60"])
    def test_underflow_becomes_zero(self, echo, number):
        assert expect(post(echo, f'{{"instances": [[{number}]]}}'))["predictions"] == [[0]]

    def test_whole_numbers_are_fine_for_floats(self, echo):
        assert expect(post(echo, {"instances": [[1, 2.0, 3e0]]}))["predictions"] == [[1, 2, 3]]

    def test_integers_are_exact(self, fixtures):
        described = expect(get(fixtures.url("/v1/models/echo_json/metadata")))
        inputs = described["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]
        other = {"DT_BOOL": False, "DT_STRING": ""}
        row = {name: [other.get(i["dtype"], 0)] * 3 for name, i in inputs.items()}
        row["in_int64"], row["in_uint64"] = [-(2**63), 2**53 + 1, 2**63 - 1], [0, 2**53 + 1, 2**64 - 1]
        (answer,) = expect(post(fixtures.url("/v1/models/echo_json:predict"), {"instances": [row]}))["predictions"]
        assert {name.replace("out_", "in_", 1): value for name, value in answer.items()} == row


class TestStrings:
    def test_strings_are_plain_text_unless_the_output_is_named_bytes(self, text):
        body = expect(post(text, {"instances": [["one two three"], [b64("vier")]]}))
        assert body["predictions"] == [
            {"text_bytes": [b64("one two three")], "words": [3]},
            {"text_bytes": [b64("vier")], "words": [1]},
        ]

    def test_a_plain_output_comes_as_plain_text(self, fixtures):
        rows = ["naïve ✓", b64('a\n"b"')]
        body = expect(post(fixtures.url("/v1/models/echo_string:predict"), {"instances": rows}))
        assert body == {"predictions": ["naïve ✓", 'a\n"b"']}

    @pytest.mark.parametrize("value", [{"b64": "!"}, {"b64": 1}, {"b64": "YQ", "more": 1}, {"b65": "YQ=="}])
    def test_what_is_no_base64_is_refused(self, text, value):
        expect_error(post(text, {"instances": [[value]]}), 400)

    def test_base64_is_for_strings_only(self, affine):
        expect_error(post(affine, {"instances": [[b64("1234")]]}), 400)


class TestVersionsAndLabels:
    @pytest.mark.parametrize("path", ["", "/versions/1", "/versions/2", "/labels/blue", "/labels/green"])
    def test_each_way_to_a_good_version_gets_the_digit_right(self, digits, samples, path):
        body, expected = samples["seven.tf.json"]
        answer = expect(post(digits.url(f"/v1/models/digits{path}:predict"), body))
        assert [row["label"] for row in answer["predictions"]] == expected

    def test_the_bad_version_is_there_and_gets_it_wrong(self, digits, samples):
        body, expected = samples["seven.tf.json"]
        answer = expect(post(digits.url("/v1/models/digits/versions/3:predict"), body))
        assert [row["label"] for row in answer["predictions"]] != expected

    def test_unknown_ones_are_refused_in_tensorflows_words(self, digits, samples):
        body, _ = samples["seven.tf.json"]
        refused = {
            "/v1/models/nonesuch:predict": (404, "Servable not found for request: Latest(nonesuch)"),
            "/v1/models/digits/versions/99:predict": (404, "Servable not found for request: Specific(digits, 99)"),
            "/v1/models/digits/labels/red:predict": (400, "Unrecognized servable version label"),
            f"/v1/models/digits/versions/{10**30}:predict": (400, "Failed to convert version:"),
        }
        for path, (status, message) in refused.items():
            expect_error(post(digits.url(path), body), status, message)

    def test_a_model_that_was_refused_at_load_takes_no_requests(self, fixtures):
        response = post(fixtures.url("/v1/models/seq_map:predict"), {"instances": [[1, 2, 3]]})
        assert response.status_code in (404, 503), response.text
        expect_error(response, response.status_code, "seq_map")

    def test_a_request_on_which_the_model_fails_is_500(self, fixtures):
        expect_error(post(fixtures.url("/v1/models/picky:predict"), {"instances": [[1000]]}), 500)


class TestPathsAndMethods:
    def test_paths_are_matched_without_regard_to_case(self, digits, samples):
        expect(post(digits.url("/V1/Models/digits:Predict"), samples["seven.tf.json"][0]))

    def test_names_and_labels_are_percent_decoded(self, digits, samples):
        """By the standard library's client: `requests` would tidy such a path up before sending it."""
        connection = http.client.HTTPConnection(digits.data, timeout=TIMEOUT_S)
        connection.request("POST", "/v1/models/digi%74s/labels/b%6Cue:predict", json.dumps(samples["seven.tf.json"][0]))
        response = connection.getresponse()
        assert response.status == 200, response.read()
        connection.close()

    @pytest.mark.parametrize("method", ["classify", "regress"])
    def test_classify_and_regress_are_declined(self, affine, method):
        response = post(affine.replace(":predict", f":{method}"), {"examples": [{"x": ROW}]})
        expect_error(response, 501, method)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/v1/models/affine:predict"),
            ("PUT", "/v1/models/affine:predict"),
            ("POST", "/v1/models/affine"),
            ("POST", "/v1/models/affine:explain"),
            ("POST", "/v1/models/affine/versions/one:predict"),
            ("POST", "/v1/models/:predict"),
            ("GET", "/v1/nonesuch"),
            ("GET", "/v1/models/affine/nonesuch"),
            ("DELETE", "/v1/models/affine"),
        ],
    )
    def test_what_matches_no_path_is_a_malformed_request(self, fixtures, method, path):
        response = requests.request(method, fixtures.url(path), timeout=TIMEOUT_S)
        expect_error(response, 400, f"Malformed request: {method} {path}")

    def test_options_is_answered_to_a_browser_only(self, affine):
        from_browser = requests.options(affine, headers={"Origin": "https://example.com"}, timeout=TIMEOUT_S)
        assert from_browser.status_code == 200
        assert "Access-Control-Allow-Origin" not in from_browser.headers
        assert requests.options(affine, timeout=TIMEOUT_S).status_code == 400
        assert requests.options(affine, headers={"Origin": "null"}, timeout=TIMEOUT_S).status_code == 400
