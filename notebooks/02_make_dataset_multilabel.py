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
#       - "{group_by}"
#       - "{background_folder}"
#     writes:
#       - "{out}/datasets/folds.csv"
#       - "{out}/datasets/Train_Dataset.tar"
#       - "{out}/datasets/Valid_Dataset.tar"
# ---

# %% [markdown]
# # 02 A split one can trust
#
# Which images does the model learn from, and which judge it? Train and validation must hold the same mix of species,
# crowding, box shapes and box sizes, and no frame of the one may be the twin of a frame of the other.
#
# - **In:** `OUT/tables/` from notebook 01, and the images in `DATA/data/`.
# - **Out:** `OUT/datasets/Train_Dataset.tar`, `Valid_Dataset.tar` and `folds.csv` (fold and group of every image, for
#   out-of-fold work); figures in `OUT/figures/02/`; counts in `metrics.json`.
# - **Time:** 15 s on the drawn sample; for AI Hub's 16,455 images some minutes, most of them for hashing and copying
#   8 GB (no GPU needed).
#
# `group_by` says which images stay together: `near_duplicates` (by a perceptual hash), `blocks` (of `block_size`
# consecutive ids), `none`, or a CSV with the columns `image_id` and `group` (camera, farm, ...), of which `hold_out`
# can name one group to keep for validation whole. `min_box_area_px` leaves out smaller boxes (0 = off). Photos
# without livestock from `background_folder` can make up to 10 % of train.

# %% tags=["setup"]
import os, sys  # set-up: find the project (on Colab fetch it or mount Drive), add what is missing

REPOSITORY = ""  # https://github.com/owner/name, cloned on Colab; "": Drive has livestock/project
places = ["/content/project", "/content/drive/MyDrive/livestock/project", ".", ".."]
colab = sys.modules.get("google.colab")
try:
    if colab and not any(os.path.isdir(f"{p}/livestock_utils") for p in [*places, *sys.path]):
        git = f"git clone -q --depth 1 {REPOSITORY} {places[0]} 2>&1"
        print(os.popen(git).read() if REPOSITORY else colab.drive.mount("/content/drive") or "")
    sys.path[:0] = [os.path.abspath(p) for p in places if os.path.isdir(f"{p}/livestock_utils")]
    __import__("livestock_utils.install").install.set_up()
except Exception as error:
    told = "on Colab allow Drive and put the project's folder there as livestock/project"
    raise RuntimeError(f"{error} (no project? {told}; elsewhere `make setup`)") from None

# %% tags=["parameters"]
data = ""  # @param {type:"string"}
out = ""  # @param {type:"string"}
n_splits = 5  # @param {type:"integer"}
valid_fold = 0  # @param {type:"integer"}
group_by = "near_duplicates"  # @param {type:"string"}
max_distance = 8  # @param {type:"integer"}
block_size = 50  # @param {type:"integer"}
hold_out = ""  # @param {type:"string"}
min_box_area_px = 0.0  # @param {type:"number"}
background_folder = ""  # @param {type:"string"}
background_share = 0.0  # @param {type:"number"}
seed = 42  # @param {type:"integer"}

# %%
from livestock_utils.core.photos import Photos
from livestock_utils.core import tables
from livestock_utils.data import lookalikes
from livestock_utils.data.sets import summary, writing
from livestock_utils.data.split import folds as folds_module
from livestock_utils.data.split import groups as grouping
from livestock_utils.show import notebook
from livestock_utils.show.plots import gallery, split
from livestock_utils.show.words import eda

step = notebook.start("02_make_dataset_multilabel", data, out)
archives = step.archives()
images, boxes = tables.read_tables(step.need("tables", made_by="01_eda"))

# %% [markdown]
# ## Strata
# Each image gets a stratum: its species and how crowded it is. The split also evens out which shapes and sizes of
# boxes occur.

# %%
strata = folds_module.strata_table(Photos(images, boxes))
step.table(
    strata[["image_id", "species", "boxes", "count_bin", "stratum"]].head(5),
    "The strata of the first images.",
)

# %% [markdown]
# ## Would a plain split leak?
# A perceptual hash gives photos of one moment nearly the same 64 bits. For a split that stratifies but knows nothing of
# look-alikes: how far is each validation image from its nearest training image? Look for a heap at the left end.

# %%
hashes = lookalikes.perceptual_hashes(images, archives, cache=step.path("tables", "hashes.csv"))
plain = grouping.make_folds(Photos(images, boxes), None, n_splits, seed, valid_fold=valid_fold)
leak = lookalikes.nearest_train(hashes, plain, valid_fold)
step.figure(
    split.leakage(leak, images, max_distance),
    "leakage_plain",
    "A split without groups: distance of each validation image to its nearest training image.",
)
step.say(eda.leakage(leak, max_distance))

# %% [markdown]
# What such neighbours look like: a model that has learnt the right photo is asked about the left one.

# %%
step.figure(
    gallery.pairs(leak, Photos(images, folder=archives), n=2),
    "worst_pairs",
    "The closest pairs of that split: validation left, train right.",
)
step.say(eda.closest_pair(leak))

# %% [markdown]
# ## Groups and folds
# Groups go into one fold whole, and the strata are balanced all the same.

# %%
groups = grouping.groups_by(group_by, images, hashes, block_size, max_distance)
sizes = grouping.group_sizes(groups, images)
step.table(sizes, f"Groups by `{group_by}`.")
step.say(eda.groups(sizes))

# %%
folds = grouping.make_folds(Photos(images, boxes), groups, n_splits, seed, hold_out, valid_fold)
tables.write_folds(step.path("datasets", "folds.csv"), folds, groups)
step.say(eda.folds(folds))

# %% [markdown]
# ## Balance
# A dot is the share of a stratum that went to train; it should stand within its grey bar.

# %%
target = float((folds != valid_fold).mean()) if hold_out else None
balance = folds_module.balance_table(Photos(images, boxes), folds, valid_fold, target)
step.figure(split.split_balance(balance), "balance", "Share of each stratum in train.")
step.say(eda.balance(balance))

# %%
step.table(
    balance.drop(columns=["species", "count_bin", "target"]),
    "Images of each stratum in train and validation; how far off in percentage points and in images.",
)

# %% [markdown]
# The same for every fold, and for the shapes and sizes of boxes: each panel should be flat.

# %%
by_fold = folds_module.fold_table(Photos(images, boxes), folds)
step.figure(
    split.fold_balance(by_fold, valid_fold),
    "folds",
    "How the images of each stratum, and those that hold a box of each shape and size, spread over the folds.",
)
step.say(eda.fold_balance(by_fold))

# %% [markdown]
# ## Does this split leak?
# The same distances as above, now for the split that is used: nothing should be left of the line.

# %%
leak_now = lookalikes.nearest_train(hashes, folds, valid_fold)
step.figure(
    split.leakage(leak_now, images, max_distance),
    "leakage",
    "The split as used: distance of each validation image to its nearest training image.",
)
step.say(eda.leakage(leak_now, max_distance))

# %% [markdown]
# ## The two sets
# JPEGs go from the archives into the tars as they are; labels, a manifest with checksums and a `data.yaml` beside them.

# %%
train_tar, valid_tar = writing.write_split(
    step.path("datasets"),
    Photos(images, boxes, archives),
    folds,
    valid_fold=valid_fold,
    seed=seed,
    min_box_area_px=min_box_area_px,
    backgrounds=background_folder or None,
    background_share=background_share,
)
sets = summary.set_table({"train": train_tar, "valid": valid_tar})
step.figure(split.set_sizes(summary.by_species(sets)), "sets", "Images of the two sets by species.")
step.say(eda.sets(sets))

# %% [markdown]
# ## In short

# %%
step.table(sets, "The sets.")
step.metrics(
    train_images=int(sets["images"].iloc[0]),
    valid_images=int(sets["images"].iloc[1]),
    look_alikes_plain=int((leak["distance"] <= max_distance).sum()),
    look_alikes=int((leak_now["distance"] <= max_distance).sum()),
    group_by=group_by,
    largest_error_points=float(balance["off_points"].abs().max()),
    largest_error_images=float(balance["off_images"].abs().max()),
    min_box_area_px=min_box_area_px,
    seed=seed,
    balance=balance,
    sets=sets,
    groups=sizes,
)
step.finish("03_make_dataset_full")
