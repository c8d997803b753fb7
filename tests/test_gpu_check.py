"""The check of a GPU: one table, and one line where there is none."""

import pytest
import torch
from click.testing import CliRunner

from livestock_utils.cli import cli
from livestock_utils.detect.train.gpu_check import gpu_check


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    told = CliRunner().invoke(cli, ["check-gpu", str(tmp_path / "check")])
    assert told.exit_code == 0 and told.output == "There is no GPU here: nothing was checked.\n"
    assert not (tmp_path / "check").exists()


@pytest.mark.slow
def test_every_check_ends_with_a_finding(tmp_path):
    table = gpu_check(tmp_path, "cpu").set_index("check")
    assert (table["state"] == "ok").all(), table.to_string()
    assert table["found"]["kill and resume"].endswith("last weights differ by at most 0")
    assert table["found"]["training"].startswith("2 epochs, ")


def test_a_failing_check_is_a_row_and_does_not_stop_the_others(tmp_path, monkeypatch):
    from livestock_utils.detect.train import gpu_check as module

    def broken(*_):
        raise RuntimeError("no kernel\nimage is available")

    for name in ("_trained", "_resumed", "_precisions", "_exported"):
        monkeypatch.setattr(module, name, broken)
    table = gpu_check(tmp_path, "cpu").set_index("check")
    assert table["state"].tolist().count("failed") == 5
    assert table["found"]["training"] == "no kernel image is available"
