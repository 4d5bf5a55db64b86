"""Which decisions to try next: MetaSchedule's evolutionary search, led by its xgboost cost model.

Half of every proposal comes from close by: decisions that differ in one field from the fastest so far, of each field
the ones that the model holds for the fastest. Evolution alone finds the region of the best ones within some fifty
trials and seldom its lowest point, since its mutations start anywhere in a population.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.feature_extractor import PyFeatureExtractor
from tvm.s_tir.meta_schedule.mutator import PyMutator
from tvm.s_tir.meta_schedule.postproc import PyPostproc
from tvm.s_tir.schedule import Trace

from lascompile.schedules.space import Space
from lascompile.tune.genome import carrier, decisions_of, schedule_of, space_function
from lascompile.tune.neighbourhood import Neighbourhood
from lascompile.tune.tasks import TuningTask

_POPULATION = 96
_GENERATIONS = 3
_RANDOM_SHARE = 0.1
"""Share of the candidates that are picked at random, in case the model is wrong."""

_WARM_UP = 16
"""Trials of an algorithm, over all tasks, before its cost model is asked."""

_ENUMERATED = 512
"""A space with fewer points left than this is scored as a whole, and without chance."""

_MOST_CANDIDATES = 1 << 20
_SILENT = logging.getLogger("lascompile.tune.metaschedule")
_SILENT.setLevel(logging.ERROR)


@dataclass(frozen=True)
class Tried:
    """What a search learns from. A latency of None is a failure."""

    decisions: Any
    latency_s: float | None


class CostModel:
    """A gradient-boosted model of one algorithm, shared by all its tasks: what is learnt of one helps with the next."""

    def __init__(self, seed: int) -> None:
        # MetaSchedule asks one extractor for the features of all tasks; the context says which task it is.
        self._extractor = _Features()
        config = ms.cost_model.xgb_model.XGBConfig(seed=seed, nthread=1)
        self.model = ms.cost_model.XGBModel(
            extractor=self._extractor, config=config, num_warmup_samples=_WARM_UP, num_tuning_cores=1
        )
        self._state = np.random.RandomState(seed).get_state()

    def add_task(self, name: str, task: TuningTask, space: Space) -> None:
        """Describe the task whose context is named `name`."""
        self._extractor.tasks[name] = (task, space)

    @contextlib.contextmanager
    def seeded(self) -> Iterator[None]:
        """Before its warm-up is over, MetaSchedule's model draws from NumPy's global generator: here it is ours."""
        outside = np.random.get_state()
        np.random.set_state(self._state)
        try:
            yield
        finally:
            self._state = np.random.get_state()
            np.random.set_state(outside)


class Search:
    """The search of one task.

    Args:
        task: What is tuned.
        model: The cost model of its algorithm.
        known: Trials on record.
        seed: Of all chance.
    """

    def __init__(self, task: TuningTask, model: CostModel, known: Iterable[Tried], seed: int) -> None:
        self.space = task.algorithm.space(task.workload, task.setting.target, task.setting.threads)
        self._tried: set[Any] = set()
        self._measured: list[Tried] = []
        self._neighbourhood = Neighbourhood(self.space)
        self._rng = np.random.default_rng(seed)
        name = f"{task.workload.key()}.{task.algorithm.name}"
        self._module = carrier(name)
        self._target = task.setting.target.to_tvm()
        self._model = model
        self._database = ms.database.MemoryDatabase()
        model.add_task(name, task, self.space)
        self._context = self._make_context(name, seed)
        self._token = self._database.commit_workload(self._context.mod)
        self.learn(list(known))

    def propose(self, count: int) -> list[Any]:
        """Up to `count` decisions that were not tried; the default first; none where all were tried."""
        fresh: dict[Any, None] = {}
        if self.space.default not in self._tried:
            fresh[self.space.default] = None
        fresh |= dict.fromkeys(self._near_fastest((count + 1) // 2))
        # Candidates of a resumed search may be known to the records, though not to MetaSchedule: ask again.
        for _ in range(4):
            if len(fresh) >= count:
                break
            fresh |= dict.fromkeys(item for item in self._generate(count) if item not in self._tried)
        if len(fresh) < count:
            fresh |= dict.fromkeys(self._enumerate(count - len(fresh), {*fresh, *self._tried}))
        chosen = list(fresh)[:count]
        self._tried.update(chosen)
        return chosen

    def learn(self, measured: Sequence[Tried]) -> None:
        """Take in what was measured, failures too."""
        self._tried.update(item.decisions for item in measured)
        inside = [item for item in measured if self.space.position(item.decisions) is not None]
        self._measured += [item for item in inside if item.latency_s is not None]
        candidates, results = [], []
        for item in inside:
            sch = schedule_of(self._module, self.space, item.decisions)
            candidates.append(ms.MeasureCandidate(sch, []))
            seconds = None if item.latency_s is None else [item.latency_s]
            results.append(ms.runner.RunnerResult(seconds, None if seconds else "failed"))
            if seconds:
                self._database.commit_tuning_record(
                    ms.database.TuningRecord(sch.trace, self._token, seconds, self._target, [])
                )
        if candidates:
            self._model.model.update(self._context, candidates, results)

    def _make_context(self, name: str, seed: int) -> ms.TuneContext:
        generator = ms.space_generator.ScheduleFn(
            space_function(self.space),
            sch_rules=[],
            postprocs=[_Allowed(self.space)],
            mutator_probs={_ChangeOne(seed): 1.0},
        )
        strategy = ms.search_strategy.EvolutionarySearch(
            population_size=_POPULATION,
            init_min_unmeasured=1,
            max_fail_count=50,
            genetic_num_iters=_GENERATIONS,
            eps_greedy=_RANDOM_SHARE,
        )
        with _without_tensor_intrinsics():
            context = ms.TuneContext(
                self._module,
                target=self._target,
                space_generator=generator,
                search_strategy=strategy,
                task_name=name,
                rand_state=1 + seed % (2**31 - 2),
                num_threads=1,
                logger=_SILENT,
            )
        designs = context.generate_design_space()
        # How many are asked for at a time is fixed here; what is not needed is thrown away.
        context.pre_tuning(_MOST_CANDIDATES, 16, designs, self._database, self._model.model)
        return context

    def _generate(self, count: int) -> list[Any]:
        with self._model.seeded():
            candidates = self._context.generate_measure_candidates()
        if candidates is None:
            return []
        found = [decisions_of(candidate.sch, self.space) for candidate in candidates]
        # MetaSchedule counts its trials by what it is told of; the results go to the database and the model themselves.
        self._context.notify_runner_results(candidates, [ms.runner.RunnerResult(None, "") for _ in candidates])
        return found[:count]

    def _near_fastest(self, count: int) -> list[Any]:
        """Up to `count` untried decisions one field away from the fastest ones, once there are some."""
        if not self._measured:
            return []
        fastest = min(self._measured, key=lambda item: item.latency_s or 0.0)
        moves = self._neighbourhood.moves(fastest.decisions, self._tried)
        chosen = (decisions for move in moves for decisions in self._best_predicted(move, 1))
        return list(itertools.islice(chosen, count))

    def _best_predicted(self, points: list[Any], count: int) -> list[Any]:
        if not points:
            return []
        candidates = [ms.MeasureCandidate(schedule_of(self._module, self.space, item), []) for item in points]
        with self._model.seeded():
            scores = self._model.model.predict(self._context, candidates)
        return [points[index] for index in np.argsort(-scores, kind="stable")[:count]]

    def _enumerate(self, count: int, known: set[Any]) -> list[Any]:
        """Where evolution finds nothing new: the points that are left, some of them where there are many."""
        left = [decisions for decisions in self.space if decisions not in known]
        if len(left) <= count:
            return left
        picked = self._rng.choice(len(left), min(len(left), _ENUMERATED), replace=False)
        return self._best_predicted([left[index] for index in sorted(picked)], count)


@contextlib.contextmanager
def _without_tensor_intrinsics() -> Iterator[None]:
    """Keep `TuneContext` from importing what schedules of GPUs use: 15 s, and a minute where torch is loaded."""
    name = "tvm.s_tir.tensor_intrin"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = types.ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]


@derived_object
class _Features(PyFeatureExtractor):
    """What the cost model is told: a row of numbers a candidate, by the task's algorithm."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, tuple[TuningTask, Space]] = {}

    def extract_from(self, context: ms.TuneContext, candidates: list[ms.MeasureCandidate]) -> list[tvm.runtime.Tensor]:
        task, space = self.tasks[str(context.task_name)]
        rows = []
        for candidate in candidates:
            decisions = decisions_of(candidate.sch, space)
            numbers = task.algorithm.describe(task.workload, decisions, task.setting.target, task.rate)
            rows.append(tvm.runtime.tensor(np.array([numbers], np.float32)))
        return rows


@derived_object
class _Allowed(PyPostproc):
    """Rejects what the space does not allow."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self._space = space

    def _initialize_with_tune_context(self, context: ms.TuneContext) -> None:
        pass

    def apply(self, sch: Schedule) -> bool:
        return bool(self._space.allows(decisions_of(sch, self._space)))

    def clone(self) -> _Allowed:
        return _Allowed(self._space)


@derived_object
class _ChangeOne(PyMutator):
    """Changes the decision of one field: to a neighbouring value as often as to any other."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._rng = np.random.default_rng(seed)

    def _initialize_with_tune_context(self, context: ms.TuneContext) -> None:
        pass

    def apply(self, trace: Trace, _: object = None) -> Trace | None:
        samples = [one for one in trace.insts if one.kind.name == "SampleCategorical" and len(one.attrs[0]) > 1]
        if not samples:
            return None
        chosen = samples[int(self._rng.integers(len(samples)))]
        count, current = len(chosen.attrs[0]), int(trace.decisions[chosen])
        if self._rng.random() < 0.5:
            value = current + int(self._rng.choice((-1, 1)))
        else:
            value = int(self._rng.integers(count))
        if value == current or not 0 <= value < count:
            return None
        return trace.with_decision(chosen, value, remove_postproc=True)

    def clone(self) -> _ChangeOne:
        return _ChangeOne(self._seed)
