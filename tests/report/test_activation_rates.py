import numpy as np

from lascompile.report.activation_rates import activation_rates


def test_the_rate_of_an_image_counts_pixels_that_any_group_has_on():
    on = np.zeros((2, 2, 2, 2), bool)
    on[0, 0, 0, 0] = on[0, 1, 1, 1] = True
    assert activation_rates(on) == [0.5, 0.0]
