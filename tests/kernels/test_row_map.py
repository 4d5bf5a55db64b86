"""Element-wise operators over rows: every way to find an operand, a residual and the place of the result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lascompile.kernels.row_map import buffers
from lascompile.schedules.cpu.rows import schedule_row_map
from lascompile.workload import ROW_SLACK, Epilogue, MapWorkload
from tests.kernels.calling import SENTINEL, Kernel

BATCH, PIXELS, CHANNELS = 3, 7, 20
ROWS = BATCH * PIXELS
SIZES = {"row": ROWS, "list": ROWS, "table": ROWS - 4, "image": BATCH, "channel": 0, "scalar": 0}
RELU = (("relu",),)


def workload_of(kinds: tuple[str, ...], op: str = "Sub", **fields: object) -> MapWorkload:
    sizes = tuple(SIZES[kind] for kind in kinds)
    plain = MapWorkload(ROWS, PIXELS, CHANNELS, op, kinds, sizes, counted=False, scatters=False)
    return replace(plain, **fields)  # type: ignore[arg-type]


def arguments(workload: MapWorkload, count: int) -> dict[str, np.ndarray]:
    """Random buffers; rows that no active row reads are NaN."""
    rng = np.random.default_rng(count)
    specs = buffers(workload)
    arrays = {name: np.zeros(specs[name][0], specs[name][1]) for name in workload.arguments()}
    active = 1 + np.sort(rng.permutation(workload.rows)[:count])
    if "list" in arrays:
        arrays["list"][...] = workload.rows + 2
        arrays["list"][:count] = active
    if "count" in arrays:
        arrays["count"][...] = count
    for i, kind in enumerate(workload.operands):
        _fill_operand(rng, workload, arrays, i, kind, count)
    if workload.epilogue.gate_groups:
        arrays["group_active"][...] = rng.integers(0, 2, arrays["group_active"].shape)
        arrays["channel_group"][...] = rng.integers(0, workload.epilogue.gate_groups, arrays["channel_group"].shape)
    arrays["output"][...] = SENTINEL
    if workload.epilogue.takes_residual:
        name = "output" if workload.in_place else "residual"
        rows = active if workload.residual_listed else np.arange(1, count + 1)
        arrays[name][...] = SENTINEL if workload.in_place else np.nan
        arrays[name][rows] = rng.standard_normal((count, arrays[name].shape[1]))
    return arrays


def _fill_operand(
    rng: np.random.Generator, workload: MapWorkload, arrays: dict[str, np.ndarray], i: int, kind: str, count: int
) -> None:
    operand = arrays[f"operand{i}"]
    operand[...] = np.nan
    if kind in ("channel", "scalar"):
        operand[...] = rng.standard_normal(operand.shape)
        return
    table = rng.integers(0, workload.operand_rows[i] + 1, workload.rows + ROW_SLACK).astype(np.int32)
    if kind == "table":
        arrays[f"table{i}"][...] = len(operand) - 1
        arrays[f"table{i}"][:count] = table[:count]
    rows: dict[str, np.ndarray] = {
        "row": np.arange(1, count + 1),
        "list": arrays["list"][:count] if "list" in arrays else np.array([], int),
        "table": table[:count],
        "image": np.arange(1, workload.operand_rows[i] + 1),
    }
    read = rows[kind]
    operand[read] = rng.standard_normal((len(read), operand.shape[1]))


def operand_at(workload: MapWorkload, arrays: dict[str, np.ndarray], i: int, m: int) -> np.ndarray:
    """The channels of an operand that row m meets."""
    operand = arrays[f"operand{i}"]
    dense = int(arrays["list"][m]) if workload.counted and "list" in arrays else m + 1
    kind = workload.operands[i]
    if kind == "scalar":
        return np.full(CHANNELS, operand[0])
    if kind == "channel":
        return operand[:CHANNELS]
    row = {"row": m + 1, "list": dense, "image": (dense - 1) // PIXELS + 1}.get(kind)
    return operand[arrays[f"table{i}"][m] if row is None else row, :CHANNELS]


def expected_rows(workload: MapWorkload, arrays: dict[str, np.ndarray], count: int) -> np.ndarray:
    """[count, CHANNELS] row by row."""
    numpy_op = {"Sub": np.subtract, "Mul": np.multiply, "Identity": np.positive}[workload.op]
    epilogue, result = workload.epilogue, np.zeros((count, CHANNELS), np.float32)
    for m in range(count):
        value = numpy_op(*[operand_at(workload, arrays, i, m) for i in range(len(workload.operands))])
        value = np.maximum(value, 0) if epilogue.before else value
        residual = np.zeros(CHANNELS, np.float32)
        if epilogue.takes_residual:
            source = arrays["output" if workload.in_place else "residual"]
            residual = source[arrays["list"][m] if workload.residual_listed else m + 1, :CHANNELS]
        if epilogue.gate_groups:
            groups = arrays["channel_group"][:CHANNELS]
            on = arrays["group_active"][groups, arrays["list"][m] - 1] != 0
            value = np.where(on, value, residual if epilogue.otherwise else 0)
        value = value + residual if epilogue.add else value
        result[m] = np.maximum(value, 0) if epilogue.after else value
    return result


def check(workload: MapWorkload, count: int, threads: int = 2) -> None:
    arrays = arguments(workload, count)
    kernel = Kernel(schedule_row_map(workload, threads))
    assert kernel.arguments == workload.arguments()
    after = kernel(arrays)
    output = after["output"]
    stored = arrays["list"][:count] if workload.scatters else np.arange(1, count + 1)
    expected = expected_rows(workload, arrays, count)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(output[stored, :CHANNELS], expected, rtol=1e-6, atol=1e-6)
    if not workload.scatters:
        assert (output[0] == 0).all()
        stored = np.append(stored, 0)
    rest = np.setdiff1d(np.arange(len(output)), stored)
    assert output[rest].tobytes() == arrays["output"][rest].tobytes(), "rows that are not active were written"
    for name in workload.arguments()[:-1]:
        assert after[name].tobytes() == arrays[name].tobytes(), f"{name} has changed"


def counts(workload: MapWorkload) -> tuple[int, ...]:
    return (0, 1, 10, ROWS) if workload.counted else (ROWS,)


@pytest.mark.parametrize("kind", ["row", "table", "image", "channel", "scalar"])
@pytest.mark.parametrize("first", [True, False])
def test_operands_of_a_dense_result(kind: str, first: bool) -> None:
    check(workload_of((kind, "row") if first else ("row", kind)), ROWS)


@pytest.mark.parametrize("scatters", [False, True])
@pytest.mark.parametrize("kind", SIZES)
def test_operands_of_active_rows(kind: str, scatters: bool) -> None:
    workload = workload_of(("list", kind), counted=True, scatters=scatters)
    for count in counts(workload):
        check(workload, count)


@pytest.mark.parametrize("kind", ["row", "table", "channel", "scalar"])
def test_packed_rows_need_no_list(kind: str) -> None:
    workload = workload_of(("row", kind), counted=True)
    assert "list" not in workload.arguments()
    for count in counts(workload):
        check(workload, count)


@pytest.mark.parametrize(
    "epilogue",
    [
        Epilogue(before=RELU, add=True),
        Epilogue(add=True, after=RELU),
        Epilogue(gate_groups=3),
        Epilogue(before=RELU, gate_groups=2, add=True, after=RELU),
        Epilogue(gate_groups=2, otherwise=True),
        Epilogue(gate_groups=2, otherwise=True, add=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("in_place", [False, True])
def test_epilogues_of_scattered_rows(epilogue: Epilogue, in_place: bool) -> None:
    listed = epilogue.takes_residual
    workload = workload_of(
        ("list",),
        "Identity",
        counted=True,
        scatters=True,
        residual_listed=listed,
        in_place=in_place and listed,
        epilogue=epilogue,
    )
    for count in counts(workload):
        check(workload, count)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_residual_that_is_packed_as_well(in_place: bool) -> None:
    workload = workload_of(("row", "row"), "Mul", counted=True, in_place=in_place, epilogue=Epilogue(add=True))
    for count in counts(workload):
        check(workload, count)


@pytest.mark.parametrize("threads", [1, 3, 8, 40])
def test_threads_share_the_rows(threads: int) -> None:
    workload = workload_of(("list", "image"), counted=True, scatters=True)
    for count in counts(workload):
        check(workload, count, threads)
