"""The report: all executed notebooks as one linked site that needs no network."""

import base64
import html
import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat

from livestock_utils import __version__
from livestock_utils.core import addresses, files
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.project import PACKAGE
from livestock_utils.core.reading import read_json
from livestock_utils.show import conclusions
from livestock_utils.show.pipeline import inline_images

TEMPLATES = PACKAGE / "assets" / "report_templates"
_TITLE = "Pigs and cows in barn photos"
_MAX_WIDTH_PX, _MAX_FIGURE_BYTES, _THUMBNAIL_PX = 1600, 200_000, 480
_MIMES = ("image/png", "image/jpeg")
_HEROES = ("11/test_examples.png", "11/best_median_worst.png", "09/examples.png")
_ELEMENT = re.compile(
    r"<(?P<tag>h[1-3]|summary|span|a|li|p|button|th|td|em)(?P<rest>(?: [^<>]*)?)>"
    r"(?P<text>[^<>]+)</(?P=tag)>"
)


def write_report(out: str | os.PathLike, command: str = "") -> Path:
    """Make OUT/report/ from notebooks, figures and metrics.json -> index.html; every page carries
    its styles, script and figures. `command` is what made the run."""
    out = Path(out)
    paths = sorted((out / "notebooks").glob("*.ipynb"))
    if not paths:
        raise NotebookError(
            f"no executed notebooks in {out / 'notebooks'}; `python -m livestock_utils run` makes "
            "them"
        )
    kept = out / "metrics.json"
    metrics = read_json(kept, NotebookError, "delete it and run again") if kept.is_file() else {}
    notebooks = {path.stem: _prepare(nbformat.read(path, as_version=4), out) for path in paths}
    ko = read_json(TEMPLATES / "livestock" / "korean.json", NotebookError, "install anew")
    pages = [_page(name, nb, metrics.get(name, {})) for name, nb in notebooks.items()]
    for earlier, later in itertools.pairwise(pages):
        earlier["next"], later["previous"] = later, earlier
    script = (TEMPLATES / "livestock" / "script.js").read_text(encoding="utf-8")
    heroes = [path for name in _HEROES if (path := out / "figures" / name).is_file()]
    exporter = _exporter()
    headlines = {name: part.get("headline", {}) for name, part in metrics.items()}
    site: dict[str, Any] = {
        "title": _TITLE,
        "pages": pages,
        "style": _style(),
        "script": script.replace("{/* words */}", json.dumps(ko["switches"], ensure_ascii=False)),
        "verdict": _verdict(metrics, ko),
        "hero": inline_images.attributes(heroes[0].read_bytes(), 1280, 200_000) if heroes else "",
        "about": _about(notebooks.values(), addresses.hide_password(command)),
        "headlines": [
            (name, *row) for name, part in headlines.items() for row in _flat(part, digits=3)
        ],
        "numbers": [(name, *row) for name, part in metrics.items() for row in _flat(part)],
    }
    contents = exporter.environment.from_string(
        "{% import 'frame.html.j2' as frame with context %}{{ frame.contents(site, name) }}"
    )
    folder = out / "report"
    for page in pages:
        body, _ = exporter.from_notebook_node(notebooks[page["name"]], {"site": site, "page": page})
        # nbconvert gives ids only together with anchors.
        body = re.sub(r'<a class="anchor-link"[^>]*>.*?</a>', "", body)
        page["headings"] = re.findall(r'<h2 id="([^"]*)">(.*?)</h2>', body)
        body = body.replace("<!-- contents -->", contents.render(site=site, name=page["name"]), 1)
        page["headings"] = []
        body = _bilingual(_link(body, set(notebooks)), ko["headings"])
        files.write_text(folder / f"{page['name']}.html", body)
    given = [*paths, *out.glob("submission.csv")]
    for path in given:
        files.write_text(folder / "files" / path.name, path.read_text(encoding="utf-8"))
    site["submission"] = (out / "submission.csv").is_file()
    names = {*(f"{name}.html" for name in (*notebooks, "index")), *(path.name for path in given)}
    for path in (*folder.glob("*.html"), *folder.glob("files/*")):
        if path.name not in names:
            path.unlink()
    index = exporter.environment.get_template("site.html.j2").render(site=site)
    index = _bilingual(_link(index, set(notebooks)), ko["headings"])
    return files.write_text(folder / "index.html", index)


def _verdict(metrics: Mapping[str, Any], ko: Mapping[str, Any]) -> list[list[str]]:
    """The sentences that the metrics allow, each in English and Korean."""
    sentences = []
    for name, *templates in ko["verdict"]:
        values = metrics.get(name, {})
        try:
            said = ko["noise"][values.get("low", 0) <= 0 <= values.get("high", 0)]
            pairs = zip(templates, said, strict=True)
            sentences.append([text.format_map(values | {"said": word}) for text, word in pairs])
        except (KeyError, ValueError, TypeError):  # not measured in this run
            continue
    return sentences


def _about(notebooks: Iterable[Any], command: str) -> dict[str, Any]:
    """Of what data, when, by which version and command; `drawn` where the data is the sample."""
    known = [nb.metadata.get("papermill", {}) for nb in notebooks]
    folders = {part.get("parameters", {}).get("data") for part in known} - {None}
    set_up = (PACKAGE / "assets" / "set_up_cell.py").read_text(encoding="utf-8")
    return {
        "drawn": any((Path(folder) / "sample.json").is_file() for folder in folders),
        "date": max((part.get("end_time") or "" for part in known), default="")[:10],
        "version": __version__,
        "command": command,
        "link": "".join(re.findall(r'^REPOSITORY = "(.*?)"', set_up, flags=re.M)),
    }


def _bilingual(page: str, korean: Mapping[str, str]) -> str:
    """Elements whose text is in the dictionary, with or without a number in front, carry its
    Korean for the page's switch."""

    def fix(match: re.Match) -> str:
        tag, text = match["tag"], html.unescape(match["text"])
        number, words = re.match(r"\s*(\d\d )?(.*?)\s*$", text, flags=re.S).groups("")  # type: ignore[union-attr]
        if words not in korean:
            return match[0]
        told = html.escape(number + korean[words], quote=True)
        return f'<{tag}{match["rest"]} data-ko="{told}">{match["text"]}</{tag}>'

    return _ELEMENT.sub(fix, page)


def _exporter() -> Any:
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    config = Config()
    config.HTMLExporter.extra_template_basedirs = [str(TEMPLATES)]
    config.HTMLExporter.template_name = "livestock"
    config.HTMLExporter.exclude_input_prompt = config.HTMLExporter.exclude_output_prompt = True
    return HTMLExporter(config=config)


def _prepare(nb: Any, out: Path) -> Any:
    """The notebook with figures from OUT/figures, their captions said only once."""
    for cell in nb.cells:
        kept, said = [], ""
        for output in cell.get("outputs", []):
            if said and output.get("data", {}).get("text/markdown") == said:
                said = ""
                continue
            name = output.get("metadata", {}).get("livestock", {}).get("figure")
            if name:
                about = next(output.metadata[mime] for mime in _MIMES if mime in output.data)
                said = f"*{about['alt']}*"
                if (out / "figures" / name).is_file():
                    picture = (out / "figures" / name).read_bytes()
                    output.data, output.metadata = inline_images.output(
                        picture, about, _MAX_WIDTH_PX, _MAX_FIGURE_BYTES
                    )
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = _framed(output.data["text/html"])
            kept.append(output)
        if "outputs" in cell:
            cell.outputs = kept
    nb.cells = [
        cell for cell in nb.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
    ]
    return nb


def _framed(table: str) -> str:
    """A table in a frame that scrolls sideways, its caption outside."""
    found = re.search(r"<caption>(.*?)</caption>", table, flags=re.S)
    caption = found[1] if found else ""
    plain = table.replace(found[0], "", 1) if found else table
    label = html.escape(html.unescape(re.sub(r"<[^>]*>", "", caption)), quote=True) or "Table"
    above = f"<figcaption>{caption}</figcaption>" if caption else ""
    return (
        f'<figure>{above}<div class="wide" role="group" tabindex="0" '
        f'aria-label="{label}">{plain}</div></figure>'
    )


def _page(name: str, nb: Any, metrics: dict) -> dict[str, Any]:
    """What the templates need to know of one notebook."""
    text = next((cell.source for cell in nb.cells if cell.cell_type == "markdown"), "")
    title = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")), name)
    prose = re.sub(r"^(#|\[!|!\[).*$", "", text, flags=re.M)  # without headings and badges
    question = next((part for part in re.split(r"\n\s*\n", prose) if part.strip()), "")
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    pictures = [
        (output.data[mime], output.metadata.get(mime, {}))
        for output in outputs
        for mime in _MIMES
        if mime in output.get("data", {})
    ]
    number, _, rest = name.partition("_")
    numbers = _flat({key: value for key, value in metrics.items() if type(value) in (int, float)})
    numbers.sort(key=lambda row: not row[0].startswith("mAP75"))
    page = {
        "name": name,
        "number": number,
        "title": title,
        "short": re.sub(r"^\d+[\s.:_-]*", "", title) or rest,
        "question": _inline(question),
        "answers": conclusions.in_short(name, metrics),
        "headings": [],
        "thumbnail": "",
        "thumbnail_alt": "",
        "key_numbers": numbers[:4],
        "failed": any(output.output_type == "error" for output in outputs),
    }
    if pictures:
        coded, about = pictures[0]
        page["thumbnail"] = inline_images.attributes(base64.b64decode(coded), _THUMBNAIL_PX)
        page["thumbnail_alt"] = about.get("alt", f"Figure of {title}")
    return page


def _inline(markdown: str) -> str:
    """A paragraph of Markdown as HTML without block marks and links."""
    from nbconvert.filters import markdown2html

    alone = re.sub(r" \(\[[^]]*\]\([^)]*\)\)", "", " ".join(markdown.split()))  # " ([how](page))"
    return re.sub(r"</?(p|a)\b[^>]*>", "", markdown2html(alone)).strip()


def _flat(values: dict, prefix: str = "", digits: int = 4) -> list[tuple[str, str]]:
    """Readable names and texts of the single values in a notebook's metrics; lists are left out."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows += _flat(value, f"{name} · ", digits)
        elif isinstance(value, bool):
            rows.append((name, "yes" if value else "no"))
        elif isinstance(value, (int, float)):
            rows.append((name, f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}g}"))
        elif isinstance(value, str):
            rows.append((name, value))
    return rows


def _style() -> str:
    """The style sheet, with Pygments' colours for light and dark."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=name, nobackground=True) for name in ("bw", "github-dark"))
    plain = light.get_style_defs(".highlight")
    by_choice = dark.get_style_defs(':root[data-theme="dark"] .highlight')
    by_system = dark.get_style_defs(':root:not([data-theme="light"]) .highlight')
    own = (TEMPLATES / "livestock" / "style.css").read_text(encoding="utf-8")
    return f"{own}\n{plain}\n{by_choice}\n@media (prefers-color-scheme: dark) {{ {by_system} }}"


def _link(page: str, names: set[str]) -> str:
    """Links to notebooks lead to their pages, or become text; those to documents become names."""

    def fix(match: re.Match) -> str:
        path = Path(html.unescape(match["target"]))
        if path.stem in names:
            return f'<a href="{path.stem}.html">{match["text"]}</a>'
        return match["text"] + f" [<code>docs/{path.name}</code>]" * (path.suffix == ".md")

    link = r'<a href="(?P<target>[^":?#]+\.(?:ipynb|md))"[^>]*>(?P<text>.*?)</a>'
    return re.sub(link, fix, page, flags=re.S)
