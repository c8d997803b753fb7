"""The command line: one small command a task, each calling the library.

Exit codes: 0 done, 1 an error that is told in one red line or Ctrl-C, 2 wrong usage. Commands
import what they need inside, so that `--help` is instant and no command pays for another's imports.
"""

import dataclasses
import functools
import logging
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from livestock_utils import __version__
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.settings import Settings, kinds_of
from livestock_utils.core.threads import share_cores
from livestock_utils.detect.settings import TrainSettings

_FOLDER = click.Path(path_type=Path, file_okay=False)
_OLD_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
_OLD_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_OLD_PATH = click.Path(path_type=Path, exists=True)
_NEW_FILE = click.Path(path_type=Path, dir_okay=False)
_UNITS, _FRAMES = click.Choice(["px", "shares"]), click.Choice(["contest", "image"])

_EPILOG = """\b
Exit codes: 0 done; 1 an error, told in one line on stderr, or faults that `check` and `validate`
count as errors, or Ctrl-C; 2 wrong usage. Results go to stdout, everything else to stderr; --json
is for scripts.

\b
Completion by Tab, where the package is installed, for bash (likewise zsh_source, fish_source):
  eval "$(_LIVESTOCK_UTILS_COMPLETE=bash_source livestock_utils)"
"""


class _Group(click.Group):
    """Tells the library's own errors in one red line; keeps the tracebacks of all others."""

    def invoke(self, ctx: click.Context):
        """Run the command; a LivestockError becomes one line on stderr and exit code 1."""
        try:
            return super().invoke(ctx)
        except LivestockError as error:
            click.secho(f"error: {error}", fg="red", err=True)
            ctx.exit(1)


def _option(*names: str, **settings: Any) -> Callable[[Callable], Callable]:
    return click.option(*names, show_default=settings.get("default") is not None, **settings)


def _flag(name: str, about: str, *more: str) -> Callable[[Callable], Callable]:
    return click.option(name, *more, is_flag=True, help=about)


_notebooks = _option(
    "--notebooks", type=_OLD_FOLDER, help="Another folder of notebooks.  [default: the project's]"
)
_json = _flag("--json", "Print JSON.", "as_json")
_trust = _flag("--trust", "Unpickle whatever the weights hold; only for files you know.")


_SEVERAL: dict[str, Any] = {"multiple": True, "callback": lambda *given: ";".join(given[-1])}
_LAYOUT = (
    _option(
        "--layout",
        type=click.Choice(["aihub", "yolo", "coco", "voc", "cvat", "label_studio"]),
        help="How the labels are written.  [default: found by looking]",
    ),
    _option(
        "--classes",
        **_SEVERAL,
        metavar="pig=hog,piglet",
        help="Which species classes are; none=sheep leaves a class out. May be repeated.",
    ),
    _option(
        "--boxes-as",
        **_SEVERAL,
        metavar="ZIP=xywh",
        help="How the boxes of an archive are given that is left out: xyxy, xywh, polygons.",
    ),
    _option(
        "--annotators",
        type=click.Choice(["newest", "union", "refuse"]),
        default="newest",
        help="Which labels count where several people labelled one photo.",
    ),
)


def _takes_layout(command: Callable) -> Callable:
    """The options of all that reads labelled photos: those of `lu.read_photos`."""
    return functools.reduce(lambda made, option: option(made), reversed(_LAYOUT), command)


_units = _option("--units", type=_UNITS, default="px", help="What the submission holds.")


class _BatchSize(click.ParamType):
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
            kind: Any = type(default)
            if default is None:
                kinds = kinds_of(settings, field.name) - {type(None)}
                kind = next(iter(kinds)) if kinds in ({int}, {float}) else str
            if about["choices"]:
                kind = click.Choice([choice or "none" for choice in about["choices"]])
            command = _option(
                f"--{name}/--no-{name}" if isinstance(default, bool) else f"--{name}",
                type=_BatchSize() if name == "batch-size" else kind,
                default=default,
                help=f"{about['help']} In {about['unit']}." if about["unit"] else about["help"],
            )(command)
        return command

    return decorate


@click.group(
    cls=_Group,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="livestock_utils")
@click.option("-v", "--verbose", is_flag=True, help="Also tell what the library does on the way.")
def cli(verbose: bool) -> None:
    """Finding pigs and cows in barn photos with YOLOv5, from the command line."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s"
    )


@cli.command()
@_option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Holds data/ and data_test/, the archives; or your photos in another layout.",
)
@_option("--out", type=_FOLDER, required=True, help="Takes notebooks, figures, sets and weights.")
@_option("--profile", help="Parameters from a file: sample, colab, or a YAML file of your own.")
@_option("--only", metavar="01,02", help="Only these notebooks, by number or name.")
@_option("--from", "start", metavar="05", help="From this notebook on.")
@_option(
    "-p",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="A parameter; 05.NAME for one notebook.",
)
@_flag("--force", "Run notebooks again that have not changed.")
@_flag("--single-file", "The report is OUT/report.html, one file below 20 MB to send on.")
@_takes_layout
@_notebooks
def run(
    out: Path,
    only: str | None,
    pairs: tuple[tuple[str, str], ...],
    single_file: bool,
    **options: Any,
) -> None:
    """Run the notebooks in order, headless; the same command again goes on where it stopped.

    \b
    python -m livestock_utils run --data data/sample --out runs/sample --profile sample
    python -m livestock_utils run --data DIR --out DIR --only 05,11 -p epochs 3 -p 05.image_size 320
    python -m livestock_utils run --data DIR --out NEW --only 01,02,03,04,07,08 -p 08.hyp search
    """
    from livestock_utils.show.pipeline import driver, report
    from livestock_utils.show.pipeline.parameters import Typed
    from livestock_utils.show.pipeline.single_file import write_single_file

    options["parameters"] = {name: Typed(value) for name, value in pairs}
    names = ("layout", "classes", "boxes_as", "annotators")
    layouts = {name: value for name in names if (value := options.pop(name)) != "newest"}
    options["parameters"] |= {name: Typed(value) for name, value in layouts.items() if value}
    options["only"] = [name.strip() for name in (only or "").split(",") if name.strip()]
    try:
        driver.run(out=out, tell=click.echo, **options)
    finally:  # a notebook that failed is in the report too, with its error
        if any((out / "notebooks").glob("*.ipynb")):
            # Neither --only nor -p: a refused run leaves the report as it was.
            given = {"data": options["data"], "out": out, "profile": options["profile"], **layouts}
            words = ["python", "-m", "livestock_utils", "run"]
            for name, value in given.items():
                words += [f"--{name.replace('_', '-')}", str(value)] if value else []
            command = shlex.join(words)
            index = report.write_report(out, command)
            click.echo(f"report:  {write_single_file(index) if single_file else index}")
    click.echo(f"metrics: {out / 'metrics.json'}")


@cli.command()
@click.argument("file", type=_OLD_FILE, metavar="BATCH.yaml")
@_option("--out", type=_FOLDER, required=True, help="Takes a folder a run and the comparison.")
@_option("--data", type=_FOLDER, help="Holds data/ and data_test/.  [default: the usual place]")
@_option("--workers", default=1, help="Runs that go on at once; one a GPU.")
@_option("--profile", help="Smaller parameters for all runs: sample, or one of the file's own.")
@_option("--compare/--no-compare", default=True, help="Run notebook 12 on the outcome.")
@_notebooks
def batch(
    file: Path, out: Path, data: Path | None, workers: int, compare: bool, **options: Any
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
    live = batches.Live(click.echo, redraw=sys.stdout.isatty())
    table = batches.run(file, folder, out, workers=workers, tell=live, say=click.echo, **options)
    click.echo(batches.summary(table))
    has_failed = table["state"] == "failed"
    if compare and not has_failed.all():
        options["profile"] = batches.base_profile(options["profile"])
        driver.run(folder, out, only=["12"], tell=click.echo, **options)
        compared = out / "notebooks" / "12_compare_runs.ipynb"
        click.echo(f"comparison: {compared}, {out / 'metrics.json'}")
    _exit_if(has_failed.any())


@cli.command()
@click.argument("folder", type=_FOLDER, metavar="DIR")
@_option("--images", default=200, help="Training images; one in four is of pigs.")
@_option("--test-images", default=40, help="Test images; 0 writes no test archives.")
@_option("--seed", default=0, help="Another seed draws other scenes.")
@_option("--scale", default=1.0, help="Multiplies the frames of 1920x1080 and 1280x960.")
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
@click.argument("answers", type=_OLD_FILE)
@click.argument("submission", type=_OLD_FILE)
@_option("--iou", default=0.75, help="IoU from which a detection has found an answer.")
@_option(
    "--normaliser",
    type=_FRAMES,
    default="contest",
    help="What the answers were divided by: the contest's constants, or each image's own size.",
)
@_option(
    "--images",
    type=_OLD_PATH,
    help="The test images: a CSV (image_id, width_px, height_px) or a folder of archives; needed "
    "for --normaliser image.",
)
@_units
@_option("--against", type=_OLD_FILE, help="Another submission: is SUBMISSION better than it?")
@_option("--bootstrap", "n_resamples", default=0, help="Intervals from so many resamplings.")
@_option("--counts", type=float, metavar="CONFIDENCE", help="Also count the boxes from here up.")
@_json
def score(answers: Path, submission: Path, iou: float, as_json: bool, **options: Any) -> None:
    """Score a submission with the contest's definition; faults are told by line on stderr.

    \b
    python -m livestock_utils score answer.csv runs/sample/submission.csv --bootstrap 1000
    python -m livestock_utils score answer.csv new.csv --against old.csv --json
    """
    from livestock_utils.evaluate.scoring import report

    tell = functools.partial(click.echo, err=True)
    result = report.score_files(answers, submission, iou, tell=tell, **options)
    click.echo(result.json() if as_json else result.text())


@cli.command()
@click.argument("submission", type=_OLD_FILE)
@_option(
    "--images",
    type=_OLD_PATH,
    help="The test images: a CSV (image_id, width_px, height_px) or a folder of archives; without "
    "it ids and frames are not checked.",
)
@_units
@_option("--normaliser", type=_FRAMES, default="contest", help="What shares were divided by.")
@_option("--weights", type=_OLD_FILE, multiple=True, help="A model to hold to the 100 MB.")
@_option(
    "--sort-to",
    type=_NEW_FILE,
    metavar="FILE",
    help="Write the rows to FILE as the contest's scorer needs them (in order, ids with .jpg, no "
    "row twice), and check that file.",
)
@_json
def validate(
    submission: Path, images: Path | None, sort_to: Path | None, as_json: bool, **options: Any
) -> None:
    """Check a submission line by line; exit code 1 when it has errors.

    \b
    python -m livestock_utils validate runs/sample/submission.csv --images data/sample/data_test
    python -m livestock_utils validate submission.csv --weights best.pt --json
    """
    from livestock_utils.evaluate.scoring import report
    from livestock_utils.evaluate.scoring import submission as submissions

    if sort_to is not None:
        submission, mended = submissions.write_sorted(sort_to, submission)
        click.echo("".join(f"mended: {fault}\n" for fault in mended), err=True, nl=False)
    table = None if images is None else submissions.read_images(images)
    findings = submissions.validate_submission(submission, table, **options)
    click.echo(
        report.findings_json(findings)
        if as_json
        else report.findings_text(findings, submission, images_given=table is not None)
    )
    _exit_if((findings["severity"] == "error").any())


@cli.command()
@click.argument("folder", type=_OLD_PATH, metavar="DIR")
@_flag("--quick", "Do not read the images whole: no CRCs, no truncated JPEGs.")
@_flag("--near-duplicates", "Also tell images that look the same; decodes all of them.")
@_flag("--strict", "Exit code 1 for warnings too.")
@_flag("--all", "List every finding, not the first three of a kind.", "show_all")
@_takes_layout
@_json
def check(
    folder: Path, quick: bool, strict: bool, show_all: bool, as_json: bool, **options: Any
) -> None:
    """Tell what data DIR holds and what is wrong in it; exit code 1 when that has errors.

    DIR holds the zips, or is a data root with data/ and data_test/, or holds photos labelled in
    another layout (docs/layouts.md), of which it may also be the label file.

    \b
    python -m livestock_utils check data/sample
    python -m livestock_utils check DIR --quick --strict --json
    python -m livestock_utils check barn/data.yaml --classes pig=hog,piglet --classes none=sheep
    """
    from livestock_utils.data.aihub import integrity, report

    survey = integrity.survey(folder, read_all=not quick, **options)
    rows_per_kind = len(survey.findings) if show_all else 3
    click.echo(report.check_json(survey) if as_json else report.check_text(survey, rows_per_kind))
    _exit_if(survey.findings["severity"].isin(["error", "warning"] if strict else ["error"]).any())


@cli.command()
@click.argument("source", type=_OLD_PATH, metavar="DIR_OR_FILE")
@click.argument("target", type=_FOLDER, metavar="NEW_DIR")
@_option("--to", type=click.Choice(["coco", "yolo", "voc", "aihub"]), required=True)
@_option("--normaliser", type=_FRAMES, default="contest", help="What answer.csv was divided by.")
@_takes_layout
def convert(source: Path, target: Path, **options: Any) -> None:
    """Write labelled photos in another layout into a new folder; the photos are copied.

    \b
    python -m livestock_utils convert data/sample sample_coco --to coco
    python -m livestock_utils convert barn/ barn_yolo --to yolo --classes pig=hog,piglet
    """
    from livestock_utils.data.layouts import writing

    photos = writing.convert(source, target, **options)
    click.echo(f"{len(photos):,} photos, {len(photos.boxes):,} boxes: {target}")


@cli.command()
@click.argument("weights", type=_OLD_FILE)
@click.argument("source", type=_OLD_PATH, metavar="IMAGES_OR_FOLDER_OR_VIDEO")
@_option("--out", type=_FOLDER, required=True, help="Where predictions.csv and drawn/ go.")
@_option(
    "--image-size",
    type=click.IntRange(32),
    help="Long side in px that the network sees.  [default: of --settings, of the weights, 640]",
)
@_option(
    "--confidence", type=float, help="Least confidence of a box.  [default: the weights' best]"
)
@_option("--iou", type=float, help="Boxes that overlap more are one animal.  [default: 0.45]")
@_option("--settings", type=_OLD_FILE, help="A settings.yaml of notebook 11 instead of these two.")
@_option(
    "--for",
    "purpose",
    type=click.Choice(["looking", "scoring"]),
    default="looking",
    help="What predictions.csv is for; the faint boxes that a score needs are never drawn.",
)
@_option("--also", type=_OLD_FILE, multiple=True, help="More weights: an ensemble, as tuned in 11.")
@_option("--backend", type=click.Choice(["torch", "onnx"]), default="torch")
@_option("--device", help="cpu, cuda, cuda:1  [default: a GPU if there is one]")
@_option("--every", default=1, help="Take every n-th frame of a video.")
@_option("--draw/--no-draw", default=True, help="Write the images with their boxes.")
@_flag("--any-classes", "Take weights of other classes, and name those.")
@_trust
def predict(
    weights: Path,
    source: Path,
    out: Path,
    image_size: int | None,
    confidence: float | None,
    iou: float | None,
    settings: Path | None,
    purpose: str,
    also: tuple[Path, ...],
    **options: Any,
) -> None:
    """Find the animals in your own photos: boxes (px) and counts as CSVs, and the images with the
    boxes drawn.

    Exit code 1 when not one image could be read.

    \b
    python -m livestock_utils predict runs/sample/training/full/weights/best.pt photos/ --out found
    python -m livestock_utils predict best.pt barn.mp4 --out found --every 25 --settings my.yaml
    """
    from livestock_utils.detect.predict import media, postprocess

    asked = {"confidence_threshold": confidence, "iou_threshold": iou}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    looking = dataclasses.replace(postprocess.LOOKING, **given) if given else None
    scoring = postprocess.PostprocessSettings(**given) if purpose == "scoring" else None
    tuned_at = None
    if settings is not None:
        looking = postprocess.load_settings(settings, "looking")
        scoring = postprocess.load_settings(settings) if scoring else None
        tuned_at = postprocess.load_image_size(settings)
    if None not in (image_size, tuned_at) and image_size != tuned_at:
        click.echo(
            f"note: {settings} was tuned at image size {tuned_at}, you predict at {image_size}",
            err=True,
        )
    options |= {"image_size": image_size or tuned_at, "looking": looking, "scoring": scoring}
    boxes, found = media.predict([weights, *also] if also else weights, source, out, **options)
    animals = boxes["species"].value_counts().items()
    kinds = ", ".join(f"{number} {name}" for name, number in animals) or "no animals"
    click.echo(
        f"{kinds} on {boxes['image_id'].nunique()} of {len(found.images)} images: "
        f"{out / 'predictions.csv'}, {out / 'counts.csv'}"
        + (f", {out / 'drawn'}" if options["draw"] else "")
    )
    if found.unreadable:
        click.echo(
            f"{len(found.unreadable)} images could not be read, see {out / 'images.csv'}", err=True
        )
    _exit_if(len(found.unreadable) == len(found.images))


@cli.command()
@click.argument("data_yaml", type=_OLD_FILE)
@click.argument("run_folder", type=_FOLDER)
@_options_of(TrainSettings)
@_option("--teacher", help="Predictions on the training images to learn from, a CSV.")
@_option("--mirror", type=_FOLDER, help="A second folder that gets a copy after each epoch.")
@_trust
@_option("--final-evaluation/--no-final-evaluation", default=True)
def train(data_yaml: Path, run_folder: Path, **options: Any) -> None:
    """Train a detector into RUN_FOLDER; the same command again goes on where it stopped.

    For several GPUs start it through torchrun, with a batch size that is a multiple of their
    number.

    \b
    python -m livestock_utils train data.yaml runs/mine --init-weights yolov5n.pt --epochs 20
    torchrun --nproc_per_node 2 -m livestock_utils train data.yaml runs/two --batch-size 20
    """
    from livestock_utils.show import training

    fields = dataclasses.fields(TrainSettings)
    settings = TrainSettings(**{field.name: options.pop(field.name) for field in fields})
    run = training.train(data_yaml, None, run_folder, settings, **options)
    click.echo(f"{run.folder}: {len(run.results)} epochs, best weights {run.best}")


@cli.command()
@click.argument("source", type=_OLD_PATH, metavar="DIR_OR_FILE")
@click.argument("out", type=_FOLDER, metavar="OUT")
@_option("--groups", default="background", help="A CSV of image_id, group (camera); or found.")
@_option("--camera", "names", multiple=True, help="Only this group; may be repeated.")
@_option("--adapt", "frames", multiple=True, type=int, help="Also adapt with so many frames, 1-5.")
@_options_of(TrainSettings)
@_takes_layout
def cameras(source: Path, out: Path, groups: str, **options: Any) -> None:
    """Score models that never saw a camera, each camera in turn, and what a few frames of it gain.

    Photos of no camera always train. The same command again goes on where it stopped; cameras.csv
    and cameras.png in OUT hold the outcome.

    \b
    python -m livestock_utils cameras DATA runs/cameras --groups cameras.csv --epochs 20
    python -m livestock_utils cameras DATA OUT --camera pen --adapt 1 --adapt 5 --image-size 320
    """
    from livestock_utils.core.files import write_text
    from livestock_utils.data.layouts.reading import read_photos
    from livestock_utils.show.displays import comparison

    names = "layout", "classes", "boxes_as", "annotators", "names", "frames"
    *read_as, names_of, frames = (options.pop(name) for name in names)
    photos, settings = read_photos(source, *read_as), TrainSettings(**options)
    display = comparison.unseen_cameras(photos, groups, out, settings, names_of, frames)
    write_text(out / "cameras.csv", display.table.to_csv(index=False))
    display.plot().figure.savefig(out / "cameras.png", bbox_inches="tight")
    click.echo(f"{display.table.round(3).to_string(index=False)}\n{display.verdict}")


@cli.command("check-gpu")
@click.argument("folder", type=_FOLDER, default="runs/gpu_check")
@_option("--device", help="Another device than the first GPU; cpu tries the check itself.")
def _check_gpu(folder: Path, device: str | None) -> None:
    """Try training, kill and resume, half precision and export on this machine's GPU.

    Prints one table to paste into an issue. Without a GPU it says so and exits 0.

    \b
    python -m livestock_utils check-gpu runs/gpu_check
    """
    from livestock_utils.detect.train.gpu_check import gpu_check

    table = gpu_check(folder, device)
    if table.empty:
        click.echo("There is no GPU here: nothing was checked.")
        return
    rows: list[list[Any]] = [list(table), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    click.echo("\n".join(f"| {' | '.join(map(str, row))} |" for row in rows))
    _exit_if((table["state"] == "failed").any())


def _exit_if(bad: Any) -> None:
    if bad:
        click.get_current_context().exit(1)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `python -m livestock_utils`; leaves the process with the exit codes above."""
    share_cores()
    cli(args=sys.argv[1:] if arguments is None else arguments)
