# ---
# jupyter:
#   livestock:
#     reads: ["{out}/datasets/Train_Dataset.tar", "{out}/datasets/Valid_Dataset.tar"]
#     writes: ["{out}/training/multilabel_split/run.json"]
# ---

# %% [markdown]
# # 05 A first training on the multi-label split
#
# How well does YOLOv5 find pigs and cows with the recipe that suits so many photos, and which of the two is harder?
# This is the yardstick that every later step (tuning, all data, silver labels) has to beat.
#
# - **In:** `OUT/datasets/Train_Dataset.tar` and `Valid_Dataset.tar` from notebook 02, unpacked to the local disk.
# - **Out:** the run folder `OUT/training/multilabel_split/` (weights, one row per epoch, curves, settings), figures in
#   `OUT/figures/05/`.
# - **Time:** a minute on the drawn sample with two CPU cores; the write-up's recipe takes about an hour per epoch on
#   a T4 (estimated). A session that ends costs at most the epoch in flight: run the same cells again.

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
init_weights = "yolov5m6.pt"  # @param {type:"string"}
model = "yolov5m6"  # @param {type:"string"}
recipe = "auto"  # @param ["auto", "write_up", "yolov5"]
hyp = ""  # @param {type:"string"}
epochs = 10  # @param {type:"integer"}
minutes = 0.0  # @param {type:"number"}
image_size = 1280  # @param {type:"integer"}
batch_size = 10  # @param {type:"integer"}
nominal_batch = 0  # @param {type:"integer"}
optimizer = ""  # @param ["", "SGD", "Adam", "AdamW"]
schedule = ""  # @param ["", "linear", "cosine", "linear-v6.0", "cosine-v6.0"]
augmentation = ""  # @param ["", "light", "barn_night"] {allow-input: true}
warmup_min_iterations = None  # @param {type:"raw"}
workers = 2  # @param {type:"integer"}
cache = "ram"  # @param ["ram", "disk", "none"]
loggers = "tensorboard"  # @param ["tensorboard", "tensorboard,wandb", "tensorboard,mlflow"] {allow-input: true}
seed = 0  # @param {type:"integer"}
check_gpu = False  # @param {type:"boolean"}
rate_test = False  # @param {type:"boolean"}

# %%
import livestock_utils as lu

step = lu.start("05_train_multilabel_split", globals())
settings = step.settings(lu.TrainSettings)
run_folder = step.run_folder("multilabel_split")
train = step.open_set("Train_Dataset", made_by="02")
valid = step.open_set("Valid_Dataset", made_by="02")

# %% [markdown]
# ## Ready to start?
# Red lines come first and say what to do: a GPU that this torch has no kernels for, too little disk, a class list in
# another order.

# %%
step.show(lu.displays.preflight(train, valid, settings, run_folder))

# %% [markdown]
# The recipe settles what is left open, by the number of photos, the epochs and the start weights; a setting that is
# given wins. `minutes`, with `epochs = 0`, trains as long as that. `rate_test = True` looks for the learning rate: it
# is raised batch by batch until the loss turns.

# %%
step.show(lu.displays.recipe(train, settings))
step.show(lu.displays.rate_range(train, valid, step.path("rates"), settings, rate_test))

# %% [markdown]
# What such a run takes: here by a few timed steps, elsewhere estimated (± 30 %) from the write-up's 50 minutes per
# epoch on a P100 (a small network waits for its photos longer than that). Where the batch does not fit, the largest one
# that does, added up over so many batches, is the same recipe.

# %%
plan = lu.plan(settings, len(train))
step.show(lu.displays.plan(plan))

# %% [markdown]
# ## What the network gets to see
# The same photos unchanged, under an augmentation pipeline, and in a mosaic of four. The boxes must follow the animals.
# Where `augmentation` is empty, the training has no pipeline, and the preset `barn_night` is shown as an example.

# %%
step.show(lu.displays.augmentation(train, settings))

# %% [markdown]
# ## Training
# The same cell starts the run, continues it after an interruption, and returns at once when it has finished. `loggers`
# takes Weights & Biases or MLflow beside TensorBoard, by name; `cache` says where the decoded photos are kept.

# %%
run = lu.train(train, valid, run_folder, settings, tags={"trained_on": "split"})
step.show(lu.displays.training_time(run, plan))

# %% [markdown]
# ## How it went
# Box, objectness and class loss: a dashed line (validation) that turns up while the solid one falls is overfitting.
# Then the ring, the epoch whose weights are kept: do the lines still rise at the end?

# %%
step.show(lu.displays.losses(run), lu.displays.metrics(run))

# %% [markdown]
# ## The scores, three ways
# mAP75 means here what the contest means: the whole area under the precision envelope at IoU 0.75. COCO and yolov5
# sample that area at 101 points, and match boxes by other rules: small differences, yet as large as many a "gain".
# The last rows are yolov5's own pass at the end of the training, with photos padded in another way.
#
# Look at how far a class falls from IoU 0.5 to 0.75: so many of its animals are found, but framed loosely.

# %%
predictions = lu.predict(run.best, valid, image_size=image_size)
step.show(lu.displays.score_definitions(valid, predictions, run.per_class))
step.show(lu.displays.class_scores(valid, predictions))
step.show(lu.displays.precision_recall(valid, predictions))

# %% [markdown]
# ## Labels beside predictions
# Left what was labelled, right one box per animal, from the confidence of each species' best F1 up. A box on the right
# without a partner is a false alarm, or an animal that nobody labelled: notebook 06 takes that apart.

# %%
step.show(lu.displays.labels_and_predictions(valid, predictions, seed=seed))

# %% [markdown]
# ## One camera like another?
# Where notebook 02 grouped by camera or farm, each group of the validation fold has its own score.

# %%
_, groups = step.folds()
step.show(lu.displays.scores_by_group(valid, predictions, groups))

# %% [markdown]
# ## Complete labels
# The drawn sample knows which cows were left unlabelled on purpose. Scored on the complete labels, the same
# predictions get their true score; real data has no such file.

# %%
step.show(lu.displays.complete_scores(valid, predictions, step.data))

# %% [markdown]
# ## This GPU
# On a new card, `check_gpu = True` trains two short epochs on drawn photos, is killed and goes on, compares both
# precisions and exports; `python -m livestock_utils check-gpu` prints the same table.

# %%
step.show(lu.displays.gpu_check(step.path("gpu_check"), check_gpu))

# %%
step.metrics(headline={"validation mAP75": step.values["mAP75"]}, **run.summary)
step.finish("06_error_analysis")
