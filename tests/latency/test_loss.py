"""The latency term of a training loss: values of the predictor, and gradients that follow its slopes."""

from __future__ import annotations

import pytest
import torch

from lascompile.errors import UsageError
from lascompile.latency import LatencyLoss
from lascompile.latency.network import NetworkPredictor, device_of
from lascompile.machine import DEVICES
from lascompile.models.architectures import configure

CONFIG = configure("lasnet_resnet50")


@pytest.fixture(scope="module")
def predictor() -> NetworkPredictor:
    return NetworkPredictor(device_of(DEVICES["zen4"], 2))


@pytest.fixture(scope="module")
def loss(predictor: NetworkPredictor) -> LatencyLoss:
    return LatencyLoss(predictor, CONFIG, budget_s=20e-3, points=11)


def test_at_its_knots_it_is_the_predictor(predictor: NetworkPredictor, loss: LatencyLoss) -> None:
    for rate in (0.1, 0.5, 1.0):
        expected = sum(block.latency_s for block in predictor.network(CONFIG, rate))
        assert float(loss.latency_s(torch.full((16,), rate))) == pytest.approx(expected, rel=0.02)


def test_latency_grows_with_every_rate(loss: LatencyLoss) -> None:
    for block in range(16):
        rates = torch.full((21, 16), 0.5, dtype=torch.float64)
        rates[:, block] = torch.linspace(0, 1, 21)
        seconds = torch.stack([loss.latency_s(row) for row in rates])
        assert (seconds.diff() >= 0).all() and seconds[-1] > seconds[0]


def test_gradients_are_those_of_differences(loss: LatencyLoss) -> None:
    rates = (0.15 + 0.7 * torch.rand(16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    rates = ((rates * 10).floor() + 0.5) / 10  # between the knots
    rates.requires_grad_()
    assert torch.autograd.gradcheck(lambda given: 1e3 * loss.latency_s(given), (rates,), eps=1e-6)
    assert torch.autograd.gradcheck(loss, (rates,), eps=1e-6)


def test_within_the_budget_there_is_nothing_to_pay(loss: LatencyLoss) -> None:
    assert float(loss(torch.zeros(16))) == 0
    above = float(loss.latency_s(torch.ones(16))) / 20e-3 - 1
    assert float(loss(torch.ones(16))) == pytest.approx(above**2)


def test_training_finds_rates_within_the_budget(loss: LatencyLoss) -> None:
    logits = torch.full((16,), 3.0, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        rates = torch.sigmoid(logits)
        value = 1e4 * loss(rates) + ((1 - rates) ** 2).sum()  # as many patches as the budget allows
        value.backward()
        optimizer.step()
    rates = torch.sigmoid(logits.detach())
    assert float(loss.latency_s(rates)) == pytest.approx(20e-3, rel=0.05)
    assert 0.1 < float(rates.mean()) < 0.9


def test_a_list_of_numbers_will_do_and_the_wrong_number_will_not(loss: LatencyLoss) -> None:
    one_by_one = loss.latency_s([torch.tensor(0.5)] * 16)
    assert float(one_by_one) == pytest.approx(float(loss.latency_s(torch.full((16,), 0.5))))
    with pytest.raises(UsageError, match=r"rates are \[3\], but there is one for each of 16 blocks"):
        loss.latency_s(torch.ones(3))


def test_what_makes_no_sense_is_refused(predictor: NetworkPredictor) -> None:
    with pytest.raises(UsageError, match="without masks"):
        LatencyLoss(predictor, configure("resnet50"), 1e-2)
    with pytest.raises(UsageError, match="budget_s is 0"):
        LatencyLoss(predictor, CONFIG, 0)
    with pytest.raises(UsageError, match="points is 1"):
        LatencyLoss(predictor, CONFIG, 1e-2, points=1)
