"""`POST /predict`, the one path that small hand-written prediction services offer, for the default model.

`{"image": …}` is one sample, answered with one row of `predictions` and one `class`; `{"instances": …}` are several,
answered with lists of both. A caller of such a service can be pointed at the gateway without a change.
"""

from __future__ import annotations

import pytest

from wire import close, expect, expect_error, get, post


@pytest.fixture
def predict(digits):
    return digits.url("/predict")


def test_an_image_is_classified(predict, samples):
    body, expected = samples["seven.json"]
    answer = expect(post(predict, body))
    assert set(answer) == {"predictions", "class"}
    assert answer["class"] == expected[0]
    probabilities = answer["predictions"]
    assert len(probabilities) == 10
    assert close(sum(probabilities), 1, 1e-3)
    assert probabilities.index(max(probabilities)) == expected[0]


def test_several_instances_are_classified_each(predict, samples):
    body, expected = samples["batch.v2.json"]
    flat = body["inputs"][0]["data"]
    images = [[flat[64 * n + 8 * r : 64 * n + 8 * r + 8] for r in range(8)] for n in range(len(expected))]
    answer = expect(post(predict, {"instances": images}))
    assert answer["class"] == expected
    assert [len(row) for row in answer["predictions"]] == [10] * len(expected)


def test_the_content_type_does_not_matter(predict, samples):
    body, _ = samples["seven.json"]
    expect(post(predict, body, headers={"Content-Type": "application/x-www-form-urlencoded"}))


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "{}", '{"image": null}', '{"image": []}', '{"image": [[1, 2], [3]]}', '{"instances": []}']
)
def test_what_is_no_image_is_refused(predict, body):
    expect_error(post(predict, body), 400)


def test_an_image_of_the_wrong_size_is_told_the_right_one(predict):
    expect_error(post(predict, {"image": [[0] * 7] * 7}), 400, "pixels", "8")


def test_image_and_instances_exclude_each_other(predict, samples):
    body, _ = samples["seven.json"]
    expect_error(post(predict, {**body, "instances": [body["image"]]}), 400)


def test_only_post_is_answered(predict):
    assert expect_error(get(predict), 405) == "Method Not Allowed"


def test_without_a_default_model_the_error_says_so(fixtures):
    expect_error(post(fixtures.url("/predict"), {"image": [[0]]}), 404, "default")
