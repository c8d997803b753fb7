# ---
# jupyter:
#   livestock:
#     reads: ["{out}/training/*/run.json", "{out}/runs/*/training/*/run.json", "{data}/truth.csv", "{cameras}"]
#     writes: ["{out}/.state/metrics/12_compare_runs.json"]
# ---

# %% [markdown]
# # 12 Which training was better, and is the difference significant?
#
# The write-up's tables (models, optimisers, default and tuned, full and split, silver) compare single runs of unequal
# length. Here the same tables come from run folders. Only runs that differ in one thing share a table, at equal epochs.
# They are scored on the same images, which none of them was trained on, with the contest's mAP75 beside the write-up's
# columns. Several seeds give a mean and a spread, and pairs of runs an interval.
#
# - **In:** all run folders of `OUT/training/` (05, 08, 10), or the folder of a batch:
#   `python -m livestock_utils batch notebooks/batches/models.yaml --out DIR`, then this notebook with `out = DIR`.
# - **Out:** predictions on the validation images in `OUT/predictions/compare/`, figures in `OUT/figures/12/`.
# - **Time:** 20 s on the drawn sample with two CPU cores; else one pass over the validation images per run. With
#   `cameras`, one training per camera, one more, and short ones to adapt.

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
weights = "last"  # @param ["last", "best"]
iou_threshold = 0.6  # @param {type:"number"}
seed = 0  # @param {type:"integer"}
cameras = ""  # @param {type:"string"}
camera_names = []  # @param {type:"raw"}
adapt_frames = [1, 5]  # @param {type:"raw"}
init_weights = "yolov5m6.pt"  # @param {type:"string"}
model = "yolov5m6"  # @param {type:"string"}
recipe = "auto"  # @param ["auto", "write_up", "yolov5"]
epochs = 20  # @param {type:"integer"}
image_size = 1280  # @param {type:"integer"}
batch_size = 10  # @param {type:"integer"}
workers = 2  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("12_compare_runs", globals())

# %% [markdown]
# ## The runs
# What was asked of each, and how far it came.

# %%
runs = lu.find_runs(step.out)
step.show(lu.displays.runs(runs))

# %% [markdown]
# ## The tables
# One for each question that the runs can answer. The weights of the last epoch are scored (the “best” ones were chosen
# with a look at validation images), on images that no record of a run names as trained on. With and without silver is a
# question of its own, on the whole fold: the two trainings of notebook 10 differ in labels alone.
#
# The first figure has every paired difference: a grey interval is within noise, and a coloured one of a single seed
# proves little. Then for each question its table, the write-up's own one, and the curves: do they still rise at the
# end, and do they cross? The last answer is the optimiser's: which, by what settings, and do the seeds suffice?

# %%
answers = lu.compare(runs, step.out, weights, iou_threshold, seed, step.data)
step.show(*lu.displays.compared_runs(answers, weights))
step.show(lu.displays.optimisers(answers))

# %% [markdown]
# ## A barn it has never seen
# Off unless `cameras` is set, as it trains a model per camera: to a CSV of `image_id` and `group` (as 02's; an empty
# group always trains), or to `background`, which finds fixed cameras. For each (of `camera_names`, else of all with 10 photos) a model is trained that never saw it, and
# compared with one that saw half of each camera. Then it adapts: to the labels of some frames (`adapt_frames`, 1 to 5)
# and its own sure boxes on the others, which score it. The parameters below `adapt_frames` set the trainings. Cameras
# far right of 0 at the top: there a split by photos promises too much.

# %%
if cameras:
    photos, asked = step.photos(), step.settings(lu.TrainSettings)
    step.show(
        lu.displays.unseen_cameras(photos, cameras, step.out, asked, camera_names, adapt_frames)
    )

# %%
step.finish("13_edge_export")
