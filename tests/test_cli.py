"""The command line's own promises: help, exit codes, one red line."""

import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from livestock_utils import cli
from livestock_utils.core import errors


def invoke(*arguments):
    return CliRunner().invoke(cli.cli, arguments)


@pytest.fixture
def failing():
    """A command that raises what it is told to."""

    @cli.cli.command("fail-for-test")
    @click.argument("kind")
    def fail(kind):
        raise {
            "ours": errors.ArchiveError("a.zip: expected a zip, got 3 bytes"),
            "bug": KeyError("bug"),
        }[kind]

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


@pytest.mark.parametrize("name", sorted(cli.cli.commands))
def test_the_examples_are_what_the_parser_takes(name, monkeypatch):
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)
    lines = [line.strip() for line in (cli.cli.commands[name].help or "").splitlines()]
    examples = [line for line in lines if line.startswith("python -m livestock_utils")]
    assert examples
    for line in examples:
        assert len(line) <= 108, "wider than the help text"
        assert cli.cli.commands[name].make_context(name, shlex.split(line)[4:])


def test_exit_codes_and_completion_are_told():
    shown = invoke("--help").output
    assert (
        "Exit codes: 0 done; 1 an error" in shown
        and "_LIVESTOCK_UTILS_COMPLETE=bash_source" in shown
    )


@pytest.mark.parametrize("name", ["check", "score", "validate"])
def test_what_scripts_ask_for_comes_as_json(name):
    assert "--json" in {option for param in cli.cli.commands[name].params for option in param.opts}


def test_own_errors_are_one_line_and_exit_code_1(failing):
    done = invoke("fail-for-test", "ours")
    assert (done.exit_code, done.stderr) == (1, "error: a.zip: expected a zip, got 3 bytes\n")


def test_other_errors_keep_their_traceback(failing):
    done = invoke("fail-for-test", "bug")
    assert isinstance(done.exception, KeyError)


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["run"], ["run", "--data", "x", "--out", "y", "-p", "n"]]
)
def test_wrong_usage_is_exit_code_2(arguments):
    assert invoke(*arguments).exit_code == 2


def test_starting_is_light():
    code = (
        "import sys; from livestock_utils import cli; sys.exit(bool({'torch', 'pandas', "
        "'matplotlib', 'papermill', 'cv2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
