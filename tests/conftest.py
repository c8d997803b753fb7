"""What all tests share."""

import sys

import pytest


@pytest.fixture(autouse=True)
def figures_closed():
    """No test sees another's figures."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
