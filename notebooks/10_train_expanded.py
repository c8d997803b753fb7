# ---
# jupyter:
#   livestock:
#     reads: ["{data}/truth.csv", "{out}/datasets/Train_Dataset.tar", "{out}/datasets/Valid_Dataset.tar",
#       "{out}/datasets/plus_image.tar", "{out}/datasets/plus_label.tar", "{out}/training/full/run.json",
#       "{hyp}", "{out}/hyp/hyp_*_best.yaml", "{out}/hyp/search.json"]
#     writes: ["{out}/training/{run_name}/run.json", "{out}/training/{run_name}_gold/run.json"]
# ---

# %% [markdown]
# # 10 Does silver help, and if not, why?
#
# In the contest the expanded training scored lower than the full one. The write-up left open whether its silver labels
# were bad or the test answers lack the same boxes as the training labels: a model that finds an unlabelled cow is then
# punished for it. Both can be told apart where the truth is known.
#
# Two trainings from the same starting weights, with the same recipe as 08, the same photos and as many steps; only
# labels differ. **Gold** has people's labels. **Expanded** has the silver images of notebook 09 among them; where these
# are second copies (`mode = "duplicate"`), gold sees the same photos twice, with people's labels both times.
# On the drawn sample both start from weights that have seen drawn scenes with complete labels: they find unlabelled
# cows from the first epoch on, so there is less to gain from silver than on real photos.
# The model of 08 itself cannot be the yardstick: it was trained on most of the validation fold. Here both are trained
# on the training part alone, the teachers behind the silver labels too, and the validation fold judges.
#
# - **In:** `OUT/datasets/Train_Dataset.tar`, `Valid_Dataset.tar` (02), `plus_image.tar`, `plus_label.tar` (09).
# - **Out:** the run folders `OUT/training/expanded_gold/` and `expanded/` (another silver set wants another
#   `run_name`), figures in `OUT/figures/10/`, the difference with its interval in `metrics.json`.
# - **Time:** 2 minutes on the drawn sample with two CPU cores; elsewhere twice that of 05. An interrupted run
#   continues: run the same cells again.

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
run_name = "expanded"  # @param {type:"string"}
silver_share = 1.0  # @param {type:"number"}
init_weights = "yolov5m6.pt"  # @param {type:"string"}
model = "yolov5m6"  # @param {type:"string"}
hyp = "experiment_hyp_v1"  # @param {type:"string"}
epochs = 20  # @param {type:"integer"}
image_size = 1280  # @param {type:"integer"}
batch_size = 10  # @param {type:"integer"}
optimizer = "SGD"  # @param ["SGD", "Adam", "AdamW"]
schedule = "linear"  # @param ["linear", "cosine", "linear-v6.0", "cosine-v6.0"]
augmentation = ""  # @param {type:"string"}
nominal_batch = 64  # @param {type:"integer"}
warmup_min_iterations = 100  # @param {type:"integer"}
iou_threshold = 0.6  # @param {type:"number"}
thin_share = 0.2  # @param {type:"number"}
workers = 2  # @param {type:"integer"}
repeats = 1  # @param {type:"integer"}
seed = 0  # @param {type:"integer"}

# %%
import functools

from livestock_utils import colab
from livestock_utils.core.photos import Photos
from livestock_utils.data.sets import reading
from livestock_utils.detect.predict import engine
from livestock_utils.detect.search import best
from livestock_utils.detect.train import preflight
from livestock_utils.evaluate.scoring import tables
from livestock_utils.evaluate.silver import effect as silver_effect
from livestock_utils.evaluate.silver import sets
from livestock_utils.show import notebook
from livestock_utils.show.plots import silver as silver_module
from livestock_utils.show.plots import training
from livestock_utils.show.words import silver
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.show import training as show_training

step = notebook.start("10_train_expanded", data, out)
hyp = best.resolve_hyp(hyp, step.out)

# %% [markdown]
# ## Two training sets that differ in labels only

# %%
local = colab.local_disk(step.out)
train_set = reading.extract(
    step.need("datasets", "Train_Dataset.tar", made_by="02"), local / "Train_Dataset"
)
valid_set = reading.extract(
    step.need("datasets", "Valid_Dataset.tar", made_by="02"), local / "Valid_Dataset"
)
plus_set = sets.extract(
    step.need("datasets", "plus_label.tar", made_by="09").parent, local / "plus"
)
gold_yaml, expanded_yaml, lists = sets.write_training_lists(
    local / "expanded", train_set, plus_set, valid_set, silver_share, seed
)
images, boxes = reading.read_tables(valid_set)
step.table(
    lists, f"What an epoch of each training holds; mode “{sets.read_settings(plus_set).mode}”."
)
step.say(silver.lists(lists))
step.say(silver.teachers(sets.teachers_saw_validation(plus_set)))

# %% [markdown]
# ## Ready to start?
# Red lines come first and say what to do.

# %%
ready = preflight.checks(
    expanded_yaml, model=model, init_weights=init_weights or None, hyp=hyp, run_folder=step.out
)
step.table(ready)
preflight.require(ready)

# %% [markdown]
# ## Training
# The same cell starts, continues, or returns at once what has finished.

# %%
recipe = {
    "model": model,
    "init_weights": init_weights or None,
    "hyp": hyp,
    "epochs": epochs,
    "image_size": image_size,
    "batch_size": batch_size,
    "optimizer": optimizer,
    "schedule": schedule,
    "augmentation": augmentation or None,
    "nominal_batch": nominal_batch,
    "warmup_min_iterations": warmup_min_iterations,
    "workers": workers,
}
runs = show_training.train_pairs(
    gold_yaml,
    expanded_yaml,
    None,
    functools.partial(colab.training_folder, step.out),
    range(seed, seed + repeats),
    TrainSettings(**recipe),
    run_name,
)
step.say(silver.recipe(runs["expanded"][0].folder, step.out / "training" / "full"))

# %% [markdown]
# Do both still rise at the end? Then more epochs could change the order.

# %%
both = [run for side in runs.values() for run in side]
step.say(" ".join(f"{run.folder.name}: {run.status}" for run in both))
curves = {run.folder.name: run.results for run in both}
step.figure(
    training.compare_runs(curves, "metrics/mAP_0.75"),
    "runs",
    "Validation mAP75 of the trainings by epoch, yolov5's definition, on the labels as they are.",
)
step.say(silver.trainings(curves))

# %% [markdown]
# ## The difference, on complete and on lacking answers
# The last weights of both predict the validation fold (the "best" ones were chosen with a look at it). Every interval
# comes from the same draws of images, so that what is hard for both cancels out. Look first whether a line crosses 0,
# then at the lowest group, the gain on the fuller answers minus that on the lacking ones: what the gaps did.

# %%
found = {
    name: [
        engine.predict(
            run.last,
            Photos(images, folder=valid_set),
            image_size=image_size,
            confidence_threshold=0.001,
            iou_threshold=iou_threshold,
        )
        for run in side
    ]
    for name, side in runs.items()
}
answers = silver_effect.answer_sets(step.data, images, boxes, thin_share, seed=seed)
effect = silver_effect.effect_table(answers, found["gold"], found["expanded"], images, seed=seed)
step.figure(
    silver_module.silver_effect(effect),
    "effect",
    "AP75 of the expanded training minus gold alone, with its interval.",
)
step.say(silver.effect(effect))

# %%
step.say(silver.luck(effect))

# %%
step.say(silver.cause(effect))

# %%
step.table(
    effect,
    "Contest's AP75 of both trainings and their difference; second better: share of the draws in which "
    "the expanded one scores higher; lowest and highest run: single pairs of trainings.",
)

# %% [markdown]
# ## Where the difference comes from
# Silver should let the model find more; loose silver boxes would show as a loss at strict IoU only.

# %%
fuller = next(iter(answers))
first_pair = {name: tables_of_side[0] for name, tables_of_side in found.items()}
step.table(
    tables.runs_table(answers[fuller], first_pair, images),
    f"The first pair of trainings by class on the answers “{fuller}”, contest's definition.",
)

# %% [markdown]
# ## In short

# %%
step.metrics(
    **silver.effect_metrics(effect),
    mode=sets.read_settings(plus_set).mode,
    silver_share=silver_share,
    silver_images=int(lists["silver_images"].max()),
    images_an_epoch=int(lists["images"].iloc[0]),
    epochs=len(both[0].results),
    repeats=repeats,
    effect=effect,
    warnings=sorted({line for run in both for line in run.warnings}),
)
step.finish("11_inference")
