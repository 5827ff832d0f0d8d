"""What the check of a conversion sees, on made-up answers."""

from __future__ import annotations

import numpy as np
import pytest

from keras_cnn import conversion
from keras_cnn.stage import StageError
from keras_cnn.variants import SAME_BITS, Tolerance

KERAS = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
LABELS = np.array([0, 1, 0, 0])
LOOSE = Tolerance(largest_difference=1, agreement=0, accuracy_drop=1)


def changed(row: int, *values: float) -> np.ndarray:
    answers = KERAS.copy()
    answers[row] = values
    return answers


def test_equal_answers_are_without_fault():
    found = conversion.compare(KERAS, KERAS, LABELS)
    assert (found.accuracy, found.agreement, found.largest_difference) == (0.75, 1, 0)
    assert found.faults(SAME_BITS) == []


def test_the_test_image_with_the_largest_difference_is_named():
    found = conversion.compare(changed(2, 0.55, 0.45), KERAS, LABELS)
    assert found.sample == 2
    assert found.largest_difference == pytest.approx(0.05)
    assert found.faults(Tolerance(0.04, 0, 1)) == ["largest difference 0.05, allowed 0.04"]
    assert found.faults(Tolerance(0.06, 0, 1)) == []


def test_another_class_counts_against_agreement_and_a_wrong_one_against_accuracy():
    wrong = conversion.compare(changed(0, 0.4, 0.6), KERAS, LABELS)
    assert (wrong.agreement, wrong.accuracy) == (0.75, 0.5)
    assert len(wrong.faults(Tolerance(1, 0.8, 0.2))) == 2
    # On image 3 Keras is wrong: whoever differs there is right, and more accurate.
    right = conversion.compare(changed(3, 0.6, 0.4), KERAS, LABELS)
    assert (right.agreement, right.accuracy) == (0.75, 1)
    assert len(right.faults(Tolerance(1, 0.8, 0.2))) == 1


def test_nan_is_beyond_every_tolerance():
    found = conversion.compare(changed(1, np.nan, 0.8), KERAS, LABELS)
    assert found.sample == 1
    assert found.faults(LOOSE) == ["largest difference nan, allowed 1"]


def test_answers_of_another_shape_are_refused():
    with pytest.raises(StageError, match=r"\(3, 2\) came, and \(4, 2\) was expected"):
        conversion.compare(KERAS[:3], KERAS, LABELS)
