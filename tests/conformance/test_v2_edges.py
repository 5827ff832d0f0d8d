"""The edges of the Open Inference Protocol's REST form, in raw HTTP.

What a well-behaved client never sends, and what Triton answers to it: paths, methods, numbers, the header that
splits a binary body, encodings. Bodies of health answers satisfy Triton's and KServe's clients at once.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib

import pytest
import requests

from wire import (
    HEADER_LENGTH,
    TIMEOUT_S,
    binary_tensor,
    expect,
    expect_error,
    expect_one_of,
    fp32,
    get,
    nested,
    outputs,
    post,
    post_binary,
    tensor,
    v2,
)

X = tensor("x", "FP32", [1, 4], [1, 2, 3, 4])
Y = [3, 5, 7, 9]


@pytest.fixture
def infer(fixtures):
    """The affine model's infer URL: y = 2x + 1, s = the sum of a row."""
    return fixtures.url("/v2/models/affine/infer")


class TestHealth:
    def test_live_and_ready_say_so_in_json(self, digits):
        assert expect(get(digits.url("/v2/health/live"))) == {"live": True}
        assert expect(get(digits.url("/v2/health/ready"))) == {"ready": True}

    @pytest.mark.parametrize("version", ["", "/versions/1"])
    def test_model_ready_names_the_model(self, digits, version):
        body = expect(get(digits.url(f"/v2/models/digits{version}/ready")))
        assert (body["name"], body["ready"]) == ("digits", True)

    def test_a_refused_model_is_known_and_not_ready(self, fixtures):
        body = expect(get(fixtures.url("/v2/models/seq_map/ready")), 503)
        assert body["ready"] is False
        assert "seq_map" in body["error"]

    def test_an_unknown_model_is_404(self, digits):
        expect_error(get(digits.url("/v2/models/nonesuch/ready")), 404, "Request for unknown model", "nonesuch")

    def test_an_unknown_version_is_404(self, digits):
        expect_error(get(digits.url("/v2/models/digits/versions/99/ready")), 404, "digits", "99")


class TestMetadata:
    def test_the_server_names_itself_and_what_it_honours(self, digits):
        body = expect(get(digits.url("/v2")))
        assert body["name"] == "tidegate"
        assert {"binary_tensor_data", "classification", "schedule_policy"} <= set(body["extensions"])
        assert "sequence" not in body["extensions"]

    def test_all_models_are_listed(self, digits):
        assert expect(get(digits.url("/v2/models"))) == {"models": ["digits"]}

    def test_the_model_describes_its_tensors(self, fixtures):
        body = expect(get(fixtures.url("/v2/models/affine")))
        assert body["versions"] == ["1"]
        assert body["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
        assert {o["name"]: o["shape"] for o in body["outputs"]} == {"y": [-1, 4], "s": [-1]}

    def test_every_datatype_has_its_protocol_name(self, fixtures):
        body = expect(get(fixtures.url("/v2/models/echo")))
        datatypes = {i["datatype"] for i in body["inputs"]}
        unsigned, signed = ("UINT8", "UINT16", "UINT32", "UINT64"), ("INT8", "INT16", "INT32", "INT64")
        assert datatypes == {"BOOL", *unsigned, *signed, "FP16", "BF16", "FP32", "FP64", "BYTES"}

    def test_an_unknown_model_is_404(self, digits):
        expect_error(get(digits.url("/v2/models/nonesuch")), 404, "Request for unknown model", "nonesuch")


class TestPathsAndMethods:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v2/health/live"),
            ("POST", "/v2"),
            ("DELETE", "/v2/models/affine"),
            ("POST", "/v2/models/affine/ready"),
            ("GET", "/v2/models/affine/infer"),
            ("PUT", "/v2/models/affine/versions/1/infer"),
        ],
    )
    def test_the_wrong_method_is_405(self, fixtures, method, path):
        response = requests.request(method, fixtures.url(path), timeout=TIMEOUT_S)
        assert expect_error(response, 405) == "Method Not Allowed"

    @pytest.mark.parametrize(
        "path",
        [
            "/v2/nonesuch",
            "/v2/models/affine/nonesuch",
            "/v2/models/affine/versions/v1/infer",
            "/v2/models/affine/versions/-1",
            "/v2/models/affine/versions/1.0/ready",
        ],
    )
    def test_an_unknown_path_is_404(self, fixtures, path):
        assert expect_error(get(fixtures.url(path)), 404) == "Not Found"

    def test_a_version_beyond_64_bits_is_unknown(self, fixtures):
        expect_error(post(fixtures.url(f"/v2/models/affine/versions/{10**30}/infer"), v2(X)), 404, "affine")


class TestJsonBodies:
    def test_data_may_be_flat_or_nested(self, infer):
        flat = expect(post(infer, v2(tensor("x", "FP32", [2, 4], [1, 2, 3, 4, 0, 0, 0, 0]))))
        rows = expect(post(infer, v2(tensor("x", "FP32", [2, 4], [[1, 2, 3, 4], [0, 0, 0, 0]]))))
        assert outputs(flat)["y"]["data"] == [3, 5, 7, 9, 1, 1, 1, 1]
        assert outputs(rows) == outputs(flat)

    def test_the_answer_holds_model_version_and_typed_outputs(self, infer):
        body = expect(post(infer, v2(X)))
        assert (body["model_name"], body["model_version"]) == ("affine", "1")
        assert "id" not in body
        y, s = outputs(body)["y"], outputs(body)["s"]
        assert (y["datatype"], y["shape"], y["data"]) == ("FP32", [1, 4], Y)
        assert (s["datatype"], s["shape"], s["data"]) == ("FP32", [1], [10])

    def test_keys_may_come_in_any_order_and_unknown_ones_are_passed_over(self, infer):
        x = '{"data":[1,2,3,4],"note":null,"shape":[1,4],"datatype":"FP32","name":"x"}'
        body = '{"extra":{"a":[1,{}]},"inputs":[' + x + "]}"
        assert outputs(expect(post(infer, body)))["y"]["data"] == Y

    def test_id_and_requested_outputs_are_honoured(self, infer):
        body = expect(post(infer, v2(X, id='a/b "c"', outputs=[{"name": "s"}])))
        assert body["id"] == 'a/b "c"'
        assert [o["name"] for o in body["outputs"]] == ["s"]

    def test_the_content_type_does_not_matter(self, infer):
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            expect(post(infer, v2(X), headers={"Content-Type": kind}))

    def test_integers_beyond_53_bits_are_exact(self, fixtures):
        values = {name: [[2**53 + 1, 0, 2**63 - 1]] for name in ("INT64", "UINT64")}
        body = expect(post(fixtures.url("/v2/models/echo_json/infer"), echo_json(fixtures, **values)))
        assert outputs(body)["out_int64"]["data"] == [2**53 + 1, 0, 2**63 - 1]
        assert outputs(body)["out_uint64"]["data"] == [2**53 + 1, 0, 2**63 - 1]

    @pytest.mark.parametrize(
        ("datatype", "value"),
        [
            ("UINT8", 256),
            ("UINT8", -1),
            ("INT8", -129),
            ("INT32", 2**31),
            ("INT64", 2**63),
            ("UINT64", 2**64),
            ("INT32", 1.5),
            ("INT32", "1"),
            ("FP32", "1"),
            ("BOOL", 2),
            ("BOOL", "true"),
            ("BYTES", 1),
            ("FP32", None),
        ],
    )
    def test_a_value_outside_its_datatype_is_refused(self, fixtures, datatype, value):
        body = echo_json(fixtures, **{datatype: [[value] * 3]})
        expect_error(post(fixtures.url("/v2/models/echo_json/infer"), body), 400, f"in_{ONNX_NAME[datatype]}")

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            ([1, 2, 3], "too few"),
            ([1, 2, 3, 4, 5], "too many"),
            ([], "none"),
            ([[1, 2], [3]], "ragged and too few"),
        ],
    )
    def test_data_must_fill_its_shape(self, infer, data, why):
        expect_error(post(infer, v2(tensor("x", "FP32", [1, 4], data))), 400, "x")

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "{",
            "[]",
            "null",
            '"text"',
            "{}",
            '{"inputs":{}}',
            '{"inputs":[]}',
            '{"inputs":[1]}',
            "{\xff}",
            "nonsense",
        ],
    )
    def test_a_body_that_is_no_request_is_refused(self, infer, body):
        expect_error(post(infer, body.encode("latin-1")), 400)

    @pytest.mark.parametrize("missing", ["name", "datatype", "shape", "data"])
    def test_an_input_names_the_part_that_it_lacks(self, infer, missing):
        expect_error(post(infer, v2({k: v for k, v in X.items() if k != missing})), 400, missing)

    def test_an_unknown_datatype_is_named(self, infer):
        expect_error(post(infer, v2(tensor("x", "FLOAT", [1, 4], [1, 2, 3, 4]))), 400, "FLOAT")

    def test_a_negative_dimension_is_500_as_triton_pins_it(self, infer):
        expect_error(post(infer, v2(tensor("x", "FP32", [-1, 4], [1, 2, 3, 4]))), 500, "Unable to parse 'shape'")

    @pytest.mark.parametrize("shape", [[2**62, 4], [2**32, 2**32], [2**63, 2]])
    def test_a_shape_too_big_to_count_is_refused(self, infer, shape):
        message = expect_error(post(infer, v2(tensor("x", "FP32", shape, [1, 2, 3, 4]))), 400)
        expect_one_of(message, "exceed maximum size", "byte size overflow", "unexpected shape")

    def test_100_levels_of_nesting_are_parsed_and_101_are_not(self, infer):
        deepest = json.dumps(v2(X))[:-1] + f',"extra":{nested(99)}}}'
        expect(post(infer, deepest))
        too_deep = json.dumps(v2(X))[:-1] + f',"extra":{nested(100)}}}'
        limit = "JSON nesting depth exceeds maximum allowed limit (100)"
        expect_error(post(infer, too_deep), 400, limit)

    def test_a_hundred_thousand_brackets_are_refused_and_the_gateway_lives(self, infer):
        deepest = json.dumps(v2(X))[:-1] + f',"extra":{nested(100_000)}}}'
        expect_error(post(infer, deepest), 400, "JSON nesting depth exceeds maximum allowed limit (100)")
        expect(post(infer, v2(X)))

    @pytest.mark.parametrize("datatype", ["FP16", "BF16"])
    def test_half_precision_has_no_json_form(self, fixtures, datatype):
        name = "in_" + datatype.lower()
        body = v2(tensor(name, datatype, [1, 3], [1, 2, 3]))
        message = expect_error(post(fixtures.url("/v2/models/echo/infer"), body), 400)
        assert f"receiving {datatype} data via JSON is not supported" in message

    def test_reserved_parameters_are_refused(self, infer):
        expect_error(post(infer, v2(X, parameters={"triton_enable_empty_final_response": True})), 400, "reserved")

    def test_a_parameter_is_a_string_a_number_or_a_boolean(self, infer):
        expect(post(infer, v2(X, parameters={"a": "text", "b": 2, "c": True, "d": 0.5})))
        expect_error(post(infer, v2(X, parameters={"a": {"b": 1}})), 400, "a")

    def test_inputs_and_outputs_are_checked_by_name(self, infer):
        expect_error(post(infer, v2(tensor("z", "FP32", [1, 4], [1, 2, 3, 4]))), 400, "'z'")
        expect_error(post(infer, v2(X, X)), 400, "'x'")
        expect_error(post(infer, v2(X, outputs=[{"name": "z"}])), 400, "'z'")
        expect_error(post(infer, v2(X, outputs=[{"name": "y"}, {"name": "y"}])), 400, "'y'")


class TestBinaryBodies:
    HEADER = v2(binary_tensor("x", "FP32", [1, 4], 16))

    def test_a_binary_input_may_be_answered_in_json(self, infer):
        body = expect(post_binary(infer, self.HEADER, fp32(1, 2, 3, 4)))
        assert outputs(body)["y"]["data"] == Y

    def test_binary_outputs_follow_the_json_in_the_order_of_the_outputs(self, infer):
        asked = [{"name": "s", "parameters": {"binary_data": True}}, {"name": "y", "parameters": {"binary_data": True}}]
        response = post(infer, v2(X, outputs=asked))
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == "application/octet-stream"
        split = int(response.headers[HEADER_LENGTH])
        described = json.loads(response.content[:split])["outputs"]
        sizes = {"s": 4, "y": 16}
        assert [o["parameters"]["binary_data_size"] for o in described] == [sizes[o["name"]] for o in described]
        values = {"s": fp32(10), "y": fp32(*Y)}
        assert response.content[split:] == b"".join(values[o["name"]] for o in described)

    def test_one_parameter_makes_all_outputs_binary_and_an_output_may_differ(self, infer):
        asked = [{"name": "y", "parameters": {"binary_data": False}}, {"name": "s"}]
        response = post(infer, v2(X, parameters={"binary_data_output": True}, outputs=asked))
        split = int(response.headers[HEADER_LENGTH])
        described = {o["name"]: o for o in json.loads(response.content[:split])["outputs"]}
        assert described["y"]["data"] == Y
        assert described["s"]["parameters"]["binary_data_size"] == 4
        assert response.content[split:] == fp32(10)

    def test_an_answer_without_binary_outputs_is_plain_json(self, infer):
        response = post(infer, v2(X))
        expect(response)
        assert HEADER_LENGTH not in response.headers

    def test_json_and_binary_inputs_mix(self, fixtures):
        body = v2(binary_tensor("a/b", "FP32", [1, 4], 16), tensor("serving_default_x:0", "FP32", [1, 4], [5, 5, 5, 5]))
        answer = expect(post_binary(fixtures.url("/v2/models/odd_names/infer"), body, fp32(2, 2, 2, 2)))
        assert outputs(answer)["0"]["data"] == [3, 3, 3, 3]

    @pytest.mark.parametrize("length", ["abc", "", "1.5", "99999999999"])
    def test_a_length_that_is_no_int32_is_refused(self, infer, length):
        response = post_binary(infer, self.HEADER, fp32(1, 2, 3, 4), length=length)
        expect_error(response, 400, f"Unable to parse {HEADER_LENGTH}")

    @pytest.mark.parametrize("length", [-1, 1000])
    def test_a_length_outside_the_body_is_refused(self, infer, length):
        response = post_binary(infer, self.HEADER, fp32(1, 2, 3, 4), length=length)
        size = len(json.dumps(self.HEADER)) + 16
        expect_error(response, 400, f"inference header size should be in range (0, {size}), got: {length}")

    def test_bytes_left_over_are_refused(self, infer):
        response = post_binary(infer, self.HEADER, fp32(1, 2, 3, 4, 5))
        expect_error(response, 400, "unexpected additional input data for model", "affine")

    def test_bytes_that_are_missing_are_counted(self, infer):
        response = post_binary(infer, self.HEADER, fp32(1, 2))
        expect_error(response, 400, "unexpected size for input 'x'", "expecting 8 additional bytes")

    def test_a_size_that_does_not_fit_the_shape_is_refused(self, infer):
        header = v2(binary_tensor("x", "FP32", [1, 4], 12))
        expect_error(post_binary(infer, header, fp32(1, 2, 3)), 400, "'x'", "16", "12")

    @pytest.mark.parametrize("size", [-1, "16", 1.5, 2**63])
    def test_a_size_that_is_no_length_is_refused(self, infer, size):
        expect_error(post_binary(infer, v2(binary_tensor("x", "FP32", [1, 4], size)), fp32(1, 2, 3, 4)), 400)

    @pytest.mark.parametrize(
        "payload",
        [b"\x05\0\0\0abc", b"\x03\0\0\0abc\x01", b"\xff\xff\xff\xffabc", b"\x01\0\0\0a\x01\0\0\0b"],
        ids=["element cut off", "length cut off", "huge length", "one element too many"],
    )
    def test_strings_that_do_not_fit_their_tensor_are_refused(self, fixtures, payload):
        header = v2(binary_tensor("x", "BYTES", [1], len(payload)))
        expect_error(post_binary(fixtures.url("/v2/models/echo_string/infer"), header, payload), 400, "'x'")

    def test_a_raw_body_is_one_row_and_answered_in_binary(self, infer):
        response = post(infer, fp32(1, 2, 3, 4), headers={HEADER_LENGTH: "0"})
        assert response.status_code == 200, response.text
        split = int(response.headers[HEADER_LENGTH])
        described = {o["name"]: o for o in json.loads(response.content[:split])["outputs"]}
        assert described["y"]["shape"] == [1, 4]
        assert sum(o["parameters"]["binary_data_size"] for o in described.values()) == len(response.content) - split

    def test_a_raw_body_may_fill_one_variable_dimension(self, fixtures):
        response = post(fixtures.url("/v2/models/echo_fp32/infer"), fp32(1, 2, 3), headers={HEADER_LENGTH: "0"})
        assert response.status_code == 200, response.text
        split = int(response.headers[HEADER_LENGTH])
        assert json.loads(response.content[:split])["outputs"][0]["shape"] == [1, 3]
        assert response.content[split:] == fp32(1, 2, 3)

    @pytest.mark.parametrize("size", [15, 17, 32])
    def test_a_raw_body_that_is_not_one_row_is_refused(self, infer, size):
        expect_error(post(infer, b"\0" * size, headers={HEADER_LENGTH: "0"}), 400, "'x'", "16", str(size))

    def test_a_raw_body_that_does_not_fill_its_variable_dimension_evenly_is_refused(self, fixtures):
        url = fixtures.url("/v2/models/echo_fp32/infer")
        expect_error(post(url, b"\0" * 7, headers={HEADER_LENGTH: "0"}), 400, "'x'")

    def test_a_raw_body_of_text_is_one_string(self, fixtures):
        """Without the length before it: it is as long as the body."""
        response = post(fixtures.url("/v2/models/echo_string/infer"), b"a\0b", headers={HEADER_LENGTH: "0"})
        assert response.status_code == 200, response.text
        split = int(response.headers[HEADER_LENGTH])
        assert json.loads(response.content[:split])["outputs"][0]["shape"] == [1]
        assert response.content[split:] == b"\x03\0\0\0a\0b"

    def test_a_raw_body_may_be_compressed(self, infer):
        headers = {HEADER_LENGTH: "0", "Content-Encoding": "gzip"}
        response = post(infer, gzip.compress(fp32(1, 2, 3, 4)), headers=headers)
        assert response.status_code == 200, response.text
        assert fp32(*Y) in response.content

    def test_a_raw_body_for_a_model_of_many_inputs_is_refused(self, fixtures):
        response = post(fixtures.url("/v2/models/echo/infer"), b"\0" * 16, headers={HEADER_LENGTH: "0"})
        expect_error(response, 400)


class TestEncodings:
    @pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
    def test_the_header_length_counts_decompressed_bytes(self, infer, name, compress):
        header = json.dumps(TestBinaryBodies.HEADER).encode()
        body = compress(header + fp32(1, 2, 3, 4))
        response = post(infer, body, headers={"Content-Encoding": name, HEADER_LENGTH: str(len(header))})
        assert outputs(expect(response))["y"]["data"] == Y

    def test_identity_is_no_encoding(self, infer):
        expect(post(infer, v2(X), headers={"Content-Encoding": "identity"}))

    def test_an_unknown_encoding_is_501_with_those_that_are_known(self, infer):
        response = post(infer, v2(X), headers={"Content-Encoding": "br"})
        expect_error(response, 501)
        assert response.headers["Accept-Encoding"] == "gzip, deflate"

    @pytest.mark.parametrize("name", ["gzip", "deflate"])
    def test_a_body_that_does_not_decompress_is_refused(self, infer, name):
        expect_error(post(infer, b"plain text", headers={"Content-Encoding": name}), 400)

    def test_a_compressed_body_that_is_cut_off_is_refused(self, infer):
        body = gzip.compress(json.dumps(v2(X)).encode())[:-10]
        expect_error(post(infer, body, headers={"Content-Encoding": "gzip"}), 400)

    def test_a_compressed_bomb_is_refused_at_the_body_limit(self, infer):
        bomb = gzip.compress(b" " * (256 << 20), compresslevel=9)
        expect_error(post(infer, bomb, headers={"Content-Encoding": "gzip"}), 413)


class TestNumbers:
    def test_an_infinite_result_is_not_passed_off_as_a_number(self, infer):
        """V2 is silent about NaN in JSON; the answer must say Infinity or refuse, never a wrong finite number."""
        response = post(infer, v2(tensor("x", "FP32", [1, 4], [3e38, 0, 0, 0])))
        if response.status_code == 200:
            value = outputs(json.loads(response.text))["y"]["data"][0]
            assert value is None or math.isinf(float(value)), response.text
        else:
            expect_error(response, 400)


class TestTheTimeline:
    def test_every_answer_tells_where_its_time_went(self, infer):
        timing = post(infer, v2(X)).headers.get("Server-Timing", "")
        for stage in ("queue", "batch", "execute"):
            assert stage in timing, f"expected a '{stage}' entry in Server-Timing: {timing!r}"


ONNX_NAME = {"BOOL": "bool", "BYTES": "string", "FP32": "fp32", "FP64": "fp64"} | {
    f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
}


def echo_json(gateway, **data) -> dict:
    """A request to echo_json, zeros but for the data given by datatype."""
    zeros = {"BOOL": False, "BYTES": ""}
    described = expect(get(gateway.url("/v2/models/echo_json")))["inputs"]
    return v2(*(
        tensor(i["name"], i["datatype"], [1, 3], data.get(i["datatype"], [[zeros.get(i["datatype"], 0)] * 3]))
        for i in described
    ))  # fmt: skip
