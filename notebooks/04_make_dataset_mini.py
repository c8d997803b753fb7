# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   livestock:
#     reads:
#       - "{data}/data"
#       - "{out}/tables/images.csv"
#       - "{out}/tables/boxes.csv"
#       - "{out}/datasets/folds.csv"
#     writes:
#       - "{out}/datasets/Train_Dataset_mini.tar"
#       - "{out}/datasets/Valid_Dataset_mini.tar"
# ---

# %% [markdown]
# # 04 A small set for searching
#
# A search trains dozens of models. How small may its training set be and still rank hyperparameters as the whole one
# would? The original took half of train and the whole validation fold; that is the default here.
#
# - **In:** `OUT/tables/` (01), `OUT/datasets/folds.csv` (02), the images in `DATA/data/`.
# - **Out:** `OUT/datasets/Train_Dataset_mini.tar` and `Valid_Dataset_mini.tar`; figures in `OUT/figures/04/`; counts in
#   `metrics.json`.
# - **Time:** 5 s on the drawn sample; for AI Hub's images a minute or two of copying (no GPU needed).
#
# `train_share` and `valid_share` lie in (0, 1]; every stratum keeps its share, and at least one image.

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
valid_fold = 0  # @param {type:"integer"}
train_share = 0.5  # @param {type:"number"}
valid_share = 1.0  # @param {type:"number"}
min_box_area_px = 0.0  # @param {type:"number"}
seed = 42  # @param {type:"integer"}

# %%
from livestock_utils.core import tables
from livestock_utils.data.sets import summary, writing
from livestock_utils.data.split import folds as folds_module
from livestock_utils.show import notebook
from livestock_utils.show.plots import split
from livestock_utils.show.words import eda

step = notebook.start("04_make_dataset_mini", data, out)
archives = step.archives()
images, boxes = tables.read_tables(step.need("tables", made_by="01_eda"))
folds, groups = tables.read_folds(
    step.need("datasets", "folds.csv", made_by="02_make_dataset_multilabel")
)

# %% [markdown]
# ## Which images
# Both are drawn from their own side of notebook 02's split, so nothing leaks from one into the other.

# %%
fold_of_image = images["image_id"].map(folds)
train_images, valid_images = (
    images[fold_of_image != valid_fold],
    images[fold_of_image == valid_fold],
)
train_mini = folds_module.mini(train_images, boxes, train_share, seed, groups)
valid_mini = folds_module.mini(valid_images, boxes, valid_share, seed, groups)

# %% [markdown]
# ## Balance
# Look for dots beside their grey bar: strata of which the mini set has more or less than its share. Look-alikes stay
# together, which small strata pay for.

# %%
kept = summary.kept_strata(train_images, boxes, train_mini)
step.figure(
    split.split_balance(kept, "the mini set"),
    "balance",
    "Share of each training stratum in the mini set.",
)
step.say(eda.balance(kept, "the mini set"))

# %% [markdown]
# ## The sets

# %%
train_tar, valid_tar = (
    step.path("datasets", "Train_Dataset_mini.tar"),
    step.path("datasets", "Valid_Dataset_mini.tar"),
)
writing.write_tar(
    train_tar,
    images[images["image_id"].isin(train_mini)],
    boxes,
    archives,
    folds=folds,
    seed=seed,
    min_box_area_px=min_box_area_px,
)
writing.write_tar(
    valid_tar,
    images[images["image_id"].isin(valid_mini)],
    boxes,
    archives,
    folds=folds,
    seed=seed,
    min_box_area_px=min_box_area_px,
)
sets = summary.set_table({"train, mini": train_tar, "valid, mini": valid_tar})
step.figure(
    split.set_sizes(summary.by_species(sets)), "sets", "Images of the mini sets by species."
)
step.say(eda.sets(sets))

# %% [markdown]
# ## In short

# %%
step.table(sets, "The sets.")
step.metrics(
    train_images=len(train_mini),
    valid_images=len(valid_mini),
    train_share=train_share,
    valid_share=valid_share,
    min_box_area_px=min_box_area_px,
    seed=seed,
    balance=kept,
    sets=sets,
)
step.finish("05_train_multilabel_split")
