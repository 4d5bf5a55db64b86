"""Whole networks: the sum of their kernels, and what it says of rates, granularities and devices."""

from __future__ import annotations

import pytest

from lascompile.errors import UsageError
from lascompile.latency.block_kernels import BlockShape
from lascompile.latency.gpu import GpuModel
from lascompile.latency.network import PARTS, NetworkPredictor, block_shapes, device_of
from lascompile.machine import DEVICES
from lascompile.models.architectures import configure
from lascompile.workload import LayoutWorkload

CPU, GPU = DEVICES["zen4"], DEVICES["v100"]
LASNET, STATIC = configure("lasnet_resnet50"), configure("resnet50")


def _total(predictor: NetworkPredictor, rate: float, **settings: object) -> float:
    config = configure("lasnet_resnet50", **settings)  # type: ignore[arg-type]
    return sum(block.latency_s for block in predictor.network(config, rate))


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_predicts_and_less_work_takes_less_time(name: str) -> None:
    predictor = NetworkPredictor(device_of(DEVICES[name]))
    totals = [_total(predictor, rate) for rate in (0.1, 0.3, 0.5, 0.7, 1.0)]
    assert totals == sorted(totals)
    assert 1e-5 < totals[0] < totals[-1] < 60


def test_a_network_is_stem_blocks_and_head() -> None:
    blocks = NetworkPredictor(device_of(CPU, 2)).network(LASNET, 0.5)
    assert [block.name for block in blocks] == ["stem", *LASNET.block_names, "head"]
    inner = blocks[2]
    assert inner.rate == 0.5
    assert sum(inner.part_s(part) for part in PARTS) == pytest.approx(inner.latency_s)
    assert inner.low_s < inner.latency_s < inner.high_s
    assert {chosen.algorithm for chosen in inner.kernels if chosen.algorithm} <= {"direct", "winograd2", "winograd4"}


def test_a_network_without_masks_does_not_depend_on_the_rate() -> None:
    predictor = NetworkPredictor(device_of(CPU, 2))
    assert predictor.network(STATIC, 0.1) == predictor.network(STATIC, 0.9)
    assert all(not block.part_s("masker") and not block.part_s("lists") for block in predictor.network(STATIC, 1.0))


def test_blocks_may_have_rates_of_their_own() -> None:
    predictor = NetworkPredictor(device_of(CPU, 2))
    rates = [0.1] * 8 + [0.9] * 8
    blocks = predictor.network(LASNET, rates)
    assert [block.rate for block in blocks[1:-1]] == rates
    with pytest.raises(UsageError, match="3 activation rates for 16 blocks"):
        predictor.network(LASNET, [0.5] * 3)
    with pytest.raises(UsageError, match="activation rate 1.5: it must be from 0 to 1"):
        predictor.network(LASNET, 1.5)


def test_a_batch_takes_longer_and_no_more_than_its_images_one_by_one() -> None:
    predictor = NetworkPredictor(device_of(CPU, 2))
    one, eight = (sum(b.latency_s for b in predictor.network(LASNET, 0.5, batch)) for batch in (1, 8))
    assert one < eight < 8.5 * one


def test_fine_patches_cost_more_than_coarse_ones_on_a_server_gpu() -> None:
    """As in the paper's figure 5: a dilated mask of single pixels covers most of the map."""
    predictor = NetworkPredictor(device_of(GPU))
    fine, coarse = (BlockShape(256, 64, 256, (56, 56), granularity=side, batch=128) for side in (1, 8))
    assert predictor.block(fine, 0.5).latency_s > predictor.block(coarse, 0.5).latency_s


def test_shapes_are_those_of_the_zoo() -> None:
    first, second = block_shapes(LASNET)[2:4]
    assert first == BlockShape(256, 64, 256, (56, 56), granularity=4)
    assert second == BlockShape(256, 128, 512, (28, 28), stride=2, granularity=4)
    assert not block_shapes(configure("lasnet_resnet18"))[0].bottleneck


def test_what_a_gpus_cache_cannot_hold_comes_from_memory() -> None:
    layout, base = LayoutWorkload((128, 3, 224, 224), True), 4 * 2 * 128 * 3136 * 256
    seconds = GpuModel(GPU).predict(layout, 0).latency_s
    assert seconds > 2 * 4 * 128 * 3 * 224 * 224 / GPU.memory_bytes_per_s
    kernels = NetworkPredictor(device_of(GPU)).network(LASNET, 0.5, 128)[1].kernels
    [spread] = [chosen for chosen in kernels if chosen.kernel.part == "base"]
    assert spread.prediction.latency_s > base / GPU.memory_bytes_per_s
