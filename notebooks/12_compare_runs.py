# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   livestock:
#     reads:
#       - "{out}/training/*/run.json"
#       - "{out}/runs/*/training/*/run.json"
#     writes: ["{out}/.state/metrics/12_compare_runs.json"]
# ---

# %% [markdown]
# # 12 Which training was better, and is it more than luck?
#
# The write-up's tables (models, optimisers, default and tuned, full and split, silver) compare single runs of unequal
# length. Here the same tables come from run folders: only runs that differ in one thing share a table, at equal
# epochs, scored on the same images, which none of them was trained on, with the contest's mAP75 beside the write-up's
# columns. Several seeds give a mean and a spread, and pairs of runs an interval.
#
# - **In:** all run folders of `OUT/training/` (05, 08, 10), or the folder of a batch:
#   `python -m livestock_utils batch notebooks/batches/models.yaml --out DIR`, then this notebook with `out = DIR`.
# - **Out:** predictions on the validation images in `OUT/predictions/compare/`, the tables in `metrics.json`, figures
#   in `OUT/figures/12/`.
# - **Time:** 20 s on the drawn sample with two CPU cores; else one pass over the validation images a run.

# %% tags=["setup"]
# Set-up, the same in every notebook. On Colab: find or fetch the project, add what is missing. Elsewhere: only look.
import importlib.util
import subprocess
import sys
from pathlib import Path

REPOSITORY = ""  # https://github.com/owner/name, the one place that holds it is livestock_utils/assets/set_up_cell.py
places = [
    Path("/content/project"),
    Path("/content/drive/MyDrive/livestock/project"),
    Path("."),
    Path(".."),
]
home = next((place for place in places if (place / "livestock_utils").is_dir()), None)
if "google.colab" in sys.modules:
    if home is None and importlib.util.find_spec("livestock_utils") is None:
        if REPOSITORY:
            command = ["git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(places[0])]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(
                    f"{REPOSITORY} was not fetched; check address and network: {done.stderr.strip()}"
                )
        else:
            from google.colab import drive, errors

            try:
                drive.mount("/content/drive")
            except (errors.Error, OSError, ValueError) as error:
                raise RuntimeError(
                    f"Drive, where the project is, was not mounted: allow it and run again ({error})"
                ) from None
        home = next((place for place in places if (place / "livestock_utils").is_dir()), None)
    if home is not None or importlib.util.find_spec("livestock_utils") is not None:
        command = [sys.executable, "-m", "livestock_utils.install", "--extras", "edge,search"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True)
        print(f"Project: {home or 'installed'}. {done.stdout}{done.stderr}")
        done.check_returncode()
        importlib.invalidate_caches()
if home is not None:
    sys.path.insert(0, str(home.resolve()))
try:
    from livestock_utils.show import notebook
except ModuleNotFoundError as error:
    advice = "on Colab put the project's folder on Drive as livestock/project; elsewhere `make setup`, kernel .venv"
    raise ModuleNotFoundError(f"{error}: {advice}") from None

# %% tags=["parameters"]
data = ""  # @param {type:"string"}
out = ""  # @param {type:"string"}
weights = "last"  # @param ["last", "best"]
iou_threshold = 0.6  # @param {type:"number"}
seed = 0  # @param {type:"integer"}

# %%
from livestock_utils import colab
from livestock_utils.evaluate.compare import runs as run_folders
from livestock_utils.evaluate.compare import tables
from livestock_utils.show import notebook
from livestock_utils.show.displays import comparison
from livestock_utils.show.words import compare

step = notebook.start("12_compare_runs", data, out, uses_gpu=True)

# %% [markdown]
# ## The runs
# What was asked of each, and how far it came.

# %%
runs = run_folders.find(step.out)
step.table(
    run_folders.shown(runs),
    "Run folders; only the columns in which they differ, and how far they came.",
)
step.say(compare.left_out(runs))

# %% [markdown]
# ## The tables
# One for each question that the runs can answer. The weights of the last epoch are scored: the “best” ones were chosen
# with a look at validation images. Where a run was trained on the full set, only the images held out of it judge, and
# any image that a run's own record names as trained on is left out. With and without silver is a question of its own,
# on the whole fold: the two trainings of notebook 10 differ in labels alone.
#
# How to read one: first the table and the write-up's own one, then the dots (one a run), then the paired differences,
# where a grey line proves nothing and a coloured one of a single seed proves little, then the curves.

# %%
answers = tables.answer_all(
    runs, step.out, colab.local_disk(step.out), weights, iou_threshold, seed
)
comparison.show(step, answers, weights)

# %% [markdown]
# ## SGD or AdamW?
# Which of them, with which hyperparameters, how the settings were chosen, and whether the seeds suffice for an answer.

# %%
step.say(compare.optimisers(tables.scores_of(answers, "optimisers")))

# %% [markdown]
# ## In short

# %%
step.metrics(
    runs=len(runs),
    compared=sum(len(answer.scores) for answer in answers),
    weights=weights,
    **tables.key_numbers(answers),
)
step.finish("13_edge_export")
