"""LASNet (arXiv 2210.06223) in PyTorch: the zoo, its calibration and its export to ONNX.

The way through, and the files in their order:

```
create_model("lasnet_resnet50", granularity=(4, 4, 2, 1))  config, architectures, masker, blocks, resnet,
                                                           initialize, zoo
prepare(model, images, activation_rate=0.5)                checkpoint, batch_norm, cues, activation_rate,
                                                           preparation
export(model, "m.onnx")                                    onnx_export
natural_images(8, 224, seed=0)                             images, photos: numpy and pillow only
```

Needs PyTorch (`pip install 'lascompile[models]'`), except for `config`, `architectures`, `images` and `photos`;
importing this package loads nothing. Nothing here knows the compiler: a model of the zoo reaches it as an ONNX file
like any other.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lascompile.models.architectures import ZOO as ZOO
    from lascompile.models.checkpoint import load_checkpoint as load_checkpoint
    from lascompile.models.config import ResNetConfig as ResNetConfig
    from lascompile.models.images import natural_images as natural_images
    from lascompile.models.onnx_export import export as export
    from lascompile.models.preparation import prepare as prepare
    from lascompile.models.resnet import ResNet as ResNet
    from lascompile.models.zoo import create_model as create_model

__all__ = [
    "ZOO",
    "ResNet",
    "ResNetConfig",
    "create_model",
    "export",
    "load_checkpoint",
    "natural_images",
    "prepare",
]

_LAZY = {
    "ZOO": "architectures",
    "ResNet": "resnet",
    "ResNetConfig": "config",
    "create_model": "zoo",
    "export": "onnx_export",
    "load_checkpoint": "checkpoint",
    "natural_images": "images",
    "prepare": "preparation",
}


def __getattr__(name: str) -> object:
    """Import what `_LAZY` names when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
