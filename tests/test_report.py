"""The report: linked, complete in itself, accessible; opened in a real browser where there is
one."""

import base64
import html
import itertools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import in_chromium
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from livestock_utils import __version__
from livestock_utils.core import files
from livestock_utils.core.errors import NotebookError
from livestock_utils.show import notebook
from livestock_utils.show.pipeline import notebook_files, report, single_file

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
ALT = 'Images by species: "pigs" & cows.'
TABLE = (
    '<table><caption>Images &lt;by&gt; "stratum".</caption>'
    "<thead><tr><th>stratum</th><th>images</th></tr></thead><tbody>"
    "<tr><td>cow little</td><td>7,383</td></tr>"
    "<tr><td>pig little</td><td>506</td></tr><tr><td>cow many</td><td>–</td></tr></tbody></table>"
)


COMMAND = "python -m livestock_utils run --data DATA --out OUT"
KOREAN = json.loads((report.TEMPLATES / "livestock" / "korean.json").read_text(encoding="utf-8"))


class Page(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.headings, self.loads = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "a":
            self.links.append(values.get("href", ""))
        if tag == "img":
            self.images.append(values)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in ("script", "img", "iframe") and "src" in values:
            self.loads.append(values["src"])
        if tag == "link":
            self.loads.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A report of two notebooks, one with a figure and a table, one that failed."""
    out = tmp_path_factory.mktemp("out")
    step = notebook.Step("01_eda", out, out)
    Image.new("RGB", (2000, 1000), "orange").save(step.path("figures", "01", "species.png"))
    step.metrics(
        images=16455,
        share=0.26149,
        note="text",
        by_species={"pig": 4303},
        headline={"test mAP75": 0.98116},
    )
    step.finish("02_split")
    small = out / "small.png"
    Image.new("RGB", (200, 100), "orange").save(small)
    png = base64.b64encode(small.read_bytes()).decode()
    first = new_notebook(
        metadata={
            "papermill": {
                "parameters": {"data": str(out / "data")},
                "end_time": "2026-01-02T03:04:05.678+00:00",
            }
        },
        cells=[
            new_markdown_cell(
                "# 01 What is there?\n\nWhich **animals** are in the photos? See "
                "[02](02_split.ipynb)."
            ),
            new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
            new_code_cell(
                "figure()",
                outputs=[
                    new_output(
                        "display_data",
                        {"image/png": png, "text/plain": ALT},
                        metadata={
                            "image/png": {"alt": ALT},
                            "livestock": {"figure": "01/species.png"},
                        },
                    ),
                    new_output("display_data", {"text/markdown": f"*{ALT}*"}),
                ],
            ),
            new_markdown_cell("## Strata\nSee [04](04_mini.ipynb), [how](../docs/how.md)."),
            new_code_cell(
                "table",
                outputs=[
                    new_output("display_data", {"text/html": TABLE}),
                    new_output("stream", name="stdout", text="a < b\n"),
                ],
            ),
        ],
    )
    second = new_notebook(
        cells=[
            new_markdown_cell("# 02 Split"),
            new_code_cell(
                "1 / 0",
                outputs=[new_output("error", ename="E", evalue="no", traceback=["\x1b[31mE: no"])],
            ),
        ]
    )
    for name, nb in {"01_eda": first, "02_split": second}.items():
        files.write_text(out / "notebooks" / f"{name}.ipynb", nbformat.writes(nb))
    files.write_text(out / "report" / "99_gone.html", "stale")
    files.write_text(out / "report" / "files" / "99_gone.ipynb", "stale")
    files.write_text(out / "submission.csv", "ImageID\n")
    files.write_text(out / "data" / "sample.json", "{}")
    report.write_report(out, COMMAND)
    return out / "report"


def page(site, name):
    text = (site / f"{name}.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_without_notebooks(tmp_path):
    with pytest.raises(
        NotebookError,
        match=r"no executed notebooks in .*; `python -m livestock_utils run` makes them",
    ):
        report.write_report(tmp_path)


def test_one_page_a_notebook_and_stale_ones_gone(site):
    assert sorted(path.name for path in site.iterdir()) == [
        "01_eda.html",
        "02_split.html",
        "files",
        "index.html",
    ]
    assert sorted(path.name for path in (site / "files").iterdir()) == [
        "01_eda.ipynb",
        "02_split.ipynb",
        "submission.csv",
    ]


@pytest.mark.parametrize("name", ["index", "01_eda", "02_split"])
def test_every_page_is_complete_in_itself(site, name):
    text, parsed = page(site, name)
    assert all(source.startswith("data:") for source in parsed.loads)
    assert not re.search(r"url\((?!data:)|@import|https?://(?!www\.w3\.org)", text)


@pytest.mark.parametrize("name", ["index", "01_eda", "02_split"])
def test_links_lead_to_pages_and_anchors_that_exist(site, name):
    text, parsed = page(site, name)
    for link in parsed.links:
        target, _, anchor = link.partition("#")
        assert not target or (site / target).is_file(), link
        assert not anchor or f'id="{anchor}"' in text, link


@pytest.mark.parametrize("name", ["index", "01_eda", "02_split"])
def test_headings_descend_one_by_one_from_a_single_h1(site, name):
    levels = page(site, name)[1].headings
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_figures_are_the_large_ones_with_their_caption_once(site):
    text, parsed = page(site, "01_eda")
    figure = next(image for image in parsed.images if image.get("src"))
    assert figure["alt"] == ALT
    assert (figure["width"], figure["height"]) == ("1600", "800")
    assert len(re.findall("<figcaption>Images by species", text)) == 1
    assert "<em>Images by species" not in text


def test_sections_and_other_pages_are_linked_and_missing_pages_become_text(site):
    text, parsed = page(site, "01_eda")
    assert {"02_split.html", "#Strata"} <= set(parsed.links)
    assert "See 04, how [<code>docs/how.md</code>]." in text


def test_the_index_shows_the_question_thumbnail_and_key_numbers(site):
    text, parsed = page(site, "index")
    assert "Which <strong>animals</strong> are in the photos? See 02." in text
    assert parsed.images[0]["alt"] == ALT
    for part in (
        "<dd>16,455</dd>",
        "<dd>0.2615</dd>",
        "<td>by species · pig</td><td>4,303</td>",
        "Stopped with",
    ):
        assert part in text


def test_the_index_begins_with_the_headline_numbers(site):
    text, _ = page(site, "index")
    assert re.search(
        r'<dt><a href="01_eda.html"[^>]*>test mAP75</a></dt><dd>0.981</dd>.*The n', text, re.S
    )


def test_a_table_has_its_caption_outside_the_frame_that_scrolls(site):
    text, _ = page(site, "01_eda")
    frame = (
        """<div aria-label='Images &lt;by&gt; "stratum".' class="wide" role="group" """
        'tabindex="0"><table>'
    )
    assert f'<figcaption>Images &lt;by&gt; "stratum".</figcaption>{frame}' in text
    assert "<caption>" not in text


def test_a_failed_notebook_says_so(site):
    text, _ = page(site, "02_split")
    assert 'role="alert"' in text
    assert "E: no" in text


def test_output_text_is_escaped(site):
    assert "a &lt; b" in page(site, "01_eda")[0]


def test_the_same_notebooks_give_the_same_report(site):
    before = {path.name: path.read_bytes() for path in site.glob("*.html")}
    report.write_report(site.parent, COMMAND)
    assert {path.name: path.read_bytes() for path in site.glob("*.html")} == before


def test_the_index_says_of_what_when_by_which_version_and_command(site):
    text, parsed = page(site, "index")
    assert '<span class="badge" data-ko="합성 샘플 데이터">drawn sample data</span>' in text
    assert "2026-01-02</time>" in text and f"livestock_utils {__version__}" in text
    assert f"<code>{COMMAND}</code>" in text
    assert "files/submission.csv" in parsed.links
    assert '<details class="numbers"><summary' in text


FINAL = {"mAP75": 0.79, "test_images": 40, "mAP75_low": 0.734, "mAP75_high": 0.842}
SILVER = {"difference": -0.0341, "low": -0.08, "high": 0.011}


@pytest.mark.parametrize(
    ("metrics", "english", "korean"),
    [
        ({}, [], []),
        ({"11_inference": {"mAP75": 0.79}}, [], []),
        ({"11_inference": FINAL | {"mAP75": None}}, [], []),
        (
            {"11_inference": FINAL},
            ["mAP75 0.790 on 40 test photos, scored once (95 % interval 0.734 to 0.842)."],
            ["40장에서 mAP75 0.790입니다"],
        ),
        (
            {"10_train_expanded": SILVER},
            ["by -0.034 (-0.080 to +0.011): within noise."],
            ["우연의"],
        ),
        (
            {"10_train_expanded": SILVER | {"low": -0.08, "high": -0.01}},
            ["by -0.034 (-0.080 to -0.010): more than noise."],
            ["우연을 넘는"],
        ),
    ],
)
def test_the_verdict_says_what_was_measured(tmp_path, metrics, english, korean):
    files.write_text(
        tmp_path / "notebooks" / "01_eda.ipynb",
        nbformat.writes(new_notebook(cells=[new_markdown_cell("# 01 What is there?")])),
    )
    files.write_json(tmp_path / "metrics.json", metrics)
    text = report.write_report(tmp_path).read_text(encoding="utf-8")
    told = re.findall(r'^<li data-ko="([^"]*mAP75[^"]*)">([^<]*)</li>', text, re.M)
    assert len(told) == len(english) and ("The verdict" in text) == bool(english)
    for (ko, en), part, teil in zip(told, english, korean, strict=True):
        assert part in en and teil in ko


def test_a_hero_picture_comes_from_the_test_photos(site):
    Image.new("RGB", (300, 100), "blue").save(
        notebook.Step("11_inference", site.parent, site.parent).path(
            "figures", "11", "best_median_worst.png"
        )
    )
    text = report.write_report(site.parent, COMMAND).read_text(encoding="utf-8")
    assert text.count('<figure class="hero">') == 1
    shown = [tag for tag in re.findall(r"<img[^>]*>", text) if "src=" in tag]
    assert len(shown) == 2 and all(re.search(r' width="\d+" height="\d+"', tag) for tag in shown)
    (site.parent / "figures" / "11" / "best_median_worst.png").unlink()
    text = report.write_report(site.parent, COMMAND).read_text(encoding="utf-8")
    assert 'class="hero"' not in text


def test_every_notebook_has_its_korean_title_and_most_headings_theirs():
    titles, headings = [], []
    for found in notebook_files.find():
        text = found.path.read_text(encoding="utf-8")
        titles += re.findall(r"^# # (?:\d\d )?(.*)$", text, re.M)
        headings += re.findall(r"^# ##+ (.*)$", text, re.M)
    known = KOREAN["headings"]
    missing = [heading for heading in headings if heading not in known]
    assert [title for title in titles if title not in known] == []
    assert len(missing) <= len(headings) / 5, missing


def test_headings_that_are_known_carry_their_korean(site):
    text, _ = page(site, "01_eda")
    assert '<h2 id="Strata" data-ko="층">Strata</h2>' in text
    assert '<a href="#Strata" data-ko="층">Strata</a>' in text
    assert re.search('<h1 id="[^"]*">01 What is there', text)  # not in the dictionary


def test_the_single_file_holds_all_pages_and_leads_within_itself(site):
    path = single_file.write_single_file(site / "index.html")
    text = path.read_text(encoding="utf-8")
    parsed = Page(text)
    assert path == site.parent / "report.html" and path.stat().st_size < 20e6
    assert 'id="01_eda--Strata"' in text and "Stopped with" in text
    for link in parsed.links:
        assert link.startswith(("#", "data:text/csv;base64,")), link
        assert not link.startswith("#") or f'id="{link[1:]}"' in text, link
    ids = re.findall(r'<[^<>]*\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert all(source.startswith("data:") for source in parsed.loads)


def test_the_single_file_s_pictures_shrink_and_a_text_too_large_is_told(site):
    size = single_file.write_single_file(site / "index.html").stat().st_size
    assert single_file.write_single_file(site / "index.html", size).stat().st_size < size
    with pytest.raises(NotebookError, match=r"expected less than 1,000; send the folder"):
        single_file.write_single_file(site / "index.html", 1000)


def in_browser(path, tmp_path, script="", *options, timeout=120):
    """The page's DOM after `script` has run in headless Chromium, and what it wrote to the
    console."""
    text = path.read_text(encoding="utf-8").replace("</body>", f"<script>{script}</script></body>")
    copy = path.with_name(f"test-{path.name}")
    copy.write_text(text, encoding="utf-8")
    try:
        done = subprocess.run(
            [
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
                "--dump-dom",
                f"--user-data-dir={tmp_path / 'profile'}",
                *options,
                copy.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=True,
        )
    finally:
        copy.unlink()
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


FRAME = """<!DOCTYPE html><title>frame</title><body>
<iframe src="{page}" style="width:{width}px;height:800px;border:0"></iframe><script>
addEventListener("message", (event) => {{ document.body.dataset.told = event.data; }});
</script></body>"""
TELL = """addEventListener("load", () => parent.postMessage(
    [innerWidth, document.documentElement.scrollWidth, Math.round(Math.max(0, ...[
        ...document.querySelectorAll("main figure, .cover, .stack td")
    ].map((part) => part.getBoundingClientRect().right))), Math.round(Math.max(0, ...[
        ...document.querySelectorAll("main figure img")
    ].map((picture) => picture.getBoundingClientRect().width)))].join(" "), "*"));"""


def widths_in_a_frame(path, tmp_path, width_px):
    """Inner width, scroll width, end of figures (which pan within) and stacked cells, width of the
    widest picture, in px, of a page in a frame of that width: a window has no less than 500 px."""
    text = path.read_text(encoding="utf-8").replace("</body>", f"<script>{TELL}</script></body>")
    copy = tmp_path / f"in-{path.name}"
    copy.write_text(text, encoding="utf-8")
    frame = tmp_path / f"frame-{width_px}-{path.name}"
    frame.write_text(FRAME.format(page=copy.name, width=width_px), encoding="utf-8")
    dom, console = in_browser(
        frame, tmp_path, "", "--virtual-time-budget=3000", "--window-size=1400,900"
    )
    assert console == []
    return tuple(map(int, re.search(r'data-told="(\d+) (\d+) (\d+) (\d+)"', dom).groups()))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width_px", [1300, 390])
def test_pages_open_without_console_errors_and_fit_the_width(site, tmp_path, width_px):
    for name in ("index", "01_eda", "02_split"):
        inner, scroll, *_ = widths_in_a_frame(site / f"{name}.html", tmp_path, width_px)
        assert inner == width_px
        assert scroll <= inner, name


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """The pages of the report of the committed notebooks."""
    out = tmp_path_factory.mktemp("committed")
    (out / "notebooks").mkdir()
    for path in (Path(__file__).resolve().parents[1] / "notebooks").glob("[0-9][0-9]_*.ipynb"):
        shutil.copy(path, out / "notebooks")
    return sorted(report.write_report(out).parent.glob("*.html"))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_report_of_the_committed_notebooks_fits_a_phone_and_is_small(committed, tmp_path):
    pages = committed
    assert len(pages) == len(notebook_files.find()) + 1
    assert sum(path.stat().st_size for path in pages) < 20e6
    for path in pages:
        inner, scroll, right, picture = widths_in_a_frame(path, tmp_path, 390)
        assert (inner, scroll <= 390, 300 < right <= 390) == (390, True, True), path.name
        assert picture > 500 or path.stem == "index", path.name  # text of 10 px, not of 6


JUDGED = """<!DOCTYPE html><title>frame</title><body><script>
const cases = [[1280, "light"], [1280, "dark"], [390, "light"], [390, "dark"]], told = [];
const next = () => {
  document.querySelector("iframe")?.remove();
  if (told.length === cases.length) { document.body.dataset.told = JSON.stringify(told); return; }
  const [width, theme] = cases[told.length], frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:900px;border:0`;
  frame.src = "PAGE#" + theme;
  document.body.append(frame);
};
addEventListener("message", (event) => {
  if (typeof event.data === "string" && event.data.startsWith("judged")) {
    told.push(event.data); next();
  }
});
next();
</script></body>"""
JUDGE = """addEventListener("load", () => {
  document.documentElement.dataset.theme = location.hash.slice(1);
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
  const tell = (what) => parent.postMessage(`judged ${innerWidth} ${location.hash} ${what}`, "*");
  axe.run(document, { resultTypes: ["violations"] }).then((found) => tell(found.violations.map(
    (fault) => `${fault.id}: ${fault.nodes[0].html.slice(0, 200)}`).join("; ")), tell);
});"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.skipif(in_chromium.AXE is None, reason="needs axe-core-python (the dev extra)")
def test_all_pages_are_accessible_wide_and_narrow_light_and_dark(committed, tmp_path):
    rules = f"<script>{in_chromium.AXE.read_text(encoding='utf-8')}</script>"
    clean = [f"judged {width} #{theme} " for width in (1280, 390) for theme in ("light", "dark")]
    bad = tmp_path / "bad.html"
    bad.write_text('<html lang="en"><title>bad</title><body><img src="data:,"></body></html>')
    for path in (bad, *committed):
        text = re.sub(r'src="data:image/[^"]+"', 'src="data:,"', path.read_text(encoding="utf-8"))
        judged, frame = tmp_path / f"judged-{path.name}", tmp_path / f"frame-{path.name}"
        told = text.replace("</body>", f"{rules}<script>{JUDGE}</script></body>")
        judged.write_text(told, encoding="utf-8")
        frame.write_text(JUDGED.replace("PAGE", judged.name), encoding="utf-8")
        options = "--virtual-time-budget=60000", "--window-size=1400,900"
        dom, _ = in_browser(frame, tmp_path, "", *options, timeout=600)
        found = json.loads(html.unescape(re.search(r'data-told="([^"]*)"', dom)[1]))
        if path == bad:  # the rules are at work
            assert all("image-alt" in line for line in found)
        else:
            assert found == clean, path.name


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_switches_the_zoom_and_sorting_work(site, tmp_path):
    script = """
      const say = (key, value) => { document.body.dataset[key] = value; };
      const all = (what) => [...document.querySelectorAll(what)];
      const open = () => all("details.code").filter((d) => d.open).length;
      const order = () => all("tbody td:first-child").map((c) => c.textContent).join();
      say("folded", open());
      document.getElementById("code-switch").click();
      say("shown", open());
      const sorter = document.querySelectorAll("th button")[1];
      sorter.click(); say("up", order());
      sorter.click(); say("down", order());
      document.getElementById("theme-switch").click();
      say("background", getComputedStyle(document.body).backgroundColor);
      say("dimmed", getComputedStyle(document.querySelector(".zoom img")).filter);
      document.querySelector("button.zoom").click();
      say("zoomed", document.getElementById("zoom").open + document.querySelector("#zoom img").alt);
      const view = document.querySelector(".view");
      say("fits", view.scrollWidth <= view.clientWidth);
      document.querySelector(".fit").click();
      say("pans", view.scrollWidth > view.clientWidth);
      document.getElementById("language-switch").click();
      say("korean", document.querySelector("h2").textContent + document.querySelector("h2").lang);
      document.getElementById("language-switch").click();
      say("english", document.querySelector("h2").textContent);
      const link = document.querySelector("a.csv");
      link.addEventListener("click", (event) => event.preventDefault());
      link.click();
      say("csv", link.download + link.href.slice(0, 5));
    """
    dom, console = in_browser(site / "01_eda.html", tmp_path, script)
    assert console == []
    body = dict(re.findall(r'data-(\w+)="([^"]*)"', re.search(r"<body[^>]*>", dom)[0]))
    assert body["folded"] == "0"
    assert body["shown"] == "3"
    assert body["up"] == "pig little,cow little,cow many"
    assert body["down"] == "cow little,pig little,cow many"
    assert body["background"] == "rgb(20, 24, 26)"
    assert body["zoomed"].startswith("trueImages by species")
    assert (body["fits"], body["pans"]) == ("true", "true")
    assert (body["korean"], body["english"]) == ("층ko", "Strata")
    assert body["dimmed"] == "brightness(0.82)"
    assert body["csv"] == "01_1.csvblob:"


def luminance(colour):
    """Relative luminance of #rrggbb (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
@pytest.mark.parametrize("name", ["text", "quiet", "link", "mark"])
@pytest.mark.parametrize("ground", ["page", "soft"])
def test_text_has_the_contrast_of_wcag_aa(theme, name, ground):
    style = (report.TEMPLATES / "livestock" / "style.css").read_text(encoding="utf-8")
    block = style[style.index(theme) :].partition("}")[0]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    light, dark = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
