"""Progress bars where somebody looks at them: in terminals and open notebooks."""

import importlib.util
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def progress(iterable: Iterable[T] | None = None, **options: Any) -> Any:
    """A tqdm bar over `iterable`, or to `update` by hand; silent unless a person watches."""
    options = {"disable": not watched(), "leave": False, "dynamic_ncols": True} | options
    if _kernel() is not None and not options["disable"] and importlib.util.find_spec("ipywidgets"):
        from tqdm.notebook import tqdm as notebook_tqdm

        return notebook_tqdm(iterable, **options)
    from tqdm import tqdm

    return tqdm(iterable, **options)


def watched() -> bool:
    """True in a terminal and in a notebook that a person runs; False headless and in pipes."""
    kernel = _kernel()
    if kernel is not None:
        # Headless clients (nbclient, which papermill and nbconvert build on) tell the kernel that
        # nobody can answer input(); Jupyter, VS Code and Colab offer it.
        return bool(getattr(kernel, "_allow_stdin", True))
    return bool(getattr(sys.stderr, "isatty", bool)())


def _kernel() -> Any:
    """The Jupyter kernel that this code runs in, or None; does not import IPython itself."""
    if "IPython" not in sys.modules:
        return None
    return getattr(sys.modules["IPython"].get_ipython(), "kernel", None)
