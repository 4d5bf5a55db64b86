"""ONNX's node tests: what passed must pass, and nothing may be wrong or break."""

from __future__ import annotations

import pytest

from tests.onnx_nodes.cases import PASSED, REFUSED, load_cases, run_case
from tests.onnx_nodes.run import faults, main, stored_results

SAMPLE = (
    "test_averagepool_2d_pads_count_include_pad test_clip test_convtranspose_output_shape test_gemm_all_attributes "
    "test_layer_normalization_4d_axis1 test_resize_upsample_sizes_nearest_ceil_half_pixel test_softplus "
    "test_where_example"
).split()


@pytest.mark.parametrize("name", SAMPLE)
def test_a_case_is_right_or_refused(name: str) -> None:
    result = run_case(name)
    assert result.status in (PASSED, REFUSED), result
    assert not faults({name: result}, stored_results())


def test_every_case_of_this_onnx_has_a_result() -> None:
    import onnx

    from tests.onnx_nodes.run import RESULTS

    if f'"{onnx.__version__}"' not in RESULTS.read_text():
        pytest.skip("the results are of another version of ONNX")
    assert set(stored_results()) == set(load_cases())


@pytest.mark.slow
def test_all_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["run"])
    assert main() == 0
