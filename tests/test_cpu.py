"""Whether this process may use the tile unit (AMX), and how long its threads have waited."""

from __future__ import annotations

import pytest

from lascompile import cpu
from tests.tile_unit import needs_tiles


class System:
    """A C library whose system calls all give the same answer."""

    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.calls: list[tuple[int, ...]] = []

    def syscall(self, *arguments: int) -> int:
        self.calls.append(arguments)
        return self.answer


@pytest.mark.parametrize(("answer", "permitted"), [(0, True), (-1, False)])
def test_linux_is_asked(answer, permitted, monkeypatch):
    system = System(answer)
    monkeypatch.setattr(cpu.ctypes, "CDLL", lambda name, use_errno=False: system)
    monkeypatch.setattr(cpu, "processor", lambda: "x86_64")
    assert cpu.permit_tiles.__wrapped__() is permitted
    # arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
    assert system.calls == [(158, 0x1023, 18)]


def test_another_processor_is_not_asked(monkeypatch):
    system = System(0)
    monkeypatch.setattr(cpu.ctypes, "CDLL", lambda name, use_errno=False: system)
    monkeypatch.setattr(cpu, "processor", lambda: "aarch64")
    assert cpu.permit_tiles.__wrapped__() is False and system.calls == []


@pytest.mark.parametrize("permitted", [True, False])
def test_tiles_are_a_feature_only_with_permission(permitted, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("flags : avx2 avx512f avx512_bf16 amx_tile amx_bf16\n")
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(cpu, "processor", lambda: "x86_64")
    monkeypatch.setattr(cpu, "permit_tiles", lambda: permitted)
    tiles = cpu.TILE_FEATURES if permitted else frozenset()
    assert cpu.host_features.__wrapped__() == {"avx2", "avx512f", "avx512bf16"} | tiles


def test_nobody_asks_for_tiles_that_are_not_there(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("flags : avx2 avx512f\n")
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(cpu, "processor", lambda: "x86_64")
    monkeypatch.setattr(cpu, "permit_tiles", lambda: pytest.fail("asked"))
    assert cpu.host_features.__wrapped__() == {"avx2", "avx512f"}


@needs_tiles
def test_permission_can_be_asked_for_again():
    assert cpu.permit_tiles.__wrapped__() and cpu.permit_tiles()


def test_what_all_threads_have_waited(monkeypatch, tmp_path):
    """One has ended since the folder was listed, and of one the system does not tell."""
    for thread, text in (("1", "500 1500000000 7\n"), ("2", "0 250000000 1\n"), ("3", None), ("4", "")):
        (tmp_path / thread).mkdir()
        if text is not None:
            (tmp_path / thread / "schedstat").write_text(text)
    (tmp_path / "3" / "schedstat").symlink_to("gone")
    monkeypatch.setattr(cpu, "_THREADS", tmp_path)
    assert cpu.waited_for_cpu_s() == pytest.approx(1.75)


def test_what_the_threads_of_this_process_have_waited():
    assert cpu.waited_for_cpu_s() >= 0


@pytest.mark.parametrize(
    ("limits", "threads"),
    [
        ({}, 8),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"OMP_NUM_THREADS": "100"}, 8),
        ({"OMP_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "2"}, 2),
        *(({"OMP_NUM_THREADS": said}, 8) for said in ("", "0", "-1", "many", "1.5", ",")),
    ],
)
def test_the_environment_limits_the_threads(limits, threads, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    for name, said in limits.items():
        monkeypatch.setenv(name, said)
    monkeypatch.setattr(cpu, "physical_cores", lambda: 8)
    assert cpu.default_threads() == threads
