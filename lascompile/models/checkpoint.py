"""Load the weights of the authors' LASNets, of torchvision's ResNets, and of this package's own models."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from lascompile.errors import UsageError
from lascompile.models.resnet import ResNet

_SHOWN = 3
"""Keys of a kind that a message names before it counts the rest."""


def load_checkpoint(model: ResNet, path: str | Path) -> bool:
    """Load a state dict, bare or under `state_dict`, into a model; return whether it brought maskers.

    A static network's file fits a masked model, whose maskers then stay as they are, and a LASNet's file fits
    a static model, which leaves the maskers out. A `module.` in front of the keys is dropped.

    Raises:
        UsageError: no such file, not a checkpoint, or keys or shapes that do not fit (listed in the message).
    """
    state = _without_prefix(_read(Path(path)))
    own = model.state_dict()
    has_maskers = any(_is_masker_key(key) for key in state)
    if not any(_is_masker_key(key) for key in own):
        state = {key: value for key, value in state.items() if not _is_masker_key(key)}
    elif not has_maskers:
        own = {key: value for key, value in own.items() if not _is_masker_key(key)}
    # Files older than PyTorch 0.4.1 lack these counters, and inference does not read them.
    state = {
        **{key: value for key, value in own.items() if key.endswith(".num_batches_tracked")},
        **state,
    }
    problems = _differences(own, state)
    if problems:
        raise UsageError(f"checkpoint {path} does not fit the model: {'; '.join(problems)}")
    model.load_state_dict(state, strict=False)
    return has_maskers


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UsageError(f"checkpoint {path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"checkpoint {path}: not a file of tensors that torch.load(weights_only=True) reads; "
            "write it with torch.save(model.state_dict(), path)"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UsageError(f"checkpoint {path}: holds no state dict, neither bare nor under 'state_dict'")
    odd = next((key for key in content if not isinstance(key, str)), None)
    if odd is not None:
        raise UsageError(f"checkpoint {path}: its keys are names, but one is {odd!r}; save model.state_dict()")
    return content


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo the names that DataParallel gives."""
    return {key.removeprefix("module."): value for key, value in state.items()}


def _is_masker_key(key: str) -> bool:
    return ".masker." in key


def _differences(own: dict[str, Tensor], state: dict[str, Tensor]) -> list[str]:
    """What keeps `state` from being loaded as `own`, a kind a line."""
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    reshaped = [
        f"{key} ({_shape(state[key])}, the model has {_shape(own[key])})"
        for key in own
        if key in state and own[key].shape != state[key].shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "wrong shape": reshaped}
    return [f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in kinds.items() if keys]


def _some(keys: list[str]) -> str:
    rest = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
