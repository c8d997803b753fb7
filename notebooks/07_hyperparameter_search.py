# ---
# jupyter:
#   livestock:
#     reads: ["{out}/datasets/Train_Dataset_mini.tar", "{out}/datasets/Valid_Dataset_mini.tar", "{base}"]
#     writes: ["{out}/hyp/hyp_*_best.yaml", "{out}/hyp/search.json"]
# ---

# %% [markdown]
# # 07 Better hyperparameters
#
# Which learning rate, loss gains and augmentation suit this data? YOLOv5's defaults were made for COCO. A search on
# the mini sets changes one group of hyperparameters ("genes") at a time and leaves all others as the base has them.
# A trial's score is the contest's mAP75 on the mini validation set, which the original's search never saw.
#
# Is it worth its hours? On 427 real photos it was not: the best of 30 short trials, TPE's and the genetic algorithm's,
# scored no better than the recipe `auto` once trained in full ([accuracy](../docs/accuracy.md)).
#
# `sampler = "genetic"` is YOLOv5's own algorithm, for polishing near a good start; the others draw from the whole range
# (`benchmarks/bench_samplers.py`). Trials that are clearly behind end early (`pruner`). Many sessions can share one
# search: give each the same `storage`, the URL of a PostgreSQL database. (`"$NAME"` takes it from an environment
# variable or a Colab secret: a password does not belong into a notebook.) A trial whose session died is taken up by
# another. Without a database, the study is a file in `OUT/search/`, for one session at a time.
#
# - **In:** `OUT/datasets/Train_Dataset_mini.tar` and `Valid_Dataset_mini.tar` from notebook 04.
# - **Out:** `OUT/hyp/hyp_<group>_best.yaml` for 08 and 10 (`hyp = "search"` takes what this notebook wrote last,
#   `"search:hsv"` that of a group or named study), run folders in `OUT/search/`, figures in `OUT/figures/07/`.
# - **Time:** 30 seconds on the drawn sample with two CPU cores; with the write-up's settings (7 epochs per trial) several
#   hours per trial on a T4. Stop whenever you like: the same cells go on from the epoch that was saved last.

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
groups = "lr_momentum"  # @param {type:"string"}
base = "recipe"  # @param {type:"string"}
sampler = "tpe"  # @param ["genetic", "tpe", "cmaes", "nsga2", "random"]
trials = 20  # @param {type:"integer"}
pruner = "median"  # @param ["none", "median", "halving"]
storage = ""  # @param {type:"string"}
study = ""  # @param {type:"string"}
objective = {"mAP75_contest": 1.0}  # @param {type:"raw"}
against = ""  # @param ["", "latency_ms", "weights_mb"]
choices = {}  # @param {type:"raw"}
groups_file = ""  # @param {type:"string"}
sampler_seed = 0  # @param {type:"integer"}
rate_test = False  # @param {type:"boolean"}
init_weights = "yolov5m6.pt"  # @param {type:"string"}
model = "yolov5m6"  # @param {type:"string"}
recipe = "auto"  # @param ["auto", "write_up", "yolov5"]
epochs = 7  # @param {type:"integer"}
image_size = 1280  # @param {type:"integer"}
batch_size = 10  # @param {type:"integer"}
optimizer = ""  # @param ["", "SGD", "Adam", "AdamW"]
schedule = ""  # @param ["", "linear", "cosine", "linear-v6.0", "cosine-v6.0"]
nominal_batch = 0  # @param {type:"integer"}
warmup_min_iterations = None  # @param {type:"raw"}
workers = 2  # @param {type:"integer"}
seed = 0  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("07_hyperparameter_search", globals())

# %% [markdown]
# ## The groups
# Genes that act together are searched together, each within YOLOv5's own limits (`hyp/groups.yaml`). Several groups
# with commas between them form a chain: the best of one is the base of the next, and `all` at the end polishes.
# `choices` searches other settings too, such as `{"optimizer": ["SGD", "AdamW"]}`; for models, `init_weights` names the
# weights of each with `"{model}.pt"`. `against` then keeps latency or file size small as a second objective.

# %%
step.show(lu.displays.gene_groups(groups, groups_file))

# %% [markdown]
# ## Search
# Starts the study, joins it, or returns at once when all its trials are done. Trial 0 is always the base: as training
# would do by the recipe `auto`, unless `base` names a file of hyperparameters. A range test before (`rate_test = True`)
# says where `lr0` is worth a search. A long flat end: more trials would not help.

# %%
train = step.open_set("Train_Dataset_mini", made_by="04")
valid = step.open_set("Valid_Dataset_mini", made_by="04")
training = step.settings(lu.TrainSettings)
step.show(lu.displays.rate_range(train, valid, step.path("rates"), training, rate_test))
search = lu.search(train, valid, step.out, training, **step.options(lu.search))
step.show(lu.displays.best_so_far(search))

# %% [markdown]
# ## What the good trials share
# Gene by gene: a slope or a hill says where to look next, a flat cloud that the gene hardly matters. Two more figures
# from 30 trials on: bright lines that lie together on an axis say that this gene decided; and how much of the scores'
# spread goes back to each gene.

# %%
step.show(lu.displays.gene_slices(search))
if len(search.table) >= 30:
    step.show(lu.displays.gene_coordinates(search), lu.displays.gene_importance(search))

# %% [markdown]
# ## What to take
# Neighbours in this table often differ by less than another seed would change.

# %%
step.show(lu.displays.best_trials(search))
if against:
    step.show(lu.displays.trial_front(search))
step.finish("08_train_full")
