# ---
# jupyter:
#   livestock:
#     reads: ["{out}/datasets/Train_Dataset_Full.tar", "{out}/datasets/Valid_Dataset_Full.tar",
#       "{out}/training/multilabel_split/run.json", "{hyp}", "{out}/hyp/hyp_*_best.yaml", "{out}/hyp/search.json",
#       "{out}/.state/metrics/06_error_analysis.json"]
#     writes: ["{out}/training/full/run.json"]
# ---

# %% [markdown]
# # 08 The final recipe on all the data
#
# What does a tuned recipe on nearly all images give, and is it better than the first training of notebook 05 on
# photos that neither has seen?
#
# From 8,000 photos on the recipe is the write-up's: SGD, a linear schedule, 20 epochs, batch 10, 1280 px, YOLOv5m6 and
# the hyperparameters of its table (`hyp/experiment_hyp_v1.yaml`), with a head that keeps COCO's rows. For fewer photos
# the table below says what it is and why. `hyp = "search"` takes the best of notebook 07 instead. Unlike the original,
# a small part of the validation fold stays out of the "full" set, and only that part judges here.
#
# - **In:** `OUT/datasets/Train_Dataset_Full.tar` and `Valid_Dataset_Full.tar` (03); the run of 05 for comparison.
# - **Out:** the run folder `OUT/training/full/` with the final weights, figures in `OUT/figures/08/`.
# - **Time:** 45 seconds on the drawn sample with two CPU cores; the write-up's recipe takes 70 minutes per epoch on a
#   T4 (estimated). An interrupted run continues: run the same cells again.

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
negatives = "auto"  # @param ["auto", "plain", "doubted"]
hyp = ""  # @param {type:"string"}
epochs = 20  # @param {type:"integer"}
minutes = 0.0  # @param {type:"number"}
image_size = 1280  # @param {type:"integer"}
batch_size = 10  # @param {type:"integer"}
optimizer = ""  # @param ["", "SGD", "Adam", "AdamW"]
schedule = ""  # @param ["", "linear", "cosine", "linear-v6.0", "cosine-v6.0"]
augmentation = ""  # @param ["", "light", "barn_night"] {allow-input: true}
nominal_batch = 0  # @param {type:"integer"}
warmup_min_iterations = None  # @param {type:"raw"}
workers = 2  # @param {type:"integer"}
cache = "ram"  # @param ["ram", "disk", "none"]
loggers = "tensorboard"  # @param ["tensorboard", "tensorboard,wandb", "tensorboard,mlflow"] {allow-input: true}
seed = 0  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("08_train_full", globals())
settings = step.settings(lu.TrainSettings)
run_folder = step.run_folder("full")
train = step.open_set("Train_Dataset_Full", made_by="03")
watched = step.open_set("Valid_Dataset_Full", made_by="03")

# %% [markdown]
# ## Ready to start?
# Red lines come first and say what to do; then what the run takes, as in notebook 05.

# %%
step.show(lu.displays.preflight(train, watched, settings, run_folder))
plan = lu.plan(settings, len(train))
step.show(lu.displays.plan(plan))

# %% [markdown]
# ## The recipe
# Settings that are left open are settled by the data; `recipe = "write_up"` is the original's last training to the
# letter. Before a long run, compare: `python -m livestock_utils batch notebooks/batches/recipes.yaml --data DATA --out
# runs/recipes` trains three at equal epochs, and notebook 12 says, with intervals, which differences are significant.

# %%
step.show(lu.displays.recipe(train, settings))

# %% [markdown]
# ## Training
# Losses of this run and of 05 cannot be compared, as their gains differ: look at the shapes. The ring is the epoch
# whose weights are kept. Do the lines still rise at the end?

# %%
run = lu.train(train, watched, run_folder, settings, tags={"trained_on": "full"})
step.show(lu.displays.training_time(run, plan))
step.show(lu.displays.losses(run), lu.displays.metrics(run))

# %% [markdown]
# ## Better than the first training?
# Both models predict the watched images, which neither was trained on. The interval comes from drawing those images
# again and again: where it holds 0, the difference may be chance.

# %%
first = lu.Run(step.need("training", "multilabel_split", made_by="05"))
found = {
    "the split": lu.predict(first.best, watched, image_size=image_size),
    "the full training": lu.predict(run.best, watched, image_size=image_size),
}
step.show(lu.displays.run_scores_by_class(watched, found))
step.show(lu.displays.run_difference(watched, found, seed))
caption = "AP by class of the full training, the contest's definition."
step.show(lu.displays.class_scores(watched, found["the full training"], caption))

# %%
step.metrics(**run.summary)
step.finish("09_silver_dataset")
