"""The write-up's comparison tables from run folders: scores on the same images, seeds, intervals, and its own numbers.

Every run predicts the validation images once; the predictions are kept, and all numbers come from them by the contest's
definition. Runs are compared at equal epochs only (`run_folders.questions`).
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from livestock_utils import dataset, files, inference, run_folders, scoring, silver_effect, write_up
from livestock_utils.errors import NotebookError
from livestock_utils.progress import progress

SCORES = ["mAP50", "mAP75", "mAP50-95"]
REFERENCE = {"optimisers": "SGD", "hyperparameters": "default", "models": "yolov5m6, pretrained"}
"""The setting that the others are held against, where it is among them; else the first by name, or fewest epochs."""
EARLIER = ("split", "without silver", "pretrained", "default")
"""What comes first among the settings of the training data."""


@dataclasses.dataclass(frozen=True)
class Judge:
    """The images that a table's runs are scored on: none of the runs was trained on them."""

    name: str
    folder: Path
    images: pd.DataFrame
    boxes: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the runs say to one question: `scores` a row a run, `table` a row a setting, paired `differences`."""

    question: str
    number: int
    judge: Judge
    scores: pd.DataFrame
    table: pd.DataFrame
    differences: pd.DataFrame
    results: dict[str, pd.DataFrame]

    @property
    def key(self) -> str:
        """The question as part of a file's name; the second group of runs of a question is "models_2"."""
        return self.question.replace(" ", "_") + (f"_{self.number}" if self.number > 1 else "")


def answer_all(runs: pd.DataFrame, out: str | os.PathLike, local: str | os.PathLike, weights: str = "last",
               iou_threshold: float = 0.6, seed: int = 0) -> list[Answer]:
    """Every question that the runs (`run_folders.find`) can answer; predictions stay in OUT/predictions/compare/."""
    answers = []
    for question, groups in run_folders.questions(runs).items():
        for number, group in enumerate(groups, start=1):
            on = judge(out, group, local)
            found = predictions(group, on, Path(out) / "predictions" / "compare", weights, iou_threshold)
            scores = run_scores(group, found, on, question)
            results = {str(name): run_folders.results(folder)
                       for name, folder in zip(group["name"], group["folder"], strict=True)}
            answers.append(Answer(question, number, on, scores, question_table(scores, question),
                                  differences(scores, found, on, seed), results))
    return answers


def show(step: Any, answers: list[Answer]) -> None:
    """Put the answers into a notebook: heading, table, dots, differences, curves, and what they say."""
    for answer in answers:
        _show(step, answer)


def _show(step: Any, answer: Answer) -> None:
    from livestock_utils import comparison_text, plots

    step.say(f"### {answer.question.capitalize()}" + (f" ({answer.number})" if answer.number > 1 else ""))
    step.table(answer.table, f"Means over the seeds on {len(answer.judge.images)} images ({answer.judge.name}); the "
               "write-up's numbers on the right.")
    if theirs := write_up.scores().get(answer.question):
        step.table(pd.DataFrame(theirs), "The write-up's own table.", digits=4)
    step.say(comparison_text.epochs(answer.scores))
    step.figure(plots.run_scores(answer.scores), f"{answer.key}_scores", "Scores of the single runs by setting.")
    step.figure(plots.run_differences(answer.differences), f"{answer.key}_differences",
                "Paired differences in mAP75 with their intervals.")
    step.say(comparison_text.differences(answer.differences))
    step.figure(plots.setting_curves(answer.scores, answer.results), f"{answer.key}_curves",
                "Validation mAP75 by epoch as the trainings logged it, each on its own validation set.")


def scores_of(answers: list[Answer], question: str) -> pd.DataFrame | None:
    """The scores of the largest answer to a question, or None."""
    mine = [answer.scores for answer in answers if answer.question == question]
    return max(mine, key=len) if mine else None


def key_numbers(answers: list[Answer]) -> dict[str, Any]:
    """For metrics.json: mAP75 of each setting as "question: setting", then the tables."""
    numbers: dict[str, Any] = {f"mAP75 {answer.key}: {row['setting']}": row["mAP75"]
                               for answer in answers for row in answer.table.to_dict("records")}
    return numbers | {"tables": {answer.key: answer.table for answer in answers},
            "differences": {answer.key: answer.differences for answer in answers}}


def judge(out: str | os.PathLike, group: pd.DataFrame, local: str | os.PathLike) -> Judge:
    """The validation fold, or, where a run was trained on the full set, the part of the fold held out of that.

    Looks for the tar in OUT/datasets and, for a batch, in OUT/prepared/datasets; unpacks it below `local`.
    NotebookError where it is missing.
    """
    name = "Valid_Dataset_Full" if (group["trained_on"] == "full").any() else "Valid_Dataset"
    places = [Path(out) / "datasets" / f"{name}.tar", Path(out) / "prepared" / "datasets" / f"{name}.tar"]
    tar = next((place for place in places if place.is_file()), None)
    if tar is None:
        maker = "03" if name.endswith("Full") else "02"
        raise NotebookError(f"{places[0]} is missing: notebook {maker} writes it; run that first, with the same out")
    folder = dataset.extract(tar, Path(local) / name)
    images, boxes = dataset.read_tables(folder)
    return Judge(name, folder, images, boxes)


def predictions(group: pd.DataFrame, on: Judge, kept: str | os.PathLike, weights: str = "last",
                iou_threshold: float = 0.6) -> dict[str, pd.DataFrame]:
    """Each run's predictions on the judge's images at the size that it was trained with, by run name.

    They are kept in the folder `kept` under the hashes of weights and images, and read from there the next time.
    weights: "last", or "best", which was chosen with a look at validation images.
    """
    from livestock_utils import detector

    photos = inference.image_hash(on.images, on.folder)[:12]
    found = {}
    for run in progress(group.to_dict("records"), desc="predicting", unit="run"):
        file = Path(run["folder"]) / "weights" / f"{weights}.pt"
        if not file.is_file():
            raise NotebookError(f"{file} is missing; train the run again, or move its folder away")
        key = f"{files.sha256(file)[:16]}_{photos}_{run['image_size']}_{iou_threshold:g}.csv"
        path = Path(kept) / key
        if not path.is_file():
            made = detector.predict(file, on.images, on.folder, image_size=int(run["image_size"]),
                                    confidence_threshold=0.001, iou_threshold=iou_threshold, max_detections=300)
            files.write_text(path, made.to_csv(index=False))
        found[run["name"]] = pd.read_csv(path, dtype={"image_id": str, "species": str})
    return found


def run_scores(group: pd.DataFrame, found: Mapping[str, pd.DataFrame], on: Judge, question: str) -> pd.DataFrame:
    """One row a run: setting, run, seed, epochs, train_images, P, R, mAP50, mAP75, mAP50-95 and mAP75 of each class."""
    rows = []
    for run in group.astype(object).to_dict("records"):
        table = scoring.per_class_table(on.boxes, found[run["name"]], on.images)
        whole = table.loc["all"].to_dict()
        fields = {str(key): value for key, value in run.items()}
        rows.append({"setting": run_folders.setting(fields, question), "run": run["name"],
                     "seed": run["seed"], "epochs": run["epochs_done"], "train_images": run["train_images"],
                     **{name: whole[name] for name in ["P", "R", *SCORES]},
                     **{f"mAP75_{name}": table["mAP75"][name] for name in table.index[1:]}})
    table = pd.DataFrame(rows)
    order = {name: place for place, name in enumerate(ordered_settings(table, question))}
    return table.sort_values(["setting", "seed", "run"], key=lambda c: c.map(order) if c.name == "setting" else c,
                             ignore_index=True)


def ordered_settings(scores: pd.DataFrame, question: str) -> list[str]:
    """The settings of a table in reading order, the one that the others are held against first."""
    names = list(dict.fromkeys(scores["setting"]))
    if question == "epochs":
        return sorted(names, key=lambda name: int(name.split()[0]))
    first = REFERENCE.get(question)
    return sorted(names, key=lambda name: (not name.startswith(f"{first}"), name not in EARLIER, name))


def question_table(scores: pd.DataFrame, question: str) -> pd.DataFrame:
    """The write-up's table: a row a setting, means over the seeds, mAP75 beside its columns, its numbers after them.

    Columns setting, runs (seeds), epochs, mAP50, mAP75, mAP50-95, mAP75_lowest, mAP75_highest (of single runs) and
    write_up_mAP50, write_up_mAP50-95, write_up_mAP75_test where the write-up has that setting; a column that would be
    empty is left out.
    """
    grouped = scores.groupby("setting", sort=False)
    table = grouped[SCORES].mean()
    table.insert(0, "runs", grouped.size())
    table.insert(1, "epochs", grouped["epochs"].agg(lambda c: "–".join(map(str, sorted(set(c))))))
    several = table["runs"] > 1
    table["mAP75_lowest"] = grouped["mAP75"].min().where(several)
    table["mAP75_highest"] = grouped["mAP75"].max().where(several)
    theirs = pd.DataFrame(write_up.scores().get(question, [{"name": ""}])).set_index("name").add_prefix("write_up_")
    names = [name.split(",")[0] if question == "optimisers" else name for name in table.index]
    beside = {str(column): theirs[column].reindex(names).to_numpy() for column in theirs}
    return table.assign(**beside).dropna(axis=1, how="all").reset_index()


def differences(scores: pd.DataFrame, found: Mapping[str, pd.DataFrame], on: Judge, seed: int = 0) -> pd.DataFrame:
    """Each setting against the first one, paired: the same images, the same seeds; a row a setting.

    Columns setting, against, pairs (of runs with the same seed), difference (mAP75), low, high (95 % interval over
    draws of the images) and lowest_run, highest_run (of single pairs: the luck of the seeds).
    """
    settings = list(dict.fromkeys(scores["setting"]))
    by_seed = {name: part.drop_duplicates("seed").set_index("seed")["run"] for name, part in scores.groupby("setting")}
    rows = []
    for name in settings[1:]:
        seeds = sorted(set(by_seed[settings[0]].index) & set(by_seed[name].index))
        if not seeds:
            continue
        first, second = ([found[by_seed[side][value]] for value in seeds] for side in (settings[0], name))
        effect = silver_effect.effect_table({"validation": on.boxes}, first, second, on.images, seed=seed)
        whole = effect[effect["class"] == "all"].iloc[0]
        rows.append({"setting": name, "against": settings[0], "pairs": len(seeds),
                     **{key: whole[key] for key in ("difference", "low", "high", "lowest_run", "highest_run")}})
    return pd.DataFrame(rows, columns=["setting", "against", "pairs", "difference", "low", "high", "lowest_run",
                                       "highest_run"])
