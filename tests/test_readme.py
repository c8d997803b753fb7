"""The README, docs/ and their Korean twins: every command is one that exists, the cheap ones run,
both languages say the same, every number is in a committed row."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import draw_readme
import pandas as pd
import pytest
import yaml

import livestock_utils as lu
from livestock_utils import cli
from livestock_utils.assets import edge_runner
from livestock_utils.show.pipeline import notebook_files

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("README.md", "README.ko.md")
DOCS = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in (*NAMES, *DOCS)}
ENGLISH = [name for name in TEXTS if not name.endswith(".ko.md")]
KOREAN = [name for name in TEXTS if name.endswith(".ko.md")]
RESULTS = ROOT / "benchmarks" / "results"
COUNTS = {
    13: ("Thirteen notebooks", "노트북 열세 개"),
    14: ("Fourteen notebooks", "노트북 열네 개"),
}
"""What the READMEs' first sentence says of so many notebooks."""
CODE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.M | re.S)


def commands(text):
    """The lines of the shell blocks without their comments, and the make commands of tables."""
    blocks = [body for language, body in CODE.findall(text) if language == "bash"]
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line] + re.findall(r"^\| `(make [^`]*)`", text, re.M)


def headings(text):
    return [len(mark) for mark in re.findall(r"^(#+) ", CODE.sub("", text), re.M)]


def outside_code(text):
    return CODE.sub("", text)


LINES = list(dict.fromkeys(line for name in ENGLISH for line in commands(TEXTS[name])))
OURS = [line for line in LINES if line.startswith("python -m livestock_utils ")]
MAKES = [line for line in LINES if line.startswith("make")]


def test_there_are_commands_to_test():
    assert len(OURS) >= 15 and len(MAKES) >= 6
    known = (
        "python -m livestock_utils",
        "python run.py ",
        "make ",
        "source .venv/bin/activate",
        "export LIVESTOCK_SPECIES=",
        "git clone https://github.com/",
        "pip install git+https://github.com/",
        "pip install -r requirements.txt",
    )
    assert [line for line in LINES if not line.startswith(known)] == []
    assert [line for line in LINES if "owner/name" in line] == ["make badges REPO=owner/name"]


@pytest.mark.parametrize("line", OURS)
def test_the_commands_parser_takes_it(line, monkeypatch):
    monkeypatch.setattr(
        click.Path, "convert", lambda self, value, param, ctx: Path(value)
    )  # DATA stands for a path
    words = shlex.split(line)[3:]
    if words[0].startswith("-"):
        assert words == ["--help"]
        return
    command = cli.cli.commands[words[0]]
    context = command.make_context(words[0], words[1:])
    for name in filter(None, (context.params.get("only") or "").split(",")):
        assert name in {found.number for found in notebook_files.find()}
    known = {key for found in notebook_files.find() for key in found.parameters}
    assert {name.split(".")[-1] for name, _ in context.params.get("pairs", ())} <= known


RUNS = [line for line in LINES if line.startswith("python run.py ")]


@pytest.mark.parametrize("line", RUNS)
def test_a_bundles_runner_knows_it(line, capsys):
    words = shlex.split(line)[2:]
    asked = words[:1] if words[0].isidentifier() or "-" in words[0] else []
    with pytest.raises(SystemExit) as ended:
        edge_runner.main([*asked, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and told.startswith(" ".join(["usage: run.py", *asked]))
    assert all(word in told for word in words if word.startswith("--"))


@pytest.mark.parametrize("line", MAKES)
def test_make_knows_it(line):
    done = subprocess.run(
        [*shlex.split(line), "--dry-run"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_program_is_told():
    assert {line.split()[3] for line in OURS} >= set(cli.cli.commands) - {"fail-for-test"}


@pytest.mark.slow
def test_the_cheap_commands_run(tmp_path):
    cheap = [
        line
        for line in OURS
        if line.split()[3] in ("sample", "check", "--help") and "barn/" not in line
    ]
    assert len(cheap) >= 4
    for line in sorted(cheap, key=lambda line: "sample DIR" not in line):
        line = line.replace("python", shlex.quote(sys.executable), 1)
        line = line.replace("data/sample", "DIR").replace("DATA", "DIR")
        done = subprocess.run(
            line,
            shell=True,
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.mark.slow
def test_the_lines_of_python_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = (body for language, body in CODE.findall(TEXTS["README.md"]) if language == "python")
    for large, small in (
        ("epochs=8", "epochs=1, batch_size=8"),
        ("image_size=320", "image_size=64"),
    ):
        assert large in code
        code = code.replace(large, small)
    lu.write_sample("data/sample", n_images=24, n_test_images=0, scale=0.15)
    exec(code, {})
    assert "mAP75" in capsys.readouterr().out
    assert (tmp_path / "runs" / "first" / "weights" / "best.pt").is_file()


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_pictures_are_there(name):
    links = re.findall(r"\]\(([^)#]+)\)", outside_code(TEXTS[name]))
    folder = (ROOT / name).parent
    missing = [link for link in links if "://" not in link and not (folder / link).is_file()]
    assert [link for link in missing if not link.endswith(".ipynb")] == []
    texts = [link.replace(".ipynb", ".py") for link in missing]
    assert all((folder / text).is_file() for text in texts)


def test_every_page_is_linked_and_the_pictures_are_small():
    linked = set(re.findall(r"\]\(([^)#]+)\)", TEXTS["README.md"]))
    assert {name for name in ENGLISH if name != "README.md"} <= linked
    assert sum(path.stat().st_size for path in draw_readme.FIGURES.iterdir()) < 200_000


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_is_short_and_counts_the_notebooks(name):
    made = re.sub(r"<!-- clone -->.*?<!-- end -->", "", TEXTS[name], flags=re.S)
    assert len(made.splitlines()) < 130
    told = COUNTS[len(notebook_files.find())][NAMES.index(name)]
    assert TEXTS[name].split("![")[0].count(told) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_table_lists_every_notebook_in_order(name):
    rows = re.findall(r"^\| \[([\w ]+)\]\(notebooks/(\w+)\.ipynb\)", TEXTS[name], re.M)
    assert [file for _, file in rows] == [found.name for found in notebook_files.find()]
    assert [words for words, _ in rows] == [file.replace("_", " ") for _, file in rows]


def test_the_messages_to_look_up_are_the_librarys_own():
    table = TEXTS["docs/troubleshooting.md"]
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "livestock_utils").rglob("*.py")
    )
    told = [
        part
        for line in re.findall(r"^\| (.*?) \| ", table, re.M)
        for part in re.findall(r"`([^`]+)`", line)
    ]
    foreign = {
        "CUDA out of memory",
        "No module named 'pkg_resources'",
        "np.trapz",
        "UnpicklingError",
        "No module named 'livestock_utils'",
    }
    own = [message for message in told if message not in foreign]
    assert len(own) >= 8
    for message in own:
        words = [
            w
            for w in re.split(r"\.\.\.|\[\.\.\.\]|\b0\d\b|sm_60|\b2\b", message)
            if len(w.strip(" ,[]")) > 3
        ]
        assert all(word.strip(" ,[]") in source for word in words), message


def english_of(korean):
    return korean.replace(".ko.md", ".md")


@pytest.mark.parametrize("name", KOREAN)
def test_both_have_the_same_headings_commands_links_and_figures(name):
    english, korean = TEXTS[english_of(name)], TEXTS[name]
    assert headings(korean) == headings(english)
    assert commands(korean) == commands(english)
    for pattern in (r"\]\(([^)]+)\)", r"^\|(?:[^|\n]*\|)+", r"`(--?\w[\w-]*)`"):
        found = [re.findall(pattern, outside_code(text), re.M) for text in (english, korean)]
        assert len(found[0]) == len(found[1]), pattern
    links = [
        re.findall(r"\]\(([^)]+)\)", text.replace(".ko.md", ".md")) for text in (english, korean)
    ]
    assert links[0] == links[1]
    assert re.findall(r"\.\d{3,5}\b", english) == re.findall(r"\.\d{3,5}\b", korean)


def test_korean_pages_lead_to_korean_pages():
    for name in KOREAN:
        links = re.findall(r"\]\(([^):#]+\.md)\)", TEXTS[name])
        folder = (ROOT / name).parent
        twins = [link for link in links if (folder / f"{link[:-3]}.ko.md").is_file()]
        assert [link for link in twins if (folder / link) != ROOT / "README.md"] == [], name


# Every number is one of a committed row.


def told(*values):
    """The values as the texts write them: three decimals (of rows rounded to four), no sign."""
    return pytest.approx([abs(float(value)) for value in values], abs=0.00056)


def decimals(text):
    return [float(number) for number in re.findall(r"\.\d{3}\b", outside_code(text))]


@pytest.fixture(scope="module")
def sample():
    return json.loads((RESULTS / "sample.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rows():
    """Columns of AP75 and gains by way: accuracy (mean of the seeds), post-processing."""
    accuracy = pd.read_csv(RESULTS / "accuracy.csv").groupby(["plan", "way"])["AP75"].mean()
    gains = pd.read_csv(RESULTS / "accuracy_gains.csv").query("plan == 'final'")
    return {
        "accuracy": accuracy["final"],
        "hundred": accuracy["100 photos"],
        "gains": gains.set_index(["way", "of"]),
        "after": pd.read_csv(RESULTS / "postprocess.csv").set_index("how"),
    }


GAIN = ["gain", "low", "high"]
LONGER = "auto, plain's seconds"
ONE_PASS = "chosen, one pass, re-scored where it paid"
PASSES = "chosen, passes, re-scored where it paid"


def test_the_readmes_numbers_are_committed_rows(sample, rows):
    first, last = sample["05_train_multilabel_split"], sample["11_inference"]
    ap75, gains, after = rows["accuracy"], rows["gains"], rows["after"]
    interval = last["mAP75"], last["mAP75_low"], last["mAP75_high"]
    assert decimals(TEXTS["README.md"]) == told(
        *(ap75["plain yolov5"], ap75["auto"], after.at[PASSES, "AP75"]),
        *(ap75["plain yolov5"], ap75["auto"], *gains.loc[("auto", "all"), GAIN]),
        *(ap75[LONGER], *gains.loc[(LONGER, "all"), GAIN]),
        *rows["hundred"][["auto", "plain yolov5"]],
        *(after.at["NMS .68", "AP75"], *after.loc[ONE_PASS, ["AP75", *GAIN]]),
        *after.loc[PASSES, ["AP75", *GAIN]],
        *(first[key] for key in ("mAP75", "mAP75_pig", "mAP75_cow")),
        last["valid_mAP75"],
        *(*interval, last["mAP75_pig"], last["mAP75_cow"]),
        last["valid_mAP75"],
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_counts_are_committed(name, sample):
    seen = sample["for looking, test"]
    (caption,) = re.findall(
        r"^\*[^*]*?\b198\D.*?\*$".replace("198", str(seen["animals"])), TEXTS[name], re.M | re.S
    )
    caption = caption.replace("0.75", "").replace(".75", "")
    wrong = seen["boxes"] - seen["right"]
    wanted = *(seen[key] for key in ("animals", "images", "missed", "boxes")), wrong
    found = sorted(map(int, re.findall(r"\d+", caption)))
    assert found == sorted([*wanted, seen["animals"] - seen["missed"]])


@pytest.mark.parametrize("name", NAMES)
def test_the_lines_of_python_print_what_they_printed(name):
    printed = (RESULTS / "readme_lines.txt").read_text(encoding="utf-8")
    kept = [body for language, body in CODE.findall(TEXTS[name]) if language == ""]
    lines = [line.rstrip() for line in printed.splitlines()]
    assert [body.splitlines() for body in kept] == [lines]


def test_the_plots_bars_are_committed_rows(rows):
    bars = draw_readme.bars().set_index("label")
    assert len(bars) == len(draw_readme.BARS)
    seeds = pd.read_csv(RESULTS / "accuracy.csv").query("plan == 'final'").groupby("way")["AP75"]
    base = rows["after"].at["NMS .68", "AP75"]
    for label, file, way in draw_readme.BARS:
        found = bars.loc[label, ["value", "low", "high"]].tolist()
        if file == "accuracy":
            values = seeds.get_group(way).tolist()
            assert found == pytest.approx([sum(values) / 3, min(values), max(values)])
        else:
            low, high = rows["after"].loc[way, ["low", "high"]]
            wanted = [rows["after"].at[way, "AP75"], base + low, base + high]
            assert found == pytest.approx(wanted)


def test_the_results_numbers_are_committed_rows(sample):
    text, _, write_up = TEXTS["docs/results.md"].partition("## The write-up's numbers")
    first, last = sample["05_train_multilabel_split"], sample["11_inference"]
    silver = sample["10_train_expanded"]
    interval = last["mAP75"], last["mAP75_low"], last["mAP75_high"]
    gain = "elsewhere_difference", "elsewhere_low", "elsewhere_high"
    scores = "mAP50", "mAP75", "mAP75_pig", "mAP75_cow", "mAP75_complete"
    assert decimals(text) == told(
        *(first[key] for key in scores),
        *(last["mAP50"], *interval, last["mAP75_pig"], last["mAP75_cow"], first["mAP50-95"]),
        *(last[key] for key in gain),
        *(silver[key] for key in ("difference", "low", "high")),
    )
    kept = yaml.safe_load(
        (ROOT / "livestock_utils" / "assets" / "write_up.yaml").read_text(encoding="utf-8")
    )
    known = {
        str(value).removeprefix("0")
        for table in kept["scores"].values()
        for row in table
        for value in row.values()
    }
    asked = re.findall(r"\.\d{3,5}\b", write_up)
    assert len(asked) > 15 and set(asked) - known <= {".983", ".909"}  # its first training


@pytest.mark.parametrize("name", ["docs/edge.md", "docs/edge.ko.md"])
def test_the_bundles_numbers_are_committed(name, sample):
    row = sample["13_edge_export"]
    told = f"({row['export']}, {row['image_size']} px): {row['size_mb']:.1f} MB"
    text = " ".join(TEXTS[name].split())
    assert told in text and f"{row['whole_ms']:.1f} ms" in text
    assert re.search(rf"\b{row['images']}( validation photos|장에서)", text)
    assert decimals(TEXTS[name]) == pytest.approx([row["AP75"]], abs=0.00051)


def table_rows(text, first):
    """Cells of the first table whose heading begins with `first`."""
    (table,) = re.findall(rf"^\| {first} \|.*?\n\|[-|]+\n(.*?)\n\n", text, re.M | re.S)
    return [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_the_tables_of_accuracy_are_committed_rows(rows):
    seeds = pd.read_csv(RESULTS / "accuracy.csv").query("plan == 'final'").groupby("way")
    ways = "plain yolov5", "+ COCO's head", "auto", LONGER
    columns = {
        "training": ["AP50"],
        "by class": ["pig", "cow", "COCO cow", "other cow"],
        "by NMS": ["AP75", "AP75 at .68", "AP75 soft .7"],
    }
    assert "mean of three seeds" in TEXTS["docs/accuracy.md"]
    for first, names in columns.items():
        table = table_rows(TEXTS["docs/accuracy.md"], first)
        for way, cells in zip(ways, table, strict=True):
            ap75, mean = seeds.get_group(way)["AP75"], seeds.mean(numeric_only=True).loc[way]
            spread = ap75.agg(["mean", "min", "max"]) if first == "training" else []
            assert len(ap75) == 3
            assert decimals(" ".join(cells[1:])) == told(*spread, *mean[names]), (first, way)
    prose = TEXTS["docs/accuracy.md"].split("At 15 epochs each")[1].split("The start weights")[0]
    gains = rows["gains"].loc[["auto", LONGER], GAIN]
    assert decimals(prose) == told(*gains.to_numpy().ravel())


def test_the_table_of_sizes_is_committed_rows():
    rows = pd.read_csv(RESULTS / "accuracy.csv").groupby(["plan", "way"])["AP75"]
    gains = pd.read_csv(RESULTS / "accuracy_gains.csv").set_index(["plan", "way", "of"])[GAIN]
    plans = "100 photos", "200 photos", "final"
    *table, last = table_rows(TEXTS["docs/accuracy.md"], "photos")
    for way, cells in zip(("plain yolov5", "+ COCO's head", "auto"), table, strict=True):
        found = [rows.get_group((plan, way)) for plan in plans]
        assert [len(part) for part in found] == [3, 3, 3]
        wanted = [value for part in found for value in part.agg(["mean", "min", "max"])]
        assert decimals(" ".join(cells[1:])) == told(*wanted), way
    wanted = [value for plan in plans for value in gains.loc[(plan, "auto", "all")]]
    assert decimals(" ".join(last[1:])) == told(*wanted)


def test_the_table_of_searches_is_committed_rows():
    rows = pd.read_csv(RESULTS / "accuracy.csv").groupby(["plan", "way"])["AP75"]
    gains = pd.read_csv(RESULTS / "accuracy_gains.csv").set_index(["plan", "way", "of"])[GAIN]
    table = table_rows(TEXTS["docs/accuracy.md"], "search")
    for cells, (name, file) in zip(table, (("TPE", "tpe"), ("genetic", "genetic")), strict=True):
        trials = pd.read_csv(RESULTS / f"search_{file}.csv")["score"]
        key = ("final", f"auto, {name}")
        found = rows.get_group(key).agg(["mean", "min", "max"])
        wanted = told(trials.max(), trials[0], *found, *gains.loc[(*key, "all")])
        assert decimals(" ".join(cells[1:])) == wanted


def test_the_table_of_cameras_is_committed_rows():
    text = TEXTS["docs/accuracy.md"]
    rows = pd.read_csv(RESULTS / "cameras.csv").query("plan == 'screen'")
    known = rows.groupby(["camera", "way"])
    assert set(known.size()) == {3}
    for first in ("camera", "counted on"):
        table = table_rows(text, first)
        assert len(table) == len(known)
        for camera, training, *cells in table:
            part = known.get_group((camera, training))
            means, scores = part.mean(numeric_only=True), part["AP75"]
            wanted = [*means[["recall", "count_error"]]]
            if first == "camera":
                gain = means[["gain", "gain_low", "gain_high"]].dropna()
                wanted = [means["AP75"], scores.min(), scores.max(), *gain]
            numbers = re.findall(r"\d*\.\d{3}", " ".join(cells))
            assert list(map(float, numbers)) == told(*wanted), (camera, training)
            assert f"{camera} {means['images']:.0f}" in text


def test_the_tables_of_missing_labels_are_committed_rows():
    text = TEXTS["docs/missing_labels.md"]
    keys = ["plan", "way", "species", "share"]
    rows = pd.read_csv(RESULTS / "missing_training.csv").groupby(keys)
    first, second, three = "final", "middle", ("plain yolov5", "auto", "doubted")
    later = [f"second round, {way}" for way in (".3 added", ".15 added, doubted", "soft")]
    final, middle = re.findall(r"^\| training \|.*?\n\|[-|]+\n(.*?)\n\n", text, re.M | re.S)
    gone = (("all", 0.4), ("all", 0.2), ("cow", 0.4))
    wanted = [(first, way, *part) for part in gone for way in three]
    wanted += [(first, "doubted", "all", 0.0)]
    wanted += [(second, way, "all", 0.4) for way in ("auto", "doubted", *later)]
    lines = final.splitlines() + middle.splitlines()
    for key, line in zip(wanted, lines, strict=True):
        part = rows.get_group(key)
        part = part if key[0] == first else part[part["seed"] == 0]  # the rounds have one seed
        assert decimals(line) == told(*part[["AP75 at .60", "recall"]].mean()), key
        assert len(part) == (3 if key[0] == first else 1)
    assert "means of three seeds" in text
    ways = "auto", "silver, one round", "silver, two rounds"
    for name, cells in zip(ways, table_rows(text, "silver from"), strict=True):
        part = rows.get_group((second, name, "all", 0.4))
        scores = part["AP75 at .60"]
        wanted = [scores.mean(), scores.min(), scores.max(), part["recall"].mean()]
        assert decimals(" ".join(cells)) == told(*wanted)
        counts = [float(n) for n in cells[-1].split(",")]
        assert counts == pytest.approx([*part[["added", "right"]].fillna(0).mean()], abs=0.51)
    gains = pd.read_csv(RESULTS / "missing_training_gains.csv")
    said = gains.set_index(["plan", "species", "share", "over", "way"])[GAIN]
    for key in (
        (first, "all", 0.4),
        (first, "all", 0.2),
        (first, "cow", 0.4),
        (second, "all", 0.2),
    ):
        gain, low, high = said.loc[(*key, "auto", "doubted")]
        assert f"{signed(gain)} ({signed(low)} to {signed(high)}" in text.replace("+", "")
    for pair in itertools.pairwise(ways):
        gain, low, high = said.loc[(second, "all", 0.4, *pair)]
        assert f"{signed(gain)} ({signed(low)} to {signed(high)})" in text


def signed(value):
    return f"{value:.3f}".replace("0.", ".", 1)


def test_the_table_of_label_orders_is_committed_rows():
    means = pd.read_csv(RESULTS / "label_order.csv").groupby(["photos", "order"])["AP75"].mean()
    gains = pd.read_csv(RESULTS / "label_order_gains.csv").set_index("photos")[GAIN]
    text = TEXTS["docs/missing_labels.md"].partition("## Which photos to label next")[2]
    for photos, *cells in table_rows(text, "photos"):
        wanted = means[int(photos)][["random", "disputed"]]
        assert decimals(" ".join(cells)) == told(*wanted, *gains.loc[int(photos)])


def test_the_table_of_post_processing_is_committed_rows(rows):
    table = table_rows(TEXTS["docs/postprocessing.md"], "after the network")
    pixels, passes = "chosen, 320 px", "chosen, passes"
    ways = [
        *("NMS .68", "NMS .60", "DIoU-NMS .6", "soft-NMS .7", "weighted NMS .68"),
        *("merge-NMS .68", "NMS .68, voting .7", "soft-NMS .7, voting .8"),
        *(pixels, f"{pixels}, re-scored where it paid", "chosen, one pass", ONE_PASS),
        *(passes, PASSES, f"{passes}, re-scored always"),
    ]
    for way, cells in zip(ways, table, strict=True):
        row = rows["after"].loc[way]
        names = ["AP75", *(GAIN if way != "NMS .68" else [])]
        assert decimals(" ".join(cells[1:-1])) == told(*row[names]), way
        assert float(cells[-1]) == pytest.approx(row["ms"], abs=0.51), way
    table = table_rows(TEXTS["docs/postprocessing.md"], "by class")
    for way, cells in zip(ways, table, strict=True):
        row = rows["after"].loc[way, ["pig", "COCO cow", "other cow"]]
        assert decimals(" ".join(cells[1:])) == told(*row), way
