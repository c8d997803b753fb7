"""The command line's own promises: help, exit codes, one red line."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from livestock_utils import cli, errors


def invoke(*arguments):
    return CliRunner().invoke(cli.cli, arguments)


@pytest.fixture
def failing():
    """A command that raises what it is told to."""
    @cli.cli.command("fail-for-test")
    @click.argument("kind")
    def fail(kind):
        raise {"ours": errors.ArchiveError("a.zip: expected a zip, got 3 bytes"), "bug": KeyError("bug")}[kind]

    yield
    cli.cli.commands.pop("fail-for-test")


def test_help_lists_every_command_with_a_sentence():
    shown = invoke("--help")
    assert shown.exit_code == 0
    for name, command in cli.cli.commands.items():
        assert name in shown.output
        assert command.get_short_help_str()


@pytest.mark.parametrize("name", sorted(cli.cli.commands))
def test_every_command_explains_itself(name):
    shown = invoke(name, "--help")
    assert shown.exit_code == 0
    assert f"python -m livestock_utils {name}" in shown.output, "give an example"


def test_own_errors_are_one_line_and_exit_code_1(failing):
    done = invoke("fail-for-test", "ours")
    assert (done.exit_code, done.stderr) == (1, "error: a.zip: expected a zip, got 3 bytes\n")


def test_other_errors_keep_their_traceback(failing):
    done = invoke("fail-for-test", "bug")
    assert isinstance(done.exception, KeyError)


@pytest.mark.parametrize("arguments", [["no-such-command"], ["run"], ["run", "--data", "x", "--out", "y", "-p", "n"]])
def test_wrong_usage_is_exit_code_2(arguments):
    assert invoke(*arguments).exit_code == 2


def test_starting_is_light():
    code = ("import sys; from livestock_utils import cli; "
            "sys.exit(bool({'torch', 'pandas', 'matplotlib', 'papermill', 'cv2'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
