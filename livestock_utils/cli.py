"""The command line: one small command a task, each calling the library.

Exit codes: 0 done, 1 an error that is told in one red line, 2 wrong usage, 130 interrupted.
Commands import what they need inside, so that `--help` is instant and no command pays for another's imports.
"""

import logging
import sys
from pathlib import Path

import click

from livestock_utils import __version__
from livestock_utils.errors import LivestockError

FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
NEW_FILE = click.Path(path_type=Path, dir_okay=False)


class Group(click.Group):
    """A click group that tells the library's own errors in one red line and keeps the tracebacks of all others."""

    def invoke(self, ctx: click.Context):
        """Run the command; a LivestockError becomes one line on stderr and exit code 1."""
        try:
            return super().invoke(ctx)
        except LivestockError as error:
            click.secho(f"error: {error}", fg="red", err=True)
            ctx.exit(1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="livestock_utils")
@click.option("-v", "--verbose", is_flag=True, help="Also tell what the library does on the way.")
def cli(verbose: bool) -> None:
    """Finding pigs and cows in barn photos with YOLOv5: data, notebooks and scores from the command line."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `python -m livestock_utils`; leaves the process with the exit codes above."""
    cli(args=sys.argv[1:] if arguments is None else arguments, prog_name="python -m livestock_utils")
