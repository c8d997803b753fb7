"""The papermill driver: all notebooks in order, headless, continuing where the last run stopped."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from livestock_utils.core import addresses, errors, files
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.progress import watched
from livestock_utils.show.pipeline import notebook_files, records
from livestock_utils.show.pipeline import parameters as run_parameters
from livestock_utils.show.pipeline.notebook_files import Literal, NotebookFile

log = logging.getLogger(__name__)


def run(
    data: Path,
    out: Path,
    *,
    notebooks: Path | None = None,
    only: Sequence[str] = (),
    start: str | None = None,
    parameters: Mapping[str, Literal] | None = None,
    profile: str | None = None,
    force: bool = False,
    tell: Callable[[str], Any] = log.info,
) -> dict[str, str]:
    """Execute notebooks into `out` -> {name: "done" | "share" | "unchanged"}. `parameters` are
    addressed as "NAME" or "05.NAME". A notebook counts as done when its record is there, the last
    thing written; one that waits for the shards of other sessions ("share") has none, so that the
    same command runs it again."""
    found = notebook_files.find(notebooks)
    chosen = choose(found, only, start)
    given = [run_parameters.read_profile(profile), parameters or {}]
    values = run_parameters.resolve(found, given, str(data), str(out))
    if not data.exists():
        raise NotebookError(
            f"data folder {data} does not exist; `python -m livestock_utils sample {data}` draws "
            "one"
        )
    outcome = {}
    for position, notebook in enumerate(chosen, start=1):
        label = f"[{position}/{len(chosen)}] {notebook.name}"
        if not force and records.is_done(notebook, values[notebook.name], out):
            tell(f"{label}: unchanged, skipped")
            outcome[notebook.name] = "unchanged"
            continue
        if not watched():
            tell(f"{label}: running")
        began = time.monotonic()
        whole = execute(notebook, values[notebook.name], out, label)
        tell(
            f"{label}: {'done' if whole else 'its share done'} in {time.monotonic() - began:.0f} s"
            + ("" if whole else "; the same command again goes on when the other shards are there")
        )
        outcome[notebook.name] = "done" if whole else "share"
    return outcome


def choose(
    found: Sequence[NotebookFile], only: Sequence[str] = (), start: str | None = None
) -> list[NotebookFile]:
    """The notebooks in `only` (all if empty) from `start` on, in order; or NotebookError."""
    names = {key: n.name for n in found for key in (n.number, n.number.lstrip("0"), n.name)}
    for key in (*only, start) if start else only:
        if key not in names:
            raise NotebookError(
                f"no notebook {key!r}; there are {', '.join(n.name for n in found)}"
            )
    wanted = {names[key] for key in only or names}
    first = names[start] if start else ""
    return [n for n in found if n.name in wanted and n.name >= first]


def execute(
    notebook: NotebookFile, parameters: Mapping[str, Literal], out: Path, label: str = ""
) -> bool:
    """Run a notebook, keep OUT/notebooks/NN_name.ipynb, also when it fails, and its record; False,
    without a record, where it made its share only. Papermill saves after every cell, not whole: it
    does so in OUT/.state/running, and the finished file takes its place in one step. One that had
    finished and refuses other parameters stays as it was, the refusal lies in OUT/.state/refused.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    record, executed = records.record_path(notebook, out), records.executed_path(notebook, out)
    fingerprint = records.fingerprint(notebook, parameters, out)
    before = records.finished(notebook, out, fingerprint)
    stamps = records.stamps(notebook, parameters)
    record.unlink(missing_ok=True)
    running = out / ".state" / "running" / executed.name
    running.parent.mkdir(parents=True, exist_ok=True)
    try:
        _papermill(notebook, parameters, running, label)
    except PapermillExecutionError as error:
        lines = [line.strip() for line in error.source.splitlines()]
        line = next((line for line in lines if line and not line.startswith("#")), "")
        reason = " ".join(f"{error.ename}: {error.evalue}".split())
        told = "the same command goes on from here"
        is_refusal = before and error.ename in vars(errors)
        _last_words(running).unlink()
        if is_refusal and stamps == records.stamps(notebook, parameters):
            records.restore(notebook, out, before)
            executed = out / ".state" / "refused" / executed.name
            told = "what was finished is as it was"
        raise NotebookError(
            f"{notebook.name}, cell [{error.exec_count}] `{line[:60]}`: {reason} "
            f"(traceback in {executed}; {told})"
        ) from error
    except DeadKernelError as error:
        raise NotebookError(
            f"{notebook.name}: its Python process died, most often for want of memory; try a "
            f"smaller batch_size or image_size (state so far in {executed}, its last words in "
            f"{_last_words(running)})"
        ) from error
    except RuntimeError as error:  # jupyter_client's "Kernel died ...", "Kernel didn't respond ..."
        raise NotebookError(
            f"{notebook.name}: its Python process did not start ({error}); run the same command "
            "again, with fewer workers on a busy machine"
        ) from error
    finally:
        if running.is_file():
            files.write_text(executed, addresses.hide_password(running.read_text(encoding="utf-8")))
            running.unlink()
    if records.is_partial(notebook, out):
        return False
    written = notebook_files.expand(notebook.writes, parameters)
    if missing := [pattern for pattern, paths in written.items() if not paths]:
        raise NotebookError(
            f"{notebook.name} ended without writing {', '.join(missing)}, which its header promises"
        )
    files.write_json(record, fingerprint)
    return True


def _papermill(
    notebook: NotebookFile, parameters: Mapping[str, Literal], target: Path, label: str
) -> None:
    """Execute the text form in this Python; the kernel works in the current folder."""
    import jupytext
    import papermill

    from livestock_utils.show.pipeline.kernel import this_python_kernel

    logging.getLogger("papermill").setLevel(logging.WARNING)
    nb = jupytext.read(notebook.path, fmt="py:percent")
    nb.metadata.setdefault("papermill", {})
    for cell in nb.cells:
        cell.metadata.setdefault("tags", [])
        cell.metadata.setdefault("papermill", {})
    changed = {key: value for key, value in parameters.items() if value != notebook.parameters[key]}
    with _last_words(target).open("wb") as stderr:
        papermill.execute_notebook(
            nb,
            str(target).replace("{", "{{").replace("}", "}}"),
            parameters=changed,
            kernel_name="python3",
            language="python",
            kernel_manager_class=this_python_kernel(stderr),
            autosave_cell_every=60,
            progress_bar={"desc": label, "leave": False, "disable": not watched()},
        )
    _last_words(target).unlink()


def _last_words(running: Path) -> Path:
    """Where the stderr of a notebook's process goes; the file stays where it died."""
    return running.with_suffix(".stderr.txt")
