# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   livestock:
#     reads:
#       - "{out}/datasets/Train_Dataset_Full.tar"
#       - "{out}/datasets/Valid_Dataset_Full.tar"
#       - "{out}/training/multilabel_split/run.json"
#       - "{hyp}"
#       - "{out}/hyp/hyp_*_best.yaml"
#       - "{out}/hyp/search.json"
#     writes: ["{out}/training/full/run.json"]
# ---

# %% [markdown]
# # 08 The final recipe on all the data
#
# What does a tuned recipe on nearly all images give, and is it better than the first training of notebook 05 on
# photos that neither has seen?
#
# The recipe is the write-up's: SGD, a linear schedule, 20 epochs, batch 10, 1280 px, YOLOv5m6 and the hyperparameters
# of its table (`hyp/experiment_hyp_v1.yaml`); `hyp = "search"` takes the best of notebook 07 instead. Unlike the
# original, a small part of the validation fold stays out of the "full" set, and only that part judges here.
#
# - **In:** `OUT/datasets/Train_Dataset_Full.tar` and `Valid_Dataset_Full.tar` (03); the run of 05 for comparison.
# - **Out:** the run folder `OUT/training/full/` with the final weights, figures in `OUT/figures/08/`, scores in
#   `metrics.json`.
# - **Time:** 45 seconds on the drawn sample with two CPU cores; the write-up's recipe takes about an hour an epoch on a
#   P100 and 70 minutes on a T4. An interrupted run continues: run the same cells again.

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
init_weights = "yolov5m6.pt"  # @param {type:"string"}
model = "yolov5m6"  # @param {type:"string"}
hyp = "experiment_hyp_v1"  # @param {type:"string"}
epochs = 20  # @param {type:"integer"}
image_size = 1280  # @param {type:"integer"}
batch_size = 10  # @param {type:"integer"}
optimizer = "SGD"  # @param ["SGD", "Adam", "AdamW"]
schedule = "linear"  # @param ["linear", "cosine", "linear-v6.0", "cosine-v6.0"]
augmentation = ""  # @param ["", "light", "barn_night"] {allow-input: true}
nominal_batch = 64  # @param {type:"integer"}
warmup_min_iterations = 100  # @param {type:"integer"}
workers = 2  # @param {type:"integer"}
cache = "ram"  # @param ["ram", "disk", "none"]
loggers = "tensorboard"  # @param ["tensorboard", "tensorboard,wandb", "tensorboard,mlflow"] {allow-input: true}
seed = 0  # @param {type:"integer"}

# %%
from livestock_utils import colab
from livestock_utils.core.photos import Photos
from livestock_utils.data.sets import reading, writing
from livestock_utils.detect.predict import engine
from livestock_utils.detect.search import best
from livestock_utils.detect.train import planner, preflight
from livestock_utils.detect.train import run as training_run
from livestock_utils.evaluate.scoring import metrics, tables
from livestock_utils.show import notebook
from livestock_utils.show.plots import scores, training

step = notebook.start("08_train_full", data, out)
hyp = best.resolve_hyp(hyp, step.out)
run_folder, mirror = colab.training_folder(step.out, "full")

# %% [markdown]
# ## The sets
# Nearly all images train; the few that were held out watch.

# %%
local = colab.local_disk(step.out)
full_set = reading.extract(
    step.need("datasets", "Train_Dataset_Full.tar", made_by="03"), local / "Train_Dataset_Full"
)
watched_set = reading.extract(
    step.need("datasets", "Valid_Dataset_Full.tar", made_by="03"), local / "Valid_Dataset_Full"
)
data_yaml = writing.write_data_yaml(local / "full.yaml", full_set, watched_set)
images, boxes = reading.read_tables(watched_set)

# %% [markdown]
# ## Ready to start?
# Red lines come first and say what to do.

# %%
ready = preflight.checks(
    data_yaml, model=model, init_weights=init_weights or None, hyp=hyp, run_folder=run_folder
)
step.table(ready)
preflight.require(ready)

# %% [markdown]
# What such a run takes: here by a few timed steps, elsewhere estimated (± 30 %) from the write-up's 50 minutes an epoch
# on a P100 (with a small network, reading the photos takes longer than that).

# %%
step_size = batch_size or planner.fitting_batch(model, image_size)  # 0: what fits the GPU
plan = planner.plan(
    model,
    image_size,
    step_size,
    len(reading.read_manifest(full_set)),
    epochs,
    planner.time_steps(model, image_size, step_size),
    nominal_batch,
)
step.table(
    planner.shown(plan),
    "Memory and time by machine, and the epochs that fit a Colab session.",
    index=True,
)

# %% [markdown]
# ## Recipes by the size of the data
# The write-up's recipe was made for 16,455 images and 20 epochs. On a few hundred photos and few epochs it scored below
# plain defaults, so choose by what is at hand. Before the long run, compare: `python -m livestock_utils batch
# notebooks/batches/recipes.yaml --data DATA --out runs/recipes` trains three on the split at equal epochs, and notebook
# 12 says, with intervals, which differences are more than luck.

# %%
step.table(
    preflight.recipes_table(preflight.recipes(len(reading.read_manifest(full_set)))),
    "Recipes by the number of training images; the one that suits this set is marked.",
)

# %% [markdown]
# ## Training

# %%
run = training_run.train(
    data_yaml,
    run_folder,
    model=model,
    init_weights=init_weights or None,
    hyp=hyp,
    epochs=epochs,
    image_size=image_size,
    batch_size=batch_size or "auto",
    optimizer=optimizer,
    schedule=schedule,
    augmentation=augmentation or None,
    nominal_batch=nominal_batch,
    warmup_min_iterations=warmup_min_iterations,
    workers=workers,
    cache=cache,
    loggers=loggers,
    seed=seed,
    mirror=mirror,
)
step.say(planner.measured_sentence(plan, run.results))
step.say(run.status)

# %% [markdown]
# ## How it went
# Losses of this run and of 05 cannot be compared: their gains differ. Look at the shapes.

# %%
step.figure(
    training.loss_curves(run.results),
    "losses",
    "Losses by epoch, training solid and validation dashed.",
)
step.say(tables.loss_sentence(run.results))

# %% [markdown]
# Look at the ring, the epoch whose weights are kept (best mAP75), and whether the lines still rise at the end.

# %%
step.figure(
    training.metric_curves(run.results),
    "metrics",
    "yolov5's metrics on the watched images by epoch; ringed: the one kept.",
)
step.say(tables.training_sentence(run.results))

# %% [markdown]
# ## Better than the first training?
# Both models predict the watched images, which neither was trained on. The interval comes from drawing those images
# again and again: where it holds 0, the difference may be luck.

# %%
settings = {
    "image_size": image_size,
    "confidence_threshold": 0.001,
    "iou_threshold": 0.6,
    "max_detections": 300,
}
first = training_run.Run(step.need("training", "multilabel_split", made_by="05"))
watched = Photos(images, folder=watched_set)
predictions = {
    "05, split": engine.predict(first.best, watched, **settings),
    "08, full": engine.predict(run.best, watched, **settings),
}
by_class = metrics.per_class_table(boxes, predictions["08, full"], images)
step.table(
    tables.runs_table(boxes, predictions, images),
    "The watched images by run and class, contest's AP.",
)

# %%
difference = tables.paired_difference(
    boxes, predictions["05, split"], predictions["08, full"], images, seed
)
step.table(difference, "Difference in AP75, 08 minus 05, with its interval.", index=True)
step.say(tables.difference_sentence(difference, "the full training", "the split"))

# %% [markdown]
# Look at the class that falls behind, and how much of that is loose boxes (from IoU 0.5 to 0.75).

# %%
step.figure(
    scores.class_scores(by_class),
    "class_scores",
    "AP by class of the full training, the contest's definition.",
)
step.say(tables.strictness_sentence(by_class))

# %% [markdown]
# ## The weights
# The contest allows 100 x 10^6 bytes.

# %%
weights_mb = run.best.stat().st_size / 1e6
step.say(f"The final weights have {weights_mb:.1f} MB of the 100 MB allowed.")
step.metrics(
    **tables.score_metrics(by_class),
    epochs=len(run.results),
    best_epoch=run.record["best_epoch"] + 1,
    weights_mb=weights_mb,
    warnings=run.warnings,
    difference=difference.reset_index(),
    per_class=by_class.reset_index(),
)
step.finish("09_silver_dataset")
