# ---
# jupyter:
#   livestock:
#     reads: ["{data}/truth.csv", "{out}/datasets/Train_Dataset.tar", "{out}/datasets/Valid_Dataset.tar",
#       "{out}/datasets/plus_image.tar", "{out}/datasets/plus_label.tar", "{out}/training/full/run.json", "{hyp}",
#       "{out}/hyp/hyp_*_best.yaml", "{out}/hyp/search.json", "{out}/.state/metrics/06_error_analysis.json"]
#     writes: ["{out}/training/{run_name}/run.json", "{out}/training/{run_name}_gold/run.json"]
# ---

# %% [markdown]
# # 10 Does silver help, and if not, why?
#
# In the contest the expanded training scored lower than the full one. The write-up left open why. Were its silver
# labels bad? Or do the test answers lack the same boxes as the training labels, so that a model is punished for finding
# an unlabelled cow? Both can be told apart where the truth is known.
#
# Two trainings with the recipe of 08, the same start, photos and number of steps; only labels differ. **Gold** has
# people's labels. **Expanded** has the silver images of notebook 09 among them; where these are second copies
# (`mode = "duplicate"`), gold sees the same photos twice. Both learn from the training part alone, as the teachers did,
# so the validation fold can judge (08 has seen most of it). On the drawn sample the start weights find unlabelled cows
# from the first epoch on, so silver has less to give than on real photos.
#
# - **In:** `OUT/datasets/Train_Dataset.tar`, `Valid_Dataset.tar` (02), `plus_image.tar`, `plus_label.tar` (09).
# - **Out:** the run folders `OUT/training/expanded_gold/` and `expanded/` (another silver set wants another
#   `run_name`), figures in `OUT/figures/10/`.
# - **Time:** a minute on the drawn sample with two CPU cores; elsewhere twice that of 05. An interrupted run
#   continues: run the same cells again.

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
run_name = "expanded"  # @param {type:"string"}
silver_share = 1.0  # @param {type:"number"}
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
augmentation = ""  # @param {type:"string"}
nominal_batch = 0  # @param {type:"integer"}
warmup_min_iterations = None  # @param {type:"raw"}
iou_threshold = 0.6  # @param {type:"number"}
thin_share = 0.2  # @param {type:"number"}
workers = 2  # @param {type:"integer"}
repeats = 1  # @param {type:"integer"}
seed = 0  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("10_train_expanded", globals())
settings = step.settings(lu.TrainSettings)

# %% [markdown]
# ## Two training sets that differ in labels only
# Then the check before the start: red lines come first and say what to do.

# %%
train = step.open_set("Train_Dataset", made_by="02")
valid = step.open_set("Valid_Dataset", made_by="02")
lists = step.silver_lists(train, valid, silver_share)
step.show(lu.displays.silver_lists(lists))
step.show(lu.displays.preflight(lists.expanded, None, settings, step.out))

# %% [markdown]
# ## Training
# Do both still rise at the end? Then more epochs could change the order.

# %%
seeds = range(seed, seed + repeats)
pairs = lists.gold, lists.expanded, None, step.run_folder, seeds, settings, run_name
runs = lu.train_pairs(*pairs, lists.regions)
step.show(lu.displays.trained_pairs(runs, step.out / "training" / "full"))

# %% [markdown]
# ## The difference, on complete and on given labels
# The last weights of both predict the validation fold (the "best" ones were chosen with a look at it). First the scores
# on both kinds of labels. Then the difference, every interval from the same draws of images: does a line cross 0? The
# lowest group is the gain on the first set of labels minus that on the second: what the gaps did.

# %%
options = {"image_size": image_size, "iou_threshold": iou_threshold}
found = {
    side: [lu.predict(run.last, valid, **options) for run in pair] for side, pair in runs.items()
}
step.show(lu.displays.silver_scores(valid, found, step.data, thin_share, seed))
step.show(lu.displays.silver_effect(valid, found, step.data, thin_share, seed))

# %% [markdown]
# ## Where the difference comes from
# Silver should let the model find more; loose silver boxes would show as a loss at strict IoU only.

# %%
first_pair = {side: tables[0] for side, tables in found.items()}
caption = "The first pair of trainings by class on the fuller labels, the contest's definition."
fuller = valid.complete(step.data)
step.show(lu.displays.run_scores_by_class(fuller, first_pair, caption))

# %%
step.metrics(silver_share=silver_share, repeats=repeats)
step.finish("11_inference")
