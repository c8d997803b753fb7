"""The command line: one small command a task, each calling the library.

Exit codes: 0 done, 1 an error that is told in one red line or Ctrl-C, 2 wrong usage. Commands
import what they need inside, so that `--help` is instant and no command pays for another's imports.
"""

import dataclasses
import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from livestock_utils import __version__
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.settings import Settings
from livestock_utils.detect.settings import TrainSettings

FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
EXISTING_PATH = click.Path(path_type=Path, exists=True)
NEW_FILE = click.Path(path_type=Path, dir_okay=False)


class Group(click.Group):
    """A click group that tells the library's own errors in one red line and keeps the tracebacks of
    all others."""

    def invoke(self, ctx: click.Context):
        """Run the command; a LivestockError becomes one line on stderr and exit code 1."""
        try:
            return super().invoke(ctx)
        except LivestockError as error:
            click.secho(f"error: {error}", fg="red", err=True)
            ctx.exit(1)


EPILOG = """\b
Exit codes: 0 done; 1 an error, told in one line on stderr, or faults that `check` and `validate`
count as errors, or Ctrl-C; 2 wrong usage. Results go to stdout, everything else to stderr; --json
is for scripts.

\b
Completion by Tab, where the package is installed, for bash (likewise zsh_source, fish_source):
  eval "$(_LIVESTOCK_UTILS_COMPLETE=bash_source livestock_utils)"
"""


@click.group(
    cls=Group,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="livestock_utils")
@click.option("-v", "--verbose", is_flag=True, help="Also tell what the library does on the way.")
def cli(verbose: bool) -> None:
    """Finding pigs and cows in barn photos with YOLOv5: data, notebooks and scores from the command
    line."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s"
    )


@cli.command()
@click.option(
    "--data", type=FOLDER, required=True, help="Holds data/ and data_test/ with the archives."
)
@click.option(
    "--out",
    type=FOLDER,
    required=True,
    help="Takes notebooks, figures, datasets, weights and the report.",
)
@click.option(
    "--profile", help="Parameters from a file: sample, colab, or a YAML file of your own."
)
@click.option(
    "--only", default="", metavar="01,02", help="Only these notebooks, by number or name."
)
@click.option("--from", "start", metavar="05", help="From this notebook on.")
@click.option(
    "-p",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="A parameter; 05.NAME for one notebook.",
)
@click.option("--force", is_flag=True, help="Run notebooks again that have not changed.")
@click.option(
    "--notebooks",
    type=EXISTING_FOLDER,
    help="Another folder of notebooks.  [default: the project's]",
)
def run(
    data: Path,
    out: Path,
    profile: str | None,
    only: str,
    start: str | None,
    pairs: tuple[tuple[str, str], ...],
    force: bool,
    notebooks: Path | None,
) -> None:
    """Run the notebooks in order, headless; the same command again goes on where it stopped.

    \b
    python -m livestock_utils run --data data/sample --out runs/sample --profile sample
    python -m livestock_utils run --data DIR --out DIR --only 05,11 -p epochs 3 -p 05.image_size 320
    python -m livestock_utils run --data DIR --out NEW --only 01,02,03,04,07,08 -p 08.hyp search
    """
    from livestock_utils.show.pipeline import driver, report
    from livestock_utils.show.pipeline import parameters as run_parameters

    parameters = {name: run_parameters.Typed(value) for name, value in pairs}
    chosen = [name.strip() for name in only.split(",") if name.strip()]
    try:
        driver.run(
            data,
            out,
            notebooks=notebooks,
            only=chosen,
            start=start,
            parameters=parameters,
            profile=profile,
            force=force,
            tell=click.echo,
        )
    finally:  # a notebook that failed is in the report too, with its error
        if any((out / "notebooks").glob("*.ipynb")):
            click.echo(f"report:  {report.write_report(out)}")
    click.echo(f"metrics: {out / 'metrics.json'}")


@cli.command()
@click.argument("file", type=EXISTING_FILE, metavar="BATCH.yaml")
@click.option(
    "--out", type=FOLDER, required=True, help="Takes a folder a run, batch.csv and the comparison."
)
@click.option(
    "--data", type=FOLDER, help="Holds data/ and data_test/.  [default: the notebooks' usual place]"
)
@click.option("--workers", default=1, show_default=True, help="Runs that go on at once; one a GPU.")
@click.option(
    "--profile", help="Smaller parameters for all runs: sample, or one of the file's own."
)
@click.option(
    "--compare/--no-compare",
    default=True,
    show_default=True,
    help="Run notebook 12 on the outcome.",
)
@click.option(
    "--notebooks",
    type=EXISTING_FOLDER,
    help="Another folder of notebooks.  [default: the project's]",
)
def batch(
    file: Path,
    out: Path,
    data: Path | None,
    workers: int,
    profile: str | None,
    compare: bool,
    notebooks: Path | None,
) -> None:
    """Run notebooks over a grid of parameters; the same command again goes on where it stopped.

    \b
    python -m livestock_utils batch notebooks/batches/models.yaml --out runs/models --profile sample
    python -m livestock_utils batch notebooks/batches/silver.yaml --out runs/silver --workers 2
    """
    from livestock_utils.show import notebook
    from livestock_utils.show.pipeline import batch as batches
    from livestock_utils.show.pipeline import driver

    folder = notebook.folders(data or "", out)[0]
    table = batches.run(
        file,
        folder,
        out,
        workers=workers,
        profile=profile,
        notebooks=notebooks,
        tell=batches.Live(click.echo, redraw=sys.stdout.isatty()),
        say=click.echo,
    )
    click.echo(batches.summary(table))
    if compare and (table["state"] != "failed").any():
        driver.run(
            folder,
            out,
            notebooks=notebooks,
            only=["12"],
            profile=batches.base_profile(profile),
            tell=click.echo,
        )
        click.echo(
            f"comparison: {out / 'notebooks' / '12_compare_runs.ipynb'}, {out / 'metrics.json'}"
        )
    if (table["state"] == "failed").any():
        click.get_current_context().exit(1)


@cli.command()
@click.argument("folder", type=FOLDER, metavar="DIR")
@click.option(
    "--images", default=200, show_default=True, help="Training images; one in four is of pigs."
)
@click.option(
    "--test-images", default=40, show_default=True, help="Test images; 0 writes no test archives."
)
@click.option("--seed", default=0, show_default=True, help="Another seed draws other scenes.")
@click.option(
    "--scale",
    default=1.0,
    show_default=True,
    help="Multiplies the frames of 1920x1080 and 1280x960.",
)
def sample(folder: Path, images: int, test_images: int, seed: int, scale: float) -> None:
    """Draw livestock scenes into DIR, laid out as AI Hub's data, with answers.

    The same call again does nothing. With other options an earlier sample in DIR is deleted and
    drawn anew; zips that are not the sample's are never touched: DIR is refused then.

    \b
    python -m livestock_utils sample data/sample
    python -m livestock_utils sample data/small --images 40 --test-images 8 --scale 0.25 --seed 1
    """
    from livestock_utils.data.sample.drawing import write_sample

    write_sample(folder, n_images=images, n_test_images=test_images, seed=seed, scale=scale)
    click.echo(f"sample data in {folder}: {images} training and {test_images} test images")


@cli.command()
@click.argument("answers", type=EXISTING_FILE)
@click.argument("submission", type=EXISTING_FILE)
@click.option(
    "--iou", default=0.75, show_default=True, help="IoU from which a detection has found an answer."
)
@click.option(
    "--normaliser",
    type=click.Choice(["contest", "image"]),
    default="contest",
    show_default=True,
    help="What the answers were divided by: the contest's constants, or each image's own size.",
)
@click.option(
    "--images",
    type=EXISTING_PATH,
    help="The test images: a CSV (image_id, width_px, height_px) or a"
    " folder of archives; needed for --normaliser image.",
)
@click.option(
    "--units",
    type=click.Choice(["px", "shares"]),
    default="px",
    show_default=True,
    help="What the submission holds.",
)
@click.option(
    "--against",
    type=EXISTING_FILE,
    help="Another submission: tells whether SUBMISSION is better than it.",
)
@click.option(
    "--bootstrap",
    "n_resamples",
    default=0,
    metavar="N",
    help="Intervals from N resamplings of the images.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def score(
    answers: Path,
    submission: Path,
    iou: float,
    normaliser: str,
    images: Path | None,
    units: str,
    against: Path | None,
    n_resamples: int,
    as_json: bool,
) -> None:
    """Score a submission with the contest's definition; faults are told by line on stderr.

    \b
    python -m livestock_utils score answer.csv runs/sample/submission.csv --bootstrap 1000
    python -m livestock_utils score answer.csv new.csv --against old.csv --json
    """
    from livestock_utils.evaluate.scoring import report as score_report

    result = score_report.score_files(
        answers,
        submission,
        iou,
        normaliser,
        images,
        units,
        against,
        n_resamples,
        tell=functools.partial(click.echo, err=True),
    )
    click.echo(result.json() if as_json else result.text())


@cli.command()
@click.argument("submission", type=EXISTING_FILE)
@click.option(
    "--images",
    type=EXISTING_PATH,
    help="The test images: a CSV (image_id, width_px, height_px) or a"
    " folder of archives; without it ids and frames are not checked.",
)
@click.option(
    "--units",
    type=click.Choice(["px", "shares"]),
    default="px",
    show_default=True,
    help="What the submission holds.",
)
@click.option(
    "--normaliser",
    type=click.Choice(["contest", "image"]),
    default="contest",
    show_default=True,
    help="What shares were divided by.",
)
@click.option(
    "--weights",
    type=EXISTING_FILE,
    multiple=True,
    help="A model file to hold to the contest's 100 MB.",
)
@click.option(
    "--sort-to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the rows to FILE in the order that the contest's scorer needs, and check that "
    "file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(
    submission: Path,
    images: Path | None,
    units: str,
    normaliser: str,
    weights: tuple[Path, ...],
    sort_to: Path | None,
    as_json: bool,
) -> None:
    """Check a submission line by line; exit code 1 when it has errors.

    \b
    python -m livestock_utils validate runs/sample/submission.csv --images data/sample/data_test
    python -m livestock_utils validate submission.csv --weights best.pt --json
    """
    from livestock_utils.evaluate.scoring import report as score_report
    from livestock_utils.evaluate.scoring import submission as submissions

    if sort_to is not None:
        submission = submissions.write_sorted(sort_to, submission)
    table = None if images is None else submissions.read_images(images)
    findings = submissions.validate_submission(submission, table, units, normaliser, weights)
    click.echo(
        score_report.findings_json(findings)
        if as_json
        else score_report.findings_text(findings, submission, images_given=table is not None)
    )
    if (findings["severity"] == "error").any():
        click.get_current_context().exit(1)


@cli.command()
@click.argument("folder", type=EXISTING_FOLDER, metavar="DIR")
@click.option(
    "--quick", is_flag=True, help="Do not read the images whole: no CRCs, no truncated JPEGs."
)
@click.option(
    "--near-duplicates",
    is_flag=True,
    help="Also tell images that look the same; decodes all of them.",
)
@click.option("--strict", is_flag=True, help="Exit code 1 for warnings too.")
@click.option(
    "--all", "show_all", is_flag=True, help="List every finding, not the first three of a kind."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(
    folder: Path, quick: bool, near_duplicates: bool, strict: bool, show_all: bool, as_json: bool
) -> None:
    """Tell what archives DIR holds and what is wrong in them; exit code 1 when that has errors.

    DIR holds the zips, or is a data root with data/ and data_test/.

    \b
    python -m livestock_utils check data/sample
    python -m livestock_utils check DIR --quick --strict --json
    """
    from livestock_utils.data.aihub import integrity
    from livestock_utils.data.aihub import report as check_report

    survey = integrity.survey(folder, read_all=not quick, near_duplicates=near_duplicates)
    rows_per_kind = len(survey.findings) if show_all else 3
    click.echo(
        check_report.check_json(survey)
        if as_json
        else check_report.check_text(survey, rows_per_kind)
    )
    if survey.findings["severity"].isin(["error", "warning"] if strict else ["error"]).any():
        click.get_current_context().exit(1)


@cli.command()
@click.argument("weights", type=EXISTING_FILE)
@click.argument("source", type=EXISTING_PATH, metavar="IMAGES_OR_FOLDER_OR_VIDEO")
@click.option(
    "--out", type=FOLDER, required=True, metavar="DIR", help="Where predictions.csv and drawn/ go."
)
@click.option(
    "--image-size",
    type=click.IntRange(32),
    help="Long side in px that the network sees.  [default: that of --settings, else 640]",
)
@click.option("--confidence", default=0.25, show_default=True, help="Least confidence of a box.")
@click.option(
    "--iou",
    default=0.6,
    show_default=True,
    help="Boxes of a class that overlap more are one animal.",
)
@click.option(
    "--settings", type=EXISTING_FILE, help="A settings.yaml of notebook 11 instead of these two."
)
@click.option("--backend", type=click.Choice(["torch", "onnx"]), default="torch", show_default=True)
@click.option("--device", help="cpu, cuda, cuda:1  [default: a GPU if there is one]")
@click.option("--every", default=1, show_default=True, help="Take every n-th frame of a video.")
@click.option(
    "--draw/--no-draw", default=True, show_default=True, help="Write the images with their boxes."
)
@click.option("--any-classes", is_flag=True, help="Take weights of other classes, and name those.")
@click.option(
    "--trust", is_flag=True, help="Unpickle whatever the weights hold; only for files you know."
)
def predict(
    weights: Path,
    source: Path,
    out: Path,
    image_size: int | None,
    confidence: float,
    iou: float,
    settings: Path | None,
    backend: str,
    device: str | None,
    every: int,
    draw: bool,
    any_classes: bool,
    trust: bool,
) -> None:
    """Find the animals in your own photos: boxes as a CSV (px), and the images with the boxes
    drawn.

    Exit code 1 when not one image could be read.

    \b
    python -m livestock_utils predict runs/sample/training/full/weights/best.pt photos/ --out found
    python -m livestock_utils predict best.pt barn.mp4 --out found --every 25 --settings my.yaml
    """
    from livestock_utils.detect.predict import media, postprocess

    chosen = (
        postprocess.PostprocessSettings(confidence_threshold=confidence, iou_threshold=iou)
        if settings is None
        else postprocess.load_settings(settings)
    )
    tuned_at = None if settings is None else postprocess.load_image_size(settings)
    if None not in (image_size, tuned_at) and image_size != tuned_at:
        click.echo(
            f"note: {settings} was tuned at image size {tuned_at}, you predict at {image_size}",
            err=True,
        )
    boxes, found = media.predict(
        weights,
        source,
        out,
        settings=chosen,
        draw_from=confidence if draw else None,
        every=every,
        image_size=image_size or tuned_at or 640,
        backend=backend,
        device=device,
        any_classes=any_classes,
        trust=trust,
    )
    click.echo(
        f"{len(boxes)} boxes on {boxes['image_id'].nunique()} of {len(found.images)} images: "
        f"{out / 'predictions.csv'}" + (f", {out / 'drawn'}" if draw else "")
    )
    if found.unreadable:
        click.echo(
            f"{len(found.unreadable)} images could not be read, see {out / 'images.csv'}", err=True
        )
    if len(found.unreadable) == len(found.images):
        click.get_current_context().exit(1)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `python -m livestock_utils`; leaves the process with the exit codes above."""
    cli(args=sys.argv[1:] if arguments is None else arguments)


class _BatchSize(click.ParamType):
    """A whole number, or "auto"."""

    name = "integer or auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        return value if value == "auto" else click.INT.convert(value, param, ctx)


def _options_of(settings: type[Settings]) -> Callable[[Callable], Callable]:
    """An option for each field of a class of settings: its name, default, choices and help."""

    def decorate(command: Callable) -> Callable:
        for field in reversed(dataclasses.fields(settings)):
            default, about = field.default, field.metadata
            name = field.name.replace("_", "-")
            kind: Any = str if default is None else type(default)
            if about["choices"]:
                kind = click.Choice([choice or "none" for choice in about["choices"]])
            command = click.option(
                f"--{name}/--no-{name}" if isinstance(default, bool) else f"--{name}",
                type=_BatchSize() if name == "batch-size" else kind,
                default=default,
                show_default=default is not None,
                help=f"{about['help']} In {about['unit']}." if about["unit"] else about["help"],
            )(command)
        return command

    return decorate


@cli.command()
@click.argument("data_yaml", type=EXISTING_FILE)
@click.argument("run_folder", type=FOLDER)
@_options_of(TrainSettings)
@click.option("--teacher", help="Predictions on the training images to learn from, a CSV.")
@click.option("--mirror", type=FOLDER, help="A second folder that gets a copy after each epoch.")
@click.option(
    "--trust", is_flag=True, help="Unpickle whatever the weights hold; only for files you know."
)
@click.option("--final-evaluation/--no-final-evaluation", default=True, show_default=True)
def train(
    data_yaml: Path,
    run_folder: Path,
    teacher: str | None,
    mirror: Path | None,
    trust: bool,
    final_evaluation: bool,
    **settings: Any,
) -> None:
    """Train a detector into RUN_FOLDER; the same command again goes on where it stopped.

    For several GPUs start it through torchrun, with a batch size that is a multiple of their
    number.

    \b
    python -m livestock_utils train data.yaml runs/mine --init-weights yolov5n.pt --epochs 20
    torchrun --nproc_per_node 2 -m livestock_utils train data.yaml runs/two --batch-size 20
    """
    from livestock_utils.show import training

    run = training.train(
        data_yaml,
        None,
        run_folder,
        TrainSettings(**settings),
        teacher=teacher,
        mirror=mirror,
        trust=trust,
        final_evaluation=final_evaluation,
    )
    click.echo(f"{run.folder}: {len(run.results)} epochs, best weights {run.best}")
