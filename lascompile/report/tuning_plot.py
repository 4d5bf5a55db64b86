"""A plot of a tuning: how the network's time, and that of its costliest tasks, fell with the trials."""

from __future__ import annotations

from pathlib import Path

from lascompile.files import writing
from lascompile.tune.progress import Progress, TaskProgress

_MOST_LINES = 8


def plot_tuning(progress: Progress, path: Path) -> None:
    """Write the best latency over trials as the image `path`, relative to the first one of each task.

    Raises:
        OSError: The file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    for task in _costliest(progress):
        trials, latencies = zip(*task.history, strict=True)
        relative = [latency / latencies[0] for latency in latencies]
        axes.step([*trials, progress.trials], [*relative, relative[-1]], where="post", label=task.task.name)
    axes.set(xlabel="trials of all tasks", ylabel="best latency / first latency", ylim=(0, None))
    axes.set_title(f"{progress.trials} trials, {len(progress.tasks)} tasks; the costliest are shown", fontsize=10)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
    with writing(path) as file:
        figure.savefig(file, format="png", dpi=120)
    pyplot.close(figure)


def _costliest(progress: Progress) -> list[TaskProgress]:
    pairs = sorted(zip(progress.shares(), progress.tasks, strict=True), key=lambda pair: -pair[0])
    return [task for _, task in pairs if task.history][:_MOST_LINES]
