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


@cli.command()
@click.option("--data", type=FOLDER, required=True, help="Holds data/ and data_test/ with the archives.")
@click.option("--out", type=FOLDER, required=True, help="Takes notebooks, figures, datasets, weights and the report.")
@click.option("--profile", help="Parameters from a file: sample, colab, or a YAML file of your own.")
@click.option("--only", default="", metavar="01,02", help="Only these notebooks, by number or name.")
@click.option("--from", "start", metavar="05", help="From this notebook on.")
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE",
              help="A parameter; 05.NAME for one notebook.")
@click.option("--force", is_flag=True, help="Run notebooks again that have not changed.")
@click.option("--notebooks", type=EXISTING_FOLDER, help="Another folder of notebooks.  [default: the project's]")
def run(data: Path, out: Path, profile: str | None, only: str, start: str | None, pairs: tuple[tuple[str, str], ...],
        force: bool, notebooks: Path | None) -> None:
    """Run the notebooks in order, headless; the same command again goes on where it stopped.

    \b
    python -m livestock_utils run --data data/sample --out runs/sample --profile sample
    python -m livestock_utils run --data DIR --out DIR --only 05,11 -p epochs 3 -p 05.image_size 320
    """
    from livestock_utils import pipeline, report, run_parameters

    parameters = {name: run_parameters.parse(value) for name, value in pairs}
    chosen = [name.strip() for name in only.split(",") if name.strip()]
    pipeline.run(data, out, notebooks=notebooks, only=chosen, start=start, parameters=parameters, profile=profile,
                 force=force, tell=click.echo)
    click.echo(f"report:  {report.write_report(out)}")
    click.echo(f"metrics: {out / 'metrics.json'}")


@cli.command()
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option("--images", default=200, show_default=True, help="Training images; one in four is of pigs.")
@click.option("--test-images", default=40, show_default=True, help="Test images; 0 writes no test archives.")
@click.option("--seed", default=0, show_default=True, help="Another seed draws other scenes.")
@click.option("--scale", default=1.0, show_default=True, help="Multiplies the frames of 1920x1080 and 1280x960.")
def sample(folder: Path, images: int, test_images: int, seed: int, scale: float) -> None:
    """Draw livestock scenes into DIR, laid out as AI Hub's data, with answers; does nothing if they are there."""
    from livestock_utils.sample import write_sample

    write_sample(folder, n_images=images, n_test_images=test_images, seed=seed, scale=scale)
    click.echo(f"sample data in {folder}: {images} training and {test_images} test images")


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `python -m livestock_utils`; leaves the process with the exit codes above."""
    cli(args=sys.argv[1:] if arguments is None else arguments, prog_name="python -m livestock_utils")
