import json

import numpy as np

from lascompile.manifest import TensorSpec
from lascompile.report.output_summary import best_classes, summary_json, summary_lines


def spec(array, name="y"):
    return TensorSpec(name, array.shape, array.dtype.name)


def scores(images=1, classes=10):
    return np.tile(np.arange(classes, dtype=np.float32), (images, 1))


def test_the_best_five_classes():
    assert best_classes(scores()) == [[(9, 9.0), (8, 8.0), (7, 7.0), (6, 6.0), (5, 5.0)]]
    assert best_classes(scores(classes=3)) == [[(2, 2.0), (1, 1.0), (0, 0.0)]]


def test_only_scores_of_classes_have_best_ones():
    assert best_classes(np.zeros((1, 8, 4, 4), np.float32)) is None
    assert best_classes(np.zeros((1, 1), np.float32)) is None
    assert best_classes(np.zeros((1, 10), np.int64)) is None


def test_classes_in_words():
    heading, first, second = summary_lines(spec(scores(2), "logits"), scores(2))
    assert heading == "logits [2, 10] float32, best of 10 classes:"
    assert first.startswith("  image 0: class 9 (9), class 8 (8), ")
    assert second.startswith("  image 1: ")


def test_of_a_large_batch_the_first_images():
    lines = summary_lines(spec(scores(20)), scores(20))
    assert len(lines) == 10
    assert lines[-1] == "  and 12 more images"


def test_the_range_of_what_is_no_classes():
    array = np.array([[[1.0, 2.0, 6.0]]], np.float32)
    assert summary_lines(spec(array), array) == ["y [1, 1, 3] float32: from 1 to 6, mean 3"]


def test_nan_is_counted_and_is_no_best_class():
    array = scores()
    array[0, 9] = np.nan
    heading, first = summary_lines(spec(array), array)
    assert "1 of 10 are NaN" in heading
    assert first.startswith("  image 0: class 8 ")
    nothing = np.full((1, 1, 2), np.nan, np.float32)
    assert summary_lines(spec(nothing), nothing) == ["y [1, 1, 2] float32: no numbers, 2 of 2 are NaN"]


def test_json_names_the_classes():
    stored = json.loads(json.dumps(summary_json(spec(scores()), scores())))
    assert stored["shape"] == [1, 10]
    assert stored["best"][0][0] == {"class": 9, "score": 9.0}
