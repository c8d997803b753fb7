# ---
# jupyter:
#   livestock:
#     reads: ["{data}/data", "{out}/tables/images.csv", "{out}/tables/boxes.csv", "{group_by}", "{background_folder}"]
#     writes: ["{out}/datasets/folds.csv", "{out}/datasets/Train_Dataset.tar", "{out}/datasets/Valid_Dataset.tar"]
# ---

# %% [markdown]
# # 02 A split one can trust
#
# Which images does the model learn from, and which judge it? Train and validation must hold the same mix of species,
# crowding, box shapes and box sizes, and no frame of the one may be the twin of a frame of the other.
#
# - **In:** `OUT/tables/` from notebook 01, and the images in `DATA/data/`.
# - **Out:** `OUT/datasets/Train_Dataset.tar`, `Valid_Dataset.tar` and `folds.csv` (fold and group of every image);
#   figures in `OUT/figures/02/`.
# - **Time:** 15 s on the drawn sample; for AI Hub's 16,455 images some minutes of hashing and copying 8 GB (no GPU).
#
# `group_by` says which images stay together: `near_duplicates` (by a perceptual hash), `blocks` (of `block_size`
# consecutive ids), `background` (fixed cameras), `none`, or a CSV with the columns `image_id` and `group` (camera,
# farm, ...), of which `hold_out` can keep one group for validation whole. `folds = "given"` keeps the parts that the
# data came with, leaks and all. `min_box_area_px` leaves out smaller boxes (0 = off). Photos without livestock from
# `background_folder` can make up to 10 % of train (`background_share`).

# %% tags=["setup"]
import os, sys  # set-up: find the project (on Colab fetch it or mount Drive), add what is missing

REPOSITORY = ""  # https://github.com/owner/name, cloned on Colab; "": Drive has livestock/project
colab, drive = sys.modules.get("google.colab"), "/content/drive"
places = ["/content/project", f"{drive}/MyDrive/livestock/project"] * bool(colab) + [".", ".."]
try:
    if colab and not any(os.path.isdir(f"{p}/livestock_utils") for p in [*places, *sys.path]):
        git = f"git clone -q --depth 1 {REPOSITORY} {places[0]} 2>&1"
        print(os.popen(git).read() if REPOSITORY else colab.drive.mount(drive) or "")
    sys.path[:0] = [os.path.abspath(p) for p in places if os.path.isdir(f"{p}/livestock_utils")]
    __import__("livestock_utils.install").install.set_up()
except Exception as error:
    told = "on Colab allow Drive and put the project's folder there as livestock/project"
    raise RuntimeError(f"{error} (no project? {told}; elsewhere `make setup`)") from None

# %% tags=["parameters"]
data = ""  # @param {type:"string"}
out = ""  # @param {type:"string"}
folds = "stratified"  # @param ["stratified", "given"]
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
import livestock_utils as lu

step = lu.start("02_make_dataset_multilabel", globals())
photos = step.photos()
hashes = step.path("tables", "hashes.csv")

# %% [markdown]
# ## Strata
# A stratum is a species and how crowded the photo is. Shapes and sizes of boxes are evened out too.

# %%
step.show(lu.displays.strata(photos))

# %% [markdown]
# ## Would a plain split leak?
# A perceptual hash gives photos of one moment nearly the same 64 bits. For a split that stratifies but does not know
# near-duplicates: how far is each validation image from its nearest training image, and what do such pairs look like?

# %%
plain = lu.stratified_folds(photos, n_splits, seed=seed, valid_fold=valid_fold)
leak = lu.displays.leakage(photos, plain, valid_fold, max_distance, hashes)
step.show(leak, lu.displays.worst_pairs(photos, leak.table))

# %% [markdown]
# ## Groups and folds
# Groups go into one fold whole, and the strata are balanced all the same.

# %%
groups = lu.lookalikes(
    photos, group_by, max_distance=max_distance, block_size=block_size, cache=hashes
)
step.show(lu.displays.groups(photos, groups, group_by))
options = {"hold_out": hold_out, "valid_fold": valid_fold, "given": folds == "given"}
split = lu.stratified_folds(photos, n_splits, groups, seed, **options)
step.write_folds(split, groups)

# %% [markdown]
# ## Balance
# The share of each stratum that went to train should stand within its grey bar. Then every fold: rows should be pale.

# %%
step.show(lu.displays.balance(photos, split, valid_fold, bool(hold_out) or folds == "given"))
step.show(lu.displays.folds(photos, split, valid_fold))

# %% [markdown]
# ## Does this split leak?
# The distances of both splits: above is the plain one, and below nothing should be left of the line.

# %%
step.show(lu.displays.leakage(photos, split, valid_fold, max_distance, hashes, leak.table))

# %% [markdown]
# ## The two sets
# JPEGs go from the archives into the tars unchanged; labels, a manifest with checksums and a `data.yaml` beside them.

# %%
train, valid = photos.fold(split, valid_fold, others=True), photos.fold(split, valid_fold)
options = {"folds": split, "seed": seed, "min_box_area_px": min_box_area_px}
extra = {"backgrounds": background_folder, "background_share": background_share}
sets = {
    "train": lu.write_set(step.path("datasets", "Train_Dataset.tar"), train, **options, **extra),
    "valid": lu.write_set(step.path("datasets", "Valid_Dataset.tar"), valid, **options),
}
step.show(lu.displays.sets(sets, "Images of the two sets by species."))

# %%
numbers = {"min_box_area_px": min_box_area_px, "seed": seed}
step.metrics(train_images=len(train), valid_images=len(valid), **numbers)
step.finish("03_make_dataset_full")
