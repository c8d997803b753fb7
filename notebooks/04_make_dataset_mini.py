# ---
# jupyter:
#   livestock:
#     reads: ["{data}/data", "{out}/tables/images.csv", "{out}/tables/boxes.csv", "{out}/datasets/folds.csv"]
#     writes: ["{out}/datasets/Train_Dataset_mini.tar", "{out}/datasets/Valid_Dataset_mini.tar"]
# ---

# %% [markdown]
# # 04 A small set for searching
#
# A search trains dozens of models. So it gets a smaller set with the same mix: by default half of train and the whole
# validation fold, as in the original. Whether that ranks hyperparameters as the whole set would is not measured here;
# on real photos [the winners of short trials](../docs/accuracy.md) did not hold.
#
# - **In:** `OUT/tables/` (01), `OUT/datasets/folds.csv` (02), the images in `DATA/data/`.
# - **Out:** `OUT/datasets/Train_Dataset_mini.tar` and `Valid_Dataset_mini.tar`; figures in `OUT/figures/04/`.
# - **Time:** 5 s on the drawn sample; for AI Hub's images a minute or two of copying (no GPU needed).

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
valid_fold = 0  # @param {type:"integer"}
train_share = 0.5  # @param {type:"number"}
valid_share = 1.0  # @param {type:"number"}
min_box_area_px = 0.0  # @param {type:"number"}
seed = 42  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("04_make_dataset_mini", globals())
photos = step.photos()
folds, groups = step.folds()

# %% [markdown]
# ## Which images
# Each is drawn from its own side of notebook 02's split, so nothing leaks. `train_share` and `valid_share` lie in
# (0, 1]; every stratum keeps its share, and at least one image. A dot beside its grey bar is a stratum that did not:
# near-duplicates stay together, which small strata pay for.

# %%
train = photos.fold(folds, valid_fold, others=True)
train_mini = lu.mini(train, train_share, seed, groups)
valid_mini = lu.mini(photos.fold(folds, valid_fold), valid_share, seed, groups)
step.show(lu.displays.kept_strata(train, train_mini, "the mini set"))

# %% [markdown]
# ## The sets

# %%
options = {"folds": folds, "seed": seed, "min_box_area_px": min_box_area_px}
train_tar = lu.write_set(step.path("datasets", "Train_Dataset_mini.tar"), train_mini, **options)
valid_tar = lu.write_set(step.path("datasets", "Valid_Dataset_mini.tar"), valid_mini, **options)
sets = {"train, mini": train_tar, "valid, mini": valid_tar}
step.show(lu.displays.sets(sets, "Images of the mini sets by species."))

# %%
numbers = {"train_images": len(train_mini), "valid_images": len(valid_mini), "seed": seed}
shares = {"train_share": train_share, "valid_share": valid_share}
step.metrics(**numbers, **shares, min_box_area_px=min_box_area_px)
step.finish("05_train_multilabel_split")
