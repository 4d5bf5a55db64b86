"""Other runtimes to compare with, each set up as it is fastest for one request at a time.

A baseline = one function that loads a model and returns a call, and a row in `BASELINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from lascompile.frontend.counterpart import model_bytes

Call = Callable[[], list[np.ndarray]]
Opener = Callable[[ir.Model, Sequence[np.ndarray], int], Call]
ClientsOpener = Callable[[ir.Model, Sequence[np.ndarray], int, int], list[Call]]


@dataclass(frozen=True)
class Baseline:
    """A row of `BASELINES`.

    Attributes:
        name: As on the command line.
        open: Load a canonical model, and bind it to inputs and a number of threads; ModuleNotFoundError
            where the runtime is not installed, UnsupportedModelError where it cannot run the model.
        open_many: The same for so many clients that call at the same time; None where they share what `open` gives.
    """

    name: str
    open: Opener
    open_many: ClientsOpener | None = None

    def open_clients(
        self, model: ir.Model, inputs: Sequence[np.ndarray], threads: int, clients: int = 1
    ) -> list[Call]:
        """What each client calls; of one loaded model, set up as it is fastest for so many of them."""
        if clients == 1 or self.open_many is None:
            return [self.open(model, inputs, threads)] * clients
        return self.open_many(model, inputs, threads, clients)


def open_onnxruntime(model: ir.Model, inputs: Sequence[np.ndarray], threads: int) -> Call:
    """All graph optimisations; its threads spin, which is its default and fastest while nothing else runs."""
    from lascompile.silent_onnxruntime import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model_bytes(model), options, providers=["CPUExecutionProvider"])
    feeds = dict(zip((value.name for value in session.get_inputs()), inputs, strict=True))
    return lambda: session.run(None, feeds)


def open_openvino(model: ir.Model, inputs: Sequence[np.ndarray], threads: int) -> Call:
    """Hint LATENCY, float32 throughout; inputs and outputs are shared, not copied."""
    return _openvino_requests(model, inputs, threads, 1, "LATENCY")[0]


def open_openvino_clients(
    model: ir.Model, inputs: Sequence[np.ndarray], threads: int, clients: int
) -> list[Call]:
    """Hint THROUGHPUT, which runs several requests at the same time; each client has one."""
    return _openvino_requests(model, inputs, threads, clients, "THROUGHPUT")


def _openvino_requests(
    model: ir.Model, inputs: Sequence[np.ndarray], threads: int, count: int, hint: str
) -> list[Call]:
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": hint,
        # bfloat16 is its default on CPUs that have it: another computation.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(model_bytes(model)), "CPU", settings)
    feeds = dict(enumerate(inputs))

    def bind(request: Any) -> Call:
        def call() -> list[np.ndarray]:
            results = request.infer(feeds, share_inputs=True, share_outputs=True)
            return [results[position] for position in range(len(results))]

        return call

    return [bind(compiled.create_infer_request()) for _ in range(count)]


def open_torch(model: ir.Model, inputs: Sequence[np.ndarray], threads: int) -> Call:
    """Eager PyTorch in inference mode; weights and images channels-last, converted beforehand."""
    import torch

    from lascompile.bench.torch_graph import TorchGraph, channels_last

    torch.set_num_threads(threads)
    graph = TorchGraph(model)
    tensors = [channels_last(torch.from_numpy(array)) for array in inputs]

    def call() -> list[np.ndarray]:
        with torch.inference_mode():
            return [tensor.numpy() for tensor in graph(*tensors)]

    return call


BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("onnxruntime", open_onnxruntime),
        Baseline("openvino", open_openvino, open_openvino_clients),
        Baseline("torch", open_torch),
    )
}
