"""Keeps each notebook's text (.py, the truth) and its committed .ipynb with outputs in step.

    python -m livestock_utils.show.pipeline.pairing    rebuild the .ipynb from the text, keeping
    outputs of unchanged cells
        --execute    run the sample first (skipping what is unchanged), put its outputs in
        --check      change nothing; exit 1 where a pair disagrees or an .ipynb is not clean

A rebuilt .ipynb depends on the text and the outputs only: ids come from the cells' content; time
stamps, absolute paths, memory addresses, papermill's marks and the injected parameters are left
out; pictures are re-encoded to fit MAX_BYTES.
"""

import argparse
import base64
import hashlib
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from livestock_utils.core import files, project
from livestock_utils.core.errors import LivestockError, NotebookError
from livestock_utils.core.progress import progress
from livestock_utils.show.pipeline import badges, inline_images, notebook_files, parameters

MAX_BYTES = 590_000
"""Size of a committed notebook: it opens at once, in Colab and as a page of a repository."""
_SHOWS = re.compile(r"^step\.(show|table|say|figure|finish)\(", flags=re.M)
"""Calls that always leave something to read."""
SET_UP_CELL = project.PACKAGE / "assets" / "set_up_cell.py"
SET_UP_TAG = "setup"
_NOISE = {
    "a time stamp": re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?"),
    "an absolute path": re.compile(
        r"(?<![\w./:~-])/(?:home|root|tmp|Users|content|work|usr|opt|mnt|var)/[^\s'\"<>)]*"
    ),
    "a memory address": re.compile(r" at 0x[0-9a-f]{6,}"),
}
_PICTURES = ("image/png", "image/jpeg")
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def synchronise_set_up(path: Path) -> bool:
    """Put the set-up cell into a text, in place of the cell tagged "setup" or before the first code
    cell; True if the file changed."""
    text = path.read_text(encoding="utf-8")
    cell = f'# %% tags=["{SET_UP_TAG}"]\n{SET_UP_CELL.read_text(encoding="utf-8").strip()}\n\n'
    tagged = re.search(rf'^# %% tags=\["{SET_UP_TAG}"\]\n.*?(?=^# %%|\Z)', text, flags=re.M | re.S)
    code = re.search(r"^# %%(?! \[)", text, flags=re.M)
    if code is None:
        raise NotebookError(f"{path}: no code cell (`# %%`) found")
    start, end = tagged.span() if tagged else (code.start(), code.start())
    changed = text[:start] + cell + text[end:]
    if changed != text:
        files.write_text(path, changed)
    return changed != text


def rebuild(path: Path, executed: Path | None = None) -> Path:
    """Write the .ipynb beside a text, with `executed`'s outputs where cells agree."""
    target = path.with_suffix(".ipynb")
    nb = _from_text(path)
    source = executed or target
    known: dict[tuple[str, int], list] = {}
    if source.is_file():
        seen: Counter[str] = Counter()
        for cell in nbformat.read(source, as_version=4).cells:
            injected = "injected-parameters" in cell.metadata.get("tags", [])
            if cell.cell_type == "code" and not injected:
                known[cell.source, seen[cell.source]] = [_clean(output) for output in cell.outputs]
                seen[cell.source] += 1
    seen = Counter()
    for number, cell in enumerate(_code(nb), start=1):
        cell.outputs = known.get((cell.source, seen[cell.source]), [])
        cell.execution_count = number if known else None
        seen[cell.source] += 1
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    _fit(nb, path)
    files.write_text(target, _text(nb))
    return target


def _from_text(path: Path) -> Any:
    """The notebook of a text: no outputs, ids made from the content, Python 3."""
    nb = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    kept = {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    if "livestock" in nb.metadata:
        kept["livestock"] = nb.metadata["livestock"]
    nb.metadata = nbformat.from_dict(kept)
    nb.nbformat, nb.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    for cell in nb.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        digest = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:12]
        cell.id = f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1
    return nb


def faults(path: Path) -> list[str]:
    """What is wrong with a pair, a line each; [] when both agree and are clean."""
    target = path.with_suffix(".ipynb")
    if not target.is_file():
        return [f"{target} is missing"]
    wanted, found = _from_text(path), nbformat.read(target, as_version=4)
    lines = []
    ours, theirs = (
        [(cell.cell_type, cell.source, dict(cell.metadata), cell.get("id")) for cell in nb.cells]
        for nb in (wanted, found)
    )
    if ours != theirs:
        lines.append(f"{target} and {path.name} disagree in their cells")
    if wanted.metadata != found.metadata:
        lines.append(f"{target} has other metadata than {path.name}")
    if (size := target.stat().st_size) >= MAX_BYTES:
        lines.append(f"{target} is {size:,} bytes: expected less than {MAX_BYTES:,}")
    for number, cell in enumerate(_code(found), start=1):
        has_run = cell.execution_count is not None
        if has_run and _SHOWS.search(cell.source) and not cell.outputs:  # edited since it ran
            lines.append(
                f"{target} shows nothing in code cell {number} "
                f"({cell.source.splitlines()[0][:60]}): `make notebooks` runs it"
            )
        for output in cell.outputs:
            if output.output_type == "error":
                lines.append(f"{target} holds an error: {output.ename}: {output.evalue}")
            lines += [
                f"{target} holds {what} in an output: {match.group()}"
                for text in _texts(output)
                for what, pattern in _NOISE.items()
                if (match := pattern.search(text))
            ]
    set_up = SET_UP_CELL.read_text(encoding="utf-8").strip()
    if [cell.source for cell in _code(found)[:1]] != [set_up]:
        lines.append(f"{target} does not begin with the set-up cell of {SET_UP_CELL.name}")
    return lines


def _repository_url(address: str) -> str:
    """The URL of owner/name on GitHub, or a URL as it is; NotebookError for anything else."""
    url = address if "://" in address else f"https://github.com/{address}"
    if not re.fullmatch(r"https?://[\w.-]+(/[\w.-]+){2,}", url):
        raise NotebookError(f"repository {address!r}: expected owner/name or a URL")
    return url


def write_repository(address: str) -> str:
    """Write the address (owner/name or URL) into the set-up cell; returns the URL."""
    url = _repository_url(address)
    text = SET_UP_CELL.read_text(encoding="utf-8")
    text = re.sub(r'^REPOSITORY = ".*?"', f'REPOSITORY = "{url}"', text, flags=re.M)
    files.write_text(SET_UP_CELL, text)
    return url


def _code(nb: Any) -> list[Any]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def _clean(output: Any) -> Any:
    """An output without what differs from run to run or machine to machine."""
    if output.output_type == "stream":
        output.text = _quiet(output.text)
    elif "data" in output:
        for mime, value in output.data.items():
            if isinstance(value, str) and mime not in _PICTURES:
                output.data[mime] = _quiet(value)
    return output


def _quiet(text: str) -> str:
    text = re.sub(r"^.*\r(?!\n)", "", text, flags=re.M)  # what a progress bar has written over
    root = project.PACKAGE.parent
    for prefix in (root, sys.prefix, Path.home()):
        text = text.replace(f"{prefix}/", "")
    for pattern in _NOISE.values():
        text = pattern.sub("", text)
    return text


def _fit(nb: Any, path: Path) -> None:
    """Bring the notebook below MAX_BYTES: the large pictures share what is left."""
    pictures = [
        (output, mime, base64.b64decode(output.data[mime]))
        for cell in nb.cells
        for output in cell.get("outputs", [])
        for mime in _PICTURES
        if mime in output.get("data", {})
    ]
    beside = len(_text(nb).encode()) - sum(len(output.data[mime]) for output, mime, _ in pictures)
    sizes = [len(original) for *_, original in pictures]
    for share in (0.98, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2):
        if len(_text(nb).encode()) < MAX_BYTES:
            return
        limit = _level(sizes, int((MAX_BYTES - beside) / 4 * 3 * share))
        for output, mime, original in pictures:
            if len(original) > limit:
                kind = next((kind for kind in _PICTURES if kind in output.metadata), mime)
                about = output.metadata.pop(kind, {})
                data, metadata = inline_images.output(original, about, max_bytes=limit)
                rest = {key: value for key, value in output.data.items() if key not in _PICTURES}
                output.data = nbformat.from_dict(rest | data)
                output.metadata = nbformat.from_dict(output.metadata | metadata)
    size = len(_text(nb).encode())
    if size >= MAX_BYTES:
        raise NotebookError(
            f"{path.name}: {size:,} bytes with outputs, expected less than {MAX_BYTES:,}; show less"
        )


def _level(sizes: list[int], budget: int) -> int:
    """The largest limit for which the sizes, each cut to it, sum up to no more than `budget`."""
    for place, size in enumerate(sorted(sizes)):
        others = len(sizes) - place
        if size * others > budget:
            return max(0, budget // others)
        budget -= size
    return max(sizes, default=0)


def _text(nb: Any) -> str:
    return nbformat.writes(nb, version=nbformat.NO_CONVERT) + "\n"


def _texts(output: Any) -> list[str]:
    """The texts of an output, pictures left out."""
    texts = [
        value
        for mime, value in output.get("data", {}).items()
        if isinstance(value, str) and mime not in _PICTURES
    ]
    return texts + ([output.text] if output.output_type == "stream" else [])


def _run_sample() -> Path:
    """Draw the sample where missing and run all notebooks; returns their folder."""
    from livestock_utils.data.sample import drawing
    from livestock_utils.show.pipeline import driver

    data, out = Path("data/sample"), Path("runs/sample")
    if not (data / "data").is_dir():
        drawing.write_sample(data)
    driver.run(data, out, profile="sample", tell=print)
    return out / "notebooks"


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m livestock_utils.show.pipeline.pairing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 where something is amiss"
    )
    parser.add_argument(
        "--execute", action="store_true", help="run the sample first and put its outputs in"
    )
    parser.add_argument("--notebooks", type=Path, default=None, help="another folder of notebooks")
    parser.add_argument(
        "--repository", help="owner/name on GitHub, for the set-up cell and the README's badges"
    )
    options = parser.parse_args(arguments)
    try:
        if options.repository and not options.check:
            # Badges first: they refuse a URL that Colab cannot open before anything is written.
            badges.write_badges(project.PACKAGE.parent, _repository_url(options.repository))
            write_repository(options.repository)
        notebooks = notebook_files.find(options.notebooks)
        paths = [notebook.path for notebook in notebooks]
        listing = paths[0].with_name("PARAMETERS.md")
        old = listing.read_text(encoding="utf-8") if listing.is_file() else ""
        rows = parameters.parameters_table(old, notebooks) if old else ""
        if options.check:
            found = [line for path in paths for line in faults(path)]
            if rows != old:
                found.append(f"{listing} does not list what notebooks and settings hold")
            sys.stderr.writelines(f"{line}\n" for line in found)
            return int(bool(found))
        if rows != old:
            files.write_text(listing, rows)
        for path in paths:
            synchronise_set_up(path)
        executed = _run_sample() if options.execute else None
        for path in progress(paths, desc="notebooks"):
            rebuild(path, executed / f"{path.stem}.ipynb" if executed else None)
    except LivestockError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
