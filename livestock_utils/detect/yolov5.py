"""The one door to yolov5 7.0.14: imported without side effects, fit for today.

Everything that the door changes (module stubs, replaced functions, warning filters) is undone when
its block ends. Only yolov5's own modules stay imported; a finished model needs no open door.
"""

import contextlib
import functools
import importlib
import inspect
import logging
import logging.config
import os
import re
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from livestock_utils.core.errors import LivestockError
from livestock_utils.core.progress import progress
from livestock_utils.core.threads import swapped
from livestock_utils.detect import pickles
from livestock_utils.detect.pickles import old_names
from livestock_utils.install import YOLOV5_VERSION, yolov5_folder

_UTILS = ("plots", "loss", "metrics", "general", "autoanchor", "autobatch", "dataloaders")
_PARTS = {
    **{"yolo": "models.yolo", "common": "models.common", "val": "val"},
    **{name: f"utils.{name}" for name in (*_UTILS, "torch_utils", "augmentations")},
}
"""Attribute of the open door -> module below the package `yolov5`."""

_AMP_WARNING = (
    r"`torch\.cuda\.amp\.(GradScaler|autocast|custom_fwd|custom_bwd)\(args\.\.\.\)` is deprecated"
)


class Yolov5(types.SimpleNamespace):
    """The open door: yolov5's modules by short names (see _PARTS)."""

    def module(self, name: str) -> Any:
        """Import another module of yolov5 by its name below the package, such as "train"."""
        with _quiet_import():
            return importlib.import_module(f"yolov5.{name}")

    def architecture(self, name: str) -> dict[str, Any]:
        """What the architecture file of "yolov5n", ... says."""
        text = Path(self.model_file(name)).read_text(encoding="ascii", errors="ignore")
        return yaml.safe_load(text)

    def model_file(self, name: str) -> str:
        """Path of the architecture file of "yolov5n", ...; LivestockError lists them."""
        found = (yolov5_folder() / "yolov5" / "models").glob("**/yolov5*.yaml")
        known = {str(path.stem): str(path) for path in found}
        known = {stem: known[stem] for stem in known if re.fullmatch("yolov5[nsmlx]6?", stem)}
        if name not in known:
            raise LivestockError(
                f"unknown model {name!r}: expected one of {', '.join(sorted(known))}"
            )
        return known[name]


@contextlib.contextmanager
def yolov5(trust: bool = False) -> Iterator[Yolov5]:
    """Open the door: yields yolov5's modules with every shim in place; may be nested. Only with
    `trust` may yolov5's own `torch.load` calls pass the allow-list of `pickles`."""
    parts = modules()
    with contextlib.ExitStack() as stack:
        for shim in SHIMS:
            for target, name, value in shim(parts):
                stack.enter_context(mock.patch.object(target, name, value, create=True))
        stack.enter_context(old_names())
        stack.enter_context(_safe_torch_load(parts, trust))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message=_AMP_WARNING, category=FutureWarning)
        yield parts


@functools.cache
def modules() -> Yolov5:
    """yolov5's modules, imported once without side effects; the shims come with `yolov5()`."""
    folder = yolov5_folder()
    if not (folder / "yolov5" / "__init__.py").is_file():
        raise LivestockError(
            f"yolov5 {YOLOV5_VERSION} is not installed: run python -m livestock_utils.install"
        )
    parts = Yolov5()
    for name, path in _PARTS.items():
        setattr(parts, name, parts.module(path))
    if parts.general.LOGGER.level == logging.NOTSET:
        parts.general.LOGGER.setLevel(logging.WARNING)  # summaries and banners at INFO, on request
    return parts


@contextlib.contextmanager
def _quiet_import() -> Iterator[None]:
    """sys.path, stubs and muted setters while a module of yolov5 is imported. yolov5 sets print
    options of numpy, pandas and torch, OpenCV's threads, matplotlib's backend (no more inline
    figures), logging (which closes everybody's handlers), environment variables (OMP_NUM_THREADS
    too), sys.path and warning filters. None of them outlives the import."""
    import cv2
    import matplotlib
    import numpy as np
    import pandas as pd
    import torch

    hidden = {name: sys.modules.get(name) for name in _stubs()}
    setters = [(torch, "set_printoptions"), (np, "set_printoptions"), (cv2, "setNumThreads")]
    setters += [(matplotlib, "use"), (matplotlib, "rc"), (logging.config, "dictConfig")]
    folder, columns = str(yolov5_folder()), "display.max_columns"
    with contextlib.ExitStack() as stack:
        for target, name in setters:
            stack.enter_context(mock.patch.object(target, name, _nothing))
        stack.enter_context(pd.option_context(columns, pd.get_option(columns)))
        stack.enter_context(warnings.catch_warnings())
        # Else the import makes a folder in the user's home.
        stack.enter_context(swapped(os.environ, {"YOLOV5_CONFIG_DIR": folder}))
        stack.enter_context(mock.patch.object(sys, "path", [folder, *sys.path]))
        sys.modules.update(_stubs())
        try:
            yield
        finally:
            for name, module in hidden.items():
                sys.modules.pop(name, None)
                if module is not None:
                    sys.modules[name] = module


def _stubs() -> dict[str, types.ModuleType]:
    """Modules that yolov5 imports and nothing here uses. pkg_resources is gone from setuptools 82;
    of ultralytics (AGPL-3.0) check_requirements, which would run pip; roboflow is for uploads of
    train.py."""
    from packaging.version import parse

    members: dict[str, dict[str, Any]] = {
        "pkg_resources": {"parse_version": parse},
        **{"ultralytics": {}, "ultralytics.utils": {}},
        "ultralytics.utils.checks": {"check_requirements": _nothing},
        **{"roboflow": {"Roboflow": None}, "roboflow.core": {}},
        "roboflow.core.version": {"Version": None},
    }
    stubs = {name: types.ModuleType(name) for name in members}
    for name, stub in stubs.items():
        vars(stub).update(members[name], __path__=[])  # packages: names below can be imported
    return stubs


def _nothing(*_: object, **__: object) -> None:
    """Stand in for a function whose effect is not wanted."""


# ---- shims: each gives (target, name, replacement)

_Replacement = tuple[Any, str, Any]


def numpy_trapz(_: Yolov5) -> list[_Replacement]:
    """numpy 2.4 removed np.trapz, which the average precision calls."""
    import numpy as np

    return [] if hasattr(np, "trapz") else [(np, "trapz", np.trapezoid)]


def pillow_getsize(_: Yolov5) -> list[_Replacement]:
    """Pillow 10 removed FreeTypeFont.getsize: label mosaics went missing silently."""
    from PIL import ImageFont

    def getsize(self: Any, text: str) -> tuple[int, int]:
        return tuple(round(v) for v in self.getbbox(text)[2:])

    font = ImageFont.FreeTypeFont
    return [] if hasattr(font, "getsize") else [(font, "getsize", getsize)]


def fonts(parts: Yolov5) -> list[_Replacement]:
    """yolov5 7.0.14 downloads Arial.ttf on first use; matplotlib ships DejaVu Sans."""
    from matplotlib import font_manager
    from PIL import ImageFont

    def check_pil_font(font: str = "", size: int = 10) -> Any:
        return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)

    quiet = [(module, "check_font", _nothing) for module in (parts.plots, parts.general)]
    return [(parts.plots, "check_pil_font", check_pil_font), *quiet]


def threads_and_errors(parts: Yolov5) -> list[_Replacement]:
    """yolov5 7.0.14 draws in threads and swallows exceptions: draw here, let errors out."""
    base = sys.modules["yolov5.utils"]

    class Inline:
        def __init__(self, target: Callable, args: tuple = (), kwargs: Any = None, **_: Any):
            self.start = functools.partial(target, *args, **(kwargs or {}))

    stand_in = types.SimpleNamespace(**{**vars(threading), "Thread": Inline})
    return [(base, "threading", stand_in), (base.TryExcept, "__exit__", lambda *_: None)]


def backend(_: Yolov5) -> list[_Replacement]:
    """yolov5 7.0.14 switches matplotlib's backend and seaborn's theme while it draws."""
    import matplotlib
    import seaborn

    return [(matplotlib, "use", _nothing), (seaborn, "set", _nothing)]


def albumentations_arguments(parts: Yolov5) -> list[_Replacement]:
    """albumentations 2 rejects yolov5's arguments: it would train without; ours goes in."""

    return [(parts.dataloaders, "Albumentations", lambda size=640: keep_as_it_is)]


def keep_as_it_is(image: Any, labels: Any) -> tuple[Any, Any]:
    """The augmentation that does nothing (named, so that workers can be handed it)."""
    return image, labels


def hub_lookups(parts: Yolov5) -> list[_Replacement]:
    """yolov5 7.0.14 takes a path for a hub id and imports what huggingface_hub 0.25 lost."""
    names = ("utils.downloads", "models.experimental", "models.common", "train")

    def local_only(file: Any, *_: object, **__: object) -> str:
        if not os.path.isfile(file):
            raise LivestockError(
                f"weights file not found: {file}; give the path of a file that is there"
            )
        return str(file)

    stand_ins = {"attempt_download": local_only, "attempt_download_from_hub": _nothing}
    return [
        (module, name, stand_in)
        for module in (sys.modules.get(f"yolov5.{module}") for module in names)
        for name, stand_in in stand_ins.items()
        if hasattr(module, name)
    ]


def nms_time_limit(parts: Yolov5) -> list[_Replacement]:
    """yolov5 7.0.14 leaves images without boxes when suppression is slow: no clock."""
    suppress = inspect.unwrap(parts.general.non_max_suppression)

    def without_limit(*args: Any, **kwargs: Any) -> Any:
        frozen = types.SimpleNamespace(**{**vars(time), "time": lambda: 0.0})
        with mock.patch.object(parts.general, "time", frozen):
            return suppress(*args, **kwargs)

    functools.update_wrapper(without_limit, suppress)
    modules = (parts.general, parts.val, parts.common)
    return [(module, "non_max_suppression", without_limit) for module in modules]


def progress_bars(parts: Yolov5) -> list[_Replacement]:
    """yolov5 7.0.14 draws its bars into logs and headless notebooks."""
    modules = (parts.autoanchor, parts.val, parts.dataloaders)
    return [(module, "tqdm", progress) for module in modules]


SHIMS = (
    *(numpy_trapz, pillow_getsize, fonts, threads_and_errors, backend),
    *(albumentations_arguments, hub_lookups, nms_time_limit, progress_bars),
)


@contextlib.contextmanager
def _safe_torch_load(parts: Yolov5, trust: bool) -> Iterator[None]:
    """torch 2.6 loads with weights_only=True, which refuses yolov5's models: allow-list."""
    import torch

    original = torch.load

    def load(file: Any, map_location: Any = None, **kwargs: Any) -> Any:
        if kwargs.get("weights_only") is not None or getattr(original, "is_safe_load", False):
            return original(file, map_location=map_location, **kwargs)
        return pickles.load_pickle(parts, file, map_location, trust, original)

    load.is_safe_load = True  # type: ignore[attr-defined]  # marks an outer door's loader
    with mock.patch.object(torch, "load", load):
        yield
