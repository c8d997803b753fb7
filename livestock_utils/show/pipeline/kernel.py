"""The kernel of the headless runs: always this Python and this library."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

import zmq
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets import Instance, default

from livestock_utils.core.project import PACKAGE


class _ThisPythonSpecs(KernelSpecManager):
    """Answers any kernel name with ipykernel on `sys.executable`: a registered "python3" may be
    another interpreter."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The spec that starts `sys.executable -m ipykernel_launcher` with this library."""
        # Set before ipykernel is imported, and inherited by the kernel: its debugger else writes
        # four lines to stderr.
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        from ipykernel.kernelspec import get_kernel_dict

        values: dict[str, Any] = get_kernel_dict()
        # The kernel's own log is not for readers: cells tell their errors in the notebook.
        values["argv"] = [sys.executable, *values["argv"][1:], "--IPKernelApp.log_level=CRITICAL"]
        library = str(PACKAGE.parent)
        paths = [library, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        values["env"] = {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
        return KernelSpec(**values)


class _ThisPythonKernel(AsyncKernelManager):
    """A kernel manager that knows only `_ThisPythonSpecs`, for papermill."""

    kernel_spec_manager = Instance(KernelSpecManager)
    stderr: ClassVar[BinaryIO]

    def __init__(self, **options: Any) -> None:
        """As the base; encrypts the local connection where the releases can."""
        super().__init__(**options)
        if self.has_trait("transport_encryption") and zmq.has("curve"):
            self.transport_encryption = "auto"

    @default("kernel_spec_manager")
    def _this_python(self) -> KernelSpecManager:
        return _ThisPythonSpecs(parent=self)

    def start_kernel(self, **options: Any) -> Any:
        """As the base; what the process itself writes to stderr goes to the file of the class."""
        return super().start_kernel(**options, stderr=self.stderr)


def this_python_kernel(stderr: BinaryIO) -> type[AsyncKernelManager]:
    """The kernel manager for papermill, which takes a class. `stderr` gets what no cell shows: last
    words of a process that dies, and ipykernel's tracebacks when its end races its own output."""
    return type("ThisPythonKernel", (_ThisPythonKernel,), {"stderr": stderr})


@contextlib.contextmanager
def shared_cores(kernels: int) -> Iterator[None]:
    """Give each of `kernels` kernels its share of the cores, unless OMP_NUM_THREADS is set: two
    trainings that both use all cores are many times slower than one after the other."""
    if kernels < 2 or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(max(cores // kernels, 1))
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
