# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   livestock:
#     reads: ["{out}/datasets/Train_Dataset.tar", "{out}/datasets/Valid_Dataset.tar"]
#     writes: ["{out}/training/multilabel_split/run.json"]
# ---

# %% [markdown]
# # 05 A first training on the multi-label split
#
# How well does YOLOv5 find pigs and cows with little more than its defaults, and which of the two is harder? This is
# the yardstick that every later step (tuning, all data, silver labels) has to beat.
#
# - **In:** `OUT/datasets/Train_Dataset.tar` and `Valid_Dataset.tar` from notebook 02, unpacked to the local disk.
# - **Out:** the run folder `OUT/training/multilabel_split/` (weights, one row an epoch, curves, settings), figures in
#   `OUT/figures/05/`, scores in `metrics.json`.
# - **Time:** 1.5 minutes on the drawn sample with two CPU cores. The write-up's recipe took 50 minutes an epoch on a
#   P100; on a T4 the planner below expects about an hour. A session that ends costs at most the epoch in flight: run
#   the same cells again.

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
hyp = "default"  # @param {type:"string"}
epochs = 10  # @param {type:"integer"}
image_size = 1280  # @param {type:"integer"}
batch_size = 10  # @param {type:"integer"}
nominal_batch = 64  # @param {type:"integer"}
optimizer = "SGD"  # @param ["SGD", "Adam", "AdamW"]
schedule = "linear"  # @param ["linear", "cosine", "linear-v6.0", "cosine-v6.0"]
augmentation = ""  # @param ["", "light", "barn_night"] {allow-input: true}
warmup_min_iterations = 100  # @param {type:"integer"}
workers = 2  # @param {type:"integer"}
cache = "ram"  # @param ["ram", "disk", "none"]
loggers = "tensorboard"  # @param ["tensorboard", "tensorboard,wandb", "tensorboard,mlflow"] {allow-input: true}
seed = 0  # @param {type:"integer"}
confidence_shown = 0.25  # @param {type:"number"}

# %%
from livestock_utils import colab
from livestock_utils.core import tables
from livestock_utils.core.photos import Photos
from livestock_utils.data.sets import reading, writing
from livestock_utils.detect.predict import engine
from livestock_utils.detect.search import best
from livestock_utils.detect.train import planner, preflight, preview
from livestock_utils.detect.train import run as training_run
from livestock_utils.evaluate.scoring import metrics
from livestock_utils.evaluate.scoring import tables as score_tables
from livestock_utils.show import notebook
from livestock_utils.show.plots import augmentation as augmentation_module
from livestock_utils.show.plots import gallery, scores, training

step = notebook.start("05_train_multilabel_split", data, out)
hyp = best.resolve_hyp(hyp, step.out)
run_folder, mirror = colab.training_folder(step.out, "multilabel_split")

# %% [markdown]
# ## The two sets
# Unpacked once; a second run of this cell finds them in place.

# %%
train_set = reading.extract(
    step.need("datasets", "Train_Dataset.tar", made_by="02"),
    colab.local_disk(step.out) / "Train_Dataset",
)
valid_set = reading.extract(
    step.need("datasets", "Valid_Dataset.tar", made_by="02"),
    colab.local_disk(step.out) / "Valid_Dataset",
)
data_yaml = writing.write_data_yaml(
    colab.local_disk(step.out) / "multilabel_split.yaml", train_set, valid_set
)
images, boxes = reading.read_tables(valid_set)

# %% [markdown]
# ## Ready to start?
# Red lines come first and say what to do: a GPU that this torch has no kernels for, too little disk, a class list in
# another order.

# %%
ready = preflight.checks(
    data_yaml, model=model, init_weights=init_weights or None, hyp=hyp, run_folder=run_folder
)
step.table(ready)
preflight.require(ready)

# %% [markdown]
# What such a run takes: here by a few timed steps, elsewhere estimated (± 30 %) from the write-up's 50 minutes an epoch
# on a P100 (with a small network, reading the photos takes longer than that). Where the batch does not fit, the largest
# one that does, added up over so many batches, is the same recipe.

# %%
step_size = batch_size or planner.fitting_batch(model, image_size)  # 0: what fits the GPU
plan = planner.plan(
    model,
    image_size,
    step_size,
    len(reading.read_manifest(train_set)),
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
# ## What the network gets to see
# The same photos as they are, under an augmentation pipeline, and in a mosaic of four. Look at the boxes: they must
# follow the animals. Where `augmentation` is empty, the training has no pipeline, and the preset `barn_night` is shown
# as an example.

# %%
previewed = augmentation or "barn_night"
views = preview.preview(data_yaml, hyp, previewed, image_size, seed=seed)
step.figure(
    augmentation_module.augmented(views),
    "augmented",
    f"Training photos as they are, after the pipeline {previewed}, and in mosaics, with their boxes.",
)
step.say(preview.sentence(views, used=bool(augmentation)))

# %% [markdown]
# ## Training
# The same cell starts the run, continues it after an interruption, and returns at once when it has finished. `loggers`
# takes Weights & Biases or MLflow beside TensorBoard, by name; `cache` says where the decoded photos are kept.

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
# Left to right: where, whether and which. A dashed line (validation) that turns up while the solid one falls is
# overfitting.

# %%
step.figure(
    training.loss_curves(run.results),
    "losses",
    "Losses by epoch, training solid and validation dashed.",
)
step.say(score_tables.loss_sentence(run.results))

# %% [markdown]
# Look at the ring, the epoch whose weights are kept (best mAP75), and whether the lines still rise at the end.

# %%
step.figure(
    training.metric_curves(run.results),
    "metrics",
    "yolov5's validation metrics by epoch; ringed: the one kept.",
)
step.say(score_tables.training_sentence(run.results))

# %% [markdown]
# ## The scores, three ways
# One set of predictions, three definitions. The contest takes the whole area under the precision envelope, COCO and
# yolov5 sample it at 101 points, and they match boxes by different rules: the differences are small, yet as large as
# many a "gain". The last rows are no fourth definition: they are yolov5's own pass at the end of the training, whose
# pictures are shrunk and padded in another way than when photos are predicted.

# %%
predictions = engine.predict(
    run.best,
    Photos(images, folder=valid_set),
    image_size=image_size,
    confidence_threshold=0.001,
    iou_threshold=0.6,
    max_detections=300,
)
by_class = metrics.per_class_table(boxes, predictions, images)
definitions = score_tables.definitions_table(boxes, predictions, images, logged=run.per_class)
step.table(definitions, "Validation, by class and definition.")
step.say(score_tables.definitions_sentence(definitions))

# %% [markdown]
# Look at how far the dots of a class move from IoU 0.5 to 0.75: so much of its animals is found, but framed loosely.

# %%
step.figure(
    scores.class_scores(by_class),
    "class_scores",
    "AP by class at three strictnesses, the contest's definition.",
)
step.say(score_tables.class_sentence(by_class))
step.say(score_tables.strictness_sentence(by_class))

# %% [markdown]
# Look at where a curve drops, and how far left of its solid line the dashed one ends.

# %%
curves = metrics.pr_curves(boxes, predictions, images)
step.figure(
    scores.precision_recall(curves),
    "precision_recall",
    "Precision against recall at IoU 0.5 (solid) and 0.75 (dashed); the area under a curve is its AP.",
)
step.say(score_tables.recall_sentence(curves))

# %% [markdown]
# ## Labels beside predictions
# Left what was labelled, right what was found. A box on the right without a partner is a false alarm, or an animal
# that nobody labelled: notebook 06 takes that apart.

# %%
step.figure(
    gallery.truth_beside_prediction(
        Photos(images, boxes, valid_set),
        predictions,
        n=3,
        confidence_threshold=confidence_shown,
        seed=seed,
    ),
    "labels_and_predictions",
    "Validation photos with their labels (left) and with predictions (right).",
)
step.say(score_tables.shown_sentence(curves, confidence_shown))

# %% [markdown]
# ## One camera like another?
# Where notebook 02 grouped by camera or farm, each group of the validation fold has its own score.

# %%
_, groups = tables.read_folds(step.need("datasets", "folds.csv", made_by="02"))
by_group = score_tables.group_table(boxes, predictions, images, groups)
if len(by_group):
    step.table(by_group, "Validation by group, contest's definition.")
step.say(score_tables.group_sentence(by_group))

# %% [markdown]
# ## Complete labels
# The drawn sample knows which cows were left unlabelled on purpose. Scored on the complete labels, the same
# predictions stand as they deserve; real data has no such file.

# %%
complete = tables.complete_boxes(step.data, images, boxes)
complete_scores = metrics.per_class_table(complete, predictions, images)
step.table(
    complete_scores,
    "Validation, labels completed where a truth file knows them, contest's definition.",
    index=True,
)

# %% [markdown]
# ## In short

# %%
step.metrics(
    headline={"validation mAP75": by_class.loc["all", "mAP75"]},
    **score_tables.score_metrics(by_class),
    mAP75_complete=complete_scores.loc["all", "mAP75"],
    epochs=len(run.results),
    best_epoch=run.record["best_epoch"] + 1,
    weights_mb=run.best.stat().st_size / 1e6,
    warnings=run.warnings,
    per_class=by_class.reset_index(),
    by_group=by_group,
)
step.finish("06_error_analysis")
