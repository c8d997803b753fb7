"""What must not move from one processor to another: the sample's bytes, look-alikes and folds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from exact_digests import digests

DIGESTS = {
    "answer.csv": "de1a86a6f0f4",
    "data/[라벨]돼지_bbox": "0632bb10e8cc",
    "data/[라벨]소_bbox": "8e9f691cbab6",
    "data/[원천]돼지_bbox": "2fc73c9a8e04",
    "data/[원천]소_bbox": "1f4571a3e49d",
    "data_test/[원천]돼지_bbox": "403b873bf6dd",
    "data_test/[원천]소_bbox": "c5e513db76ce",
    "scenes.csv": "215e6551d989",
    "truth.csv": "3771cdd812b4",
    "look-alikes": "11a9932890c1",
    "folds": "4b4a1a048e9f",
    "mini": "26629251cdc9",
    "folds of many": "30684df93ea1",
}
OLD_PROCESSOR = {
    "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX512-ICL,AVX512-COMMON,AVX2,FMA3,AVX",
    "OPENCV_IPP": "disabled",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3 AVX512_ICL AVX512_SPR",
}
"""One of 2008: without AVX, AVX2, FMA and AVX-512, and without Intel's primitives."""


def test_the_sample_and_its_folds_have_these_digests(tmp_path):
    found = digests(tmp_path)
    if not cv2.__version__.startswith("5.0."):  # another release may draw and pack otherwise
        pytest.skip(f"the digests are of OpenCV 5.0, this is {cv2.__version__}")
    assert found == DIGESTS


def test_an_old_processor_gives_the_same_bytes(tmp_path):
    script = Path(__file__).with_name("exact_digests.py")
    environment = os.environ | OLD_PROCESSOR | {"PYTHONPATH": str(script.parents[1])}
    made = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(made.stdout) == digests(tmp_path)
