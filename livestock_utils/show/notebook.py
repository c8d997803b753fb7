"""What every notebook does in the same way: parameters, folders, displays, metrics, the end.

step = lu.start("05_train_multilabel_split", globals())
train = step.open_set("Train_Dataset", made_by="02_make_dataset_multilabel")
run = lu.train(train, valid, step.run_folder("multilabel_split"), step.settings(lu.TrainSettings))
step.show(lu.displays.losses(run), lu.displays.metrics(run))
step.finish("06_error_analysis")
"""

import inspect
import os
import shutil
import sys
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from livestock_utils import colab
from livestock_utils.core import files, project, tables
from livestock_utils.core.addresses import hide_password
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.core.reading import read_json
from livestock_utils.core.settings import Settings
from livestock_utils.data.layouts import reading as layouts
from livestock_utils.data.sets import reading
from livestock_utils.detect.search.best import resolve_hyp
from livestock_utils.detect.train import preflight, state
from livestock_utils.evaluate.labels.report import MissingLabels
from livestock_utils.evaluate.labels.review import Review
from livestock_utils.evaluate.silver import sets as silver_sets
from livestock_utils.evaluate.silver.making import Silver
from livestock_utils.show import conclusions, output, review
from livestock_utils.show.display import Display
from livestock_utils.show.pipeline import inline_images
from livestock_utils.show.pipeline import parameters as run_parameters

DRIVE = Path("/content/drive/MyDrive/livestock")
"""Where a Colab user's archives (data/, data_test/) and results (runs/) live."""

LOCAL = Path("/content/livestock")
"""Where they live on Colab without Drive: gone when the runtime ends."""

_TELL_GPU = frozenset({"07", "09", "11", "12", "13"})
"""Notebooks that begin with a line on the GPU."""
_INLINE_DPI, _FILE_DPI = 110, 150
Asked = TypeVar("Asked", bound=Settings)


class Step:
    """One notebook's run: what it was asked, where it reads and writes, what it shows.

    Made by `start`. `name` is the notebook's ("01_eda"), `number` its first two digits, `data` and
    `out` the resolved folders, `local` the one for unpacked sets, `parameters` the notebook's.
    """

    def __init__(
        self, name: str, data: Path, out: Path, parameters: Mapping[str, Any] | None = None
    ) -> None:
        """Remember the name, the folders and the parameters; `start` resolves them."""
        self.name, self.number, self.data, self.out = name, name.split("_")[0], data, out
        self.parameters: dict[str, Any] = dict(parameters or {})
        self.values: dict[str, Any] = {}

    @property
    def local(self) -> Path:
        """The folder for unpacked sets: the local disk on Colab, else below `out`."""
        return colab.local_disk(self.out)

    def settings(self, kind: type[Asked], **changes: Any) -> Asked:
        """Settings of this kind (`lu.TrainSettings`) from the parameters of these names. `hyp =
        "search"` is resolved to the best of notebook 07, and where `negatives` is asked, 06's
        estimate of the share of missing labels goes along."""
        asked = self.parameters
        if "hyp" in asked:
            asked = asked | {"hyp": resolve_hyp(asked["hyp"], self.out)}
        estimate = self.out / ".state" / "metrics" / "06_error_analysis.json"
        if "negatives" in asked and estimate.is_file():
            found = read_json(estimate, NotebookError, "run notebook 06 again")
            asked = asked | {"missing_share": found.get("missing_share")}
        return kind.of(asked | changes)

    def options(self, function: Callable[..., Any]) -> dict[str, Any]:
        """The parameters that bear the names of a function's keyword-only arguments."""
        known = inspect.signature(function).parameters.values()
        names = [one.name for one in known if one.kind is one.KEYWORD_ONLY]
        return {name: self.parameters[name] for name in names if name in self.parameters}

    def path(self, *parts: str) -> Path:
        """A file below the out folder, its parent made: step.path("datasets", "Train.tar")."""
        target = self.out.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def run_folder(self, name: str) -> colab.RunFolder:
        """Where a training writes: OUT/training/name, on Colab the local disk mirrored there."""
        return colab.training_folder(self.out, name)

    def archives(self, name: str = "data") -> Path:
        """The folder of archives, "data" or "data_test"; on Colab their local copy."""
        return colab.at_hand(self.data / name)

    def source(self) -> Path:
        """What notebook 01 reads: the folder of AI Hub's archives, or `data` in another layout."""
        layout = self.parameters.get("layout", "")
        found = layouts.find(self.data, layout, or_aihub=True)
        return self.archives() if found.layout == layouts.AIHUB else self.data

    def write_tables(self, photos: Photos) -> None:
        """Keep the tables that the next notebooks start from, and apart those of a test part."""
        photos.write_tables(self.path("tables"))
        tests, kept = self.path("tables", "test"), Photos(pd.DataFrame())
        if tables.PART in photos.images:
            options = {
                name: self.parameters[name]
                for name in ("layout", "classes", "annotators")
                if name in self.parameters
            }
            kept = layouts.read_photos(self.data, **options, test=True)
        if len(kept):
            kept.write_tables(tests)
        else:
            shutil.rmtree(tests, ignore_errors=True)

    def need(self, *parts: str, made_by: str) -> Path:
        """What an earlier notebook wrote below the out folder; NotebookError where absent."""
        target = self.out.joinpath(*parts)
        if not target.exists():
            raise NotebookError(
                f"{target} is missing: notebook {made_by} writes it; run that first, with the same "
                "out"
            )
        return target

    def photos(self) -> Photos:
        """All photos of notebook 01's tables, with the archives or the folder that hold them."""
        images, boxes = tables.read_tables(self.need("tables", made_by="01_eda"))
        return Photos(images, boxes, layouts.home(self.data, images))

    def folds(self) -> tuple[pd.Series, pd.Series | None]:
        """(fold, group or None) of each image, by image_id, as notebook 02 wrote them."""
        return tables.read_folds(
            self.need("datasets", "folds.csv", made_by="02_make_dataset_multilabel")
        )

    def write_folds(self, folds: pd.Series, groups: pd.Series | None) -> None:
        """Keep notebook 02's folds and groups, by image_id, for `folds`."""
        tables.write_folds(self.path("datasets", "folds.csv"), folds, groups)

    def open_set(self, name: str, made_by: str) -> Photos:
        """The photos of OUT/datasets/name.tar, unpacked once to `local`."""
        tar = self.need("datasets", f"{name}.tar", made_by=made_by)
        return reading.open_set(tar, self.local / name)

    def write_silver(
        self, made: Silver, photos: Photos, folds: pd.Series, saw_validation: bool | None
    ) -> None:
        """Write a silver set to OUT/datasets/plus_image.tar and plus_label.tar."""
        seed = self.parameters.get("seed", 0)
        place = self.path("datasets")
        silver_sets.write_silver(place, made, photos.folder, folds, seed, saw_validation)

    def silver_lists(
        self, train: Photos, valid: Photos, share: float = 1.0
    ) -> silver_sets.SilverLists:
        """Two trainings that differ in labels alone: without and with the set of `write_silver`."""
        tars = self.need("datasets", "plus_label.tar", made_by="09").parent
        plus = silver_sets.open_silver(tars, self.local / "plus")
        place, seed = self.local / "expanded", self.parameters.get("seed", 0)
        return silver_sets.write_silver_lists(place, train.folder, plus, valid.folder, share, seed)

    def figure(self, figure: Any, name: str, caption: str) -> None:
        """Save a figure as OUT/figures/NN/name.png and show it small. The caption is shown below,
        and is the picture's alternative text: say in a sentence what there is to see."""
        from matplotlib import pyplot

        figure = output.figure_of(figure)
        target = self.path("figures", self.number, f"{name}.png")
        with files.whole_file(target) as file:
            file.write(output.png(figure, _FILE_DPI))
        data, metadata = inline_images.output(output.png(figure, _INLINE_DPI), {"alt": caption})
        pyplot.close(figure)
        metadata["livestock"] = {"figure": f"{self.number}/{name}.png"}
        output.display({**data, "text/plain": f"[{caption}]"}, metadata)
        output.markdown(f"*{caption}*")

    def table(
        self,
        frame: pd.DataFrame,
        caption: str = "",
        digits: int = 3,
        index: bool = False,
        folded: bool = False,
    ) -> None:
        """Show a table with thousands separators, `digits` decimals and a caption; `folded` shows
        the caption alone until one asks for more."""
        output.display(output.as_table(frame, caption, digits, index, folded))

    def say(self, sentence: str) -> None:
        """Show one sentence, in Markdown, that the cell computed from the data."""
        output.markdown(sentence)

    def show(self, *displays: Display) -> None:
        """Show displays: figure (saved) or table, then the verdict of each; metrics are kept."""
        for display in displays:
            if display.draw is not None:
                self.figure(display.plot(), display.name, display.caption)
            if display.shows_table:
                caption = display.table_caption or ("" if display.draw else display.caption)
                caption = "" if len(display.rest) else caption
                self.table(display.table, caption, display.digits, display.index)
            if len(display.rest):
                self.table(display.rest, display.table_caption, display.digits, folded=True)
            if display.verdict:
                self.say(display.verdict)
            self.metrics(**display.metrics)
            if display.error is not None:
                raise display.error

    def review(self, missing: MissingLabels, name: str = "corrected.json") -> Review:
        """Show a review of suggested and suspicious boxes: a widget, or a gallery where nobody
        clicks. It writes OUT/labels/name, and opened again goes on where that stops."""
        made, shown = review.of(missing, self.path("labels", name))
        if isinstance(shown, Display):
            self.show(shown)
        else:
            from IPython.display import display

            display(shown)
        return made

    def metrics(self, **values: Any) -> None:
        """Collect numbers, texts or mappings under this notebook's name for `finish`. The report's
        card shows what they answer, else the first four numbers; a mapping `headline` (name ->
        number) stands large on its index."""
        self.values.update({key: output.plain(value) for key, value in values.items()})

    def finish(self, next_notebook: str | None) -> None:
        """Merge this notebook's metrics into OUT/metrics.json, say what they answer, name the next.
        Each notebook's own numbers are kept in OUT/.state/metrics/, and metrics.json is made anew
        from all of them, so that no notebook can lose another's."""
        files.write_text(
            self.path(".state", "metrics", f"{self.name}.json"), output.as_json(self.values)
        )
        parts = sorted((self.out / ".state" / "metrics").glob("*.json"))
        merged = {part.stem: read_json(part, NotebookError, "delete it") for part in parts}
        files.write_text(self.out / "metrics.json", output.as_json(merged))
        if said := conclusions.in_short(self.name, self.values):
            output.markdown(f"## In short\n\n{said}")
        rows = []
        for key, value in self.values.items():
            if value is None or isinstance(value, (str, int, float)):
                form = {int: ",", bool: ",", float: ",.4g"}.get(type(value), "")
                text = "–" if value is None else format(value, form)
                rows.append((key.replace("_", " "), text))
        if rows:
            frame = pd.DataFrame(rows, columns=["number", "value"])
            told = f"Key numbers of {self.name}, also in metrics.json."
            self.table(frame, told, folded=True)
        output.markdown(
            f"**Next:** [{next_notebook}]({next_notebook}.ipynb)"
            if next_notebook
            else "**This was the last notebook.**"
        )


def start(
    name: str,
    parameters: Mapping[str, Any] | str | os.PathLike = "",
    out: str | os.PathLike = "",
    uses_gpu: bool | None = None,
) -> Step:
    """Set a notebook up: theme, one-line warnings and errors, folders, what it was asked.

        step = lu.start("05_train_multilabel_split", globals())

    Args:
        name: the notebook's, "05_train_multilabel_split".
        parameters: its `globals()`; `data` holds data/ and data_test/ with the archives, `out`
            takes all results; empty ones are resolved by `folders`.
        out: with a folder of data in place of `parameters`: the folder of results.
        uses_gpu: whether to say which GPU there is, and what to click where there is none; None:
            in the notebooks that predict or search (those that train check it before they do).

    Returns:
        The step, whose methods read, show and record.

    Raises:
        TrainingError: for a GPU that this torch has no code for.
        NotebookError: for a given folder on a Drive that may not be mounted, and for a parameter
            of another type or out of its range.
    """
    output.one_line_messages()
    from livestock_utils.show.plots import style

    style.theme()
    if not isinstance(parameters, Mapping):
        parameters = {"data": parameters, "out": out}
    own = run_parameters.at_start(name, parameters)
    if isinstance(parameters, MutableMapping):
        parameters.update(own)
    places = folders(parameters.get("data", ""), parameters.get("out", ""))
    step = Step(name, *places, {**parameters, **own})
    step.out.mkdir(parents=True, exist_ok=True)
    output.markdown(f"Data: `{_short(step.data)}` · results: `{_short(step.out)}`")
    if changed := run_parameters.changed(name, own):
        said = ", ".join(f"{key} `{hide_password(str(value))}`" for key, value in changed.items())
        output.markdown(f"Set for this run, other than in the cell above: {said}")
    if colab.on_colab() and not step.out.resolve().is_relative_to(DRIVE.parents[1]):
        output.markdown(_not_kept(step))
    if step.number in _TELL_GPU if uses_gpu is None else uses_gpu:
        output.markdown(preflight.gpu_sentence())
    if (found := state.interrupted_run(step.out / "training")) is not None:
        output.markdown(
            f"The training `{found.name}` was interrupted: its notebook, run again, goes on where "
            "it stopped."
        )
    return step


def folders(data: str | os.PathLike = "", out: str | os.PathLike = "") -> tuple[Path, Path]:
    """The data and out folders; empty ones are the usual: on Colab MyDrive/livestock and its runs/,
    elsewhere data/ and runs/ of the project. Where there are no archives, data is the drawn sample
    (data/sample, on Colab below /content/livestock), written when it is missing, and the results go
    to runs/sample."""
    home = _home([Path(folder) for folder in (data, out) if folder])
    if not data:
        local = LOCAL if home == DRIVE else home
        places = [home, local / "data"] if home == DRIVE else [local / "data"]
        holding = [place for place in places if (place / "data").is_dir()]
        data = (holding or [local / "data" / "sample"])[0]
        if not (data / "data").is_dir():
            from livestock_utils.data.sample import drawing

            drawing.write_sample(data)
    if not out:
        out = home / "runs" / ("sample" if Path(data).name == "sample" else "main")
    return Path(data), Path(out)


def _home(given: list[Path]) -> Path:
    """The folder of data/ and runs/ by default; on Colab that is Drive, mounted first."""
    if not colab.on_colab():
        return project.PACKAGE.parent if project.is_checkout() else Path.cwd()
    on_drive = [folder for folder in given if folder.is_relative_to(DRIVE.parents[1])]
    in_kernel = "google.colab" in sys.modules  # a command has no page that could ask for access
    wants_drive = in_kernel and (on_drive or len(given) < 2)
    if wants_drive and colab.mount(DRIVE.parents[1]) is None and on_drive:
        raise NotebookError(
            f"{on_drive[0]} is on Google Drive, to which access was refused; run the cell again "
            "and allow it, or give a folder below /content"
        )
    return DRIVE if DRIVE.parent.is_dir() else LOCAL


def _not_kept(step: Step) -> str:
    """What to do where results are on Colab's own disk."""
    place = f"cd {project.PACKAGE.parent} && " if project.is_checkout() else ""
    profile = " --profile sample" if step.data.name == "sample" else ""
    return (
        "**These results are gone when the runtime ends,** and every notebook opened on Colab has "
        "a runtime of its own. To keep them, run this cell again and allow Google Drive. To run "
        f"all notebooks in this runtime: `!{place}python -m livestock_utils run --data "
        f"{step.data.resolve()} --out {step.out.resolve()}{profile}`"
    )


def _short(folder: Path) -> str:
    """The folder as the reader would type it: relative where it is below the current folder."""
    is_below = folder.resolve().is_relative_to(Path.cwd())
    return os.path.relpath(folder) if is_below else folder.as_posix()
