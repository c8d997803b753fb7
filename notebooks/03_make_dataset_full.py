# ---
# jupyter:
#   livestock:
#     reads: ["{data}/data", "{out}/tables/images.csv", "{out}/tables/boxes.csv", "{out}/datasets/folds.csv",
#       "{background_folder}"]
#     writes: ["{out}/datasets/Train_Dataset_Full.tar"]
# ---

# %% [markdown]
# # 03 All the data there is
#
# Once a recipe is found, the final model may learn from nearly everything. How much can be given to training without
# flying blind?
#
# The original trained on all images and "validated" on one of them, so its last scores say nothing. Here a part of
# notebook 02's validation fold (`watch_share`, a quarter) stays out to watch the training. No model of any notebook
# was trained on it, so split and full training are compared on it fairly. `watch_share = 0` trains on all images.
#
# - **In:** `OUT/tables/` (01), `OUT/datasets/folds.csv` (02), the images in `DATA/data/`.
# - **Out:** `OUT/datasets/Train_Dataset_Full.tar` and `Valid_Dataset_Full.tar`; figures in `OUT/figures/03/`.
# - **Time:** 5 s on the drawn sample; for AI Hub's 16,455 images a few minutes of copying 8 GB (no GPU needed).

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
watch_share = 0.25  # @param {type:"number"}
min_box_area_px = 0.0  # @param {type:"number"}
background_folder = ""  # @param {type:"string"}
background_share = 0.0  # @param {type:"number"}
seed = 42  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("03_make_dataset_full", globals())
photos = step.photos()
folds, groups = step.folds()

# %% [markdown]
# ## What stays out
# A stratified part of the validation fold; groups of near-duplicates stay whole.

# %%
valid = photos.fold(folds, valid_fold)
watched = lu.mini(valid, watch_share, seed, groups) if watch_share else photos.select([])
train = photos.without(watched)
step.show(lu.displays.watched(photos, watched))

# %% [markdown]
# ## The sets
# The watched set is small and should be of the same mix: compare the colours of the two bars.

# %%
watch_tar = step.path("datasets", "Valid_Dataset_Full.tar")
options = {"folds": folds, "seed": seed, "min_box_area_px": min_box_area_px}
extra = {"backgrounds": background_folder, "background_share": background_share}
full_tar = lu.write_set(step.path("datasets", "Train_Dataset_Full.tar"), train, **options, **extra)
sets = {"train, full": full_tar}
if len(watched):
    sets["watched"] = lu.write_set(watch_tar, watched, **options)
else:
    watch_tar.unlink(missing_ok=True)
step.show(lu.displays.sets(sets, "Images of the full training set and of the watched one."))

# %% [markdown]
# ## Balance
# Each stratum should give the same share of its images to training.

# %%
step.show(lu.displays.kept_strata(photos, train, "the full training set"))

# %%
numbers = {"watch_share": watch_share, "min_box_area_px": min_box_area_px, "seed": seed}
step.metrics(train_images=len(train), watched_images=len(watched), **numbers)
step.finish("04_make_dataset_mini")
