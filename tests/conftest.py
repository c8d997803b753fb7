"""What all tests share."""

import os
import sys

import pytest

if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # before torch is imported: two workers with all cores each wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def figures_closed():
    """No test sees another's figures."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
