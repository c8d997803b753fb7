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
# the mini sets changes one group of genes at a time and leaves all others as the base has them.
#
# Unlike the original's search, whose fitness never saw it, the score of a trial is the contest's AP75 on the mini
# validation set. Trials that are clearly behind end early; a loss that blows up ends its trial, not the search.
#
# `sampler = "genetic"` is YOLOv5's own algorithm. It changes genes by some percent at a time: for polishing near a good
# start. Far from one, samplers that draw from the whole range get there sooner (`benchmarks/bench_samplers.py`).
#
# Many sessions can share one search: give each the same `storage`, the URL of a PostgreSQL database, and open this
# notebook as often as you have GPUs. `storage = "$NAME"` takes the URL from the environment variable, or Colab secret,
# NAME: a password does not belong into a notebook. Every trial is done once, and a trial whose session died is taken up
# by another. Without a database, the study is a file in `OUT/search/`, for one session at a time.
#
# - **In:** `OUT/datasets/Train_Dataset_mini.tar` and `Valid_Dataset_mini.tar` from notebook 04.
# - **Out:** `OUT/hyp/hyp_<group>_best.yaml` for 08 and 10 (`hyp = "search"` takes what this notebook wrote last,
#   `"search:hsv"` that of a group or named study), the study and its run folders in
#   `OUT/search/`, figures in `OUT/figures/07/`, numbers in `metrics.json`.
# - **Time:** a minute on the drawn sample with two CPU cores; with the write-up's settings (7 epochs a trial) several
#   hours a trial on a T4. Stop whenever you like: the same cells go on from the epoch that was saved last.

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
groups = "lr_momentum"  # @param {type:"string"}
base = "default"  # @param {type:"string"}
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
init_weights = "yolov5m6.pt"  # @param {type:"string"}
model = "yolov5m6"  # @param {type:"string"}
epochs = 7  # @param {type:"integer"}
image_size = 1280  # @param {type:"integer"}
batch_size = 10  # @param {type:"integer"}
optimizer = "SGD"  # @param ["SGD", "Adam", "AdamW"]
schedule = "linear"  # @param ["linear", "cosine", "linear-v6.0", "cosine-v6.0"]
nominal_batch = 64  # @param {type:"integer"}
warmup_min_iterations = 100  # @param {type:"integer"}
workers = 2  # @param {type:"integer"}
seed = 0  # @param {type:"integer"}

# %%
from livestock_utils import colab
from livestock_utils.data.sets import reading, writing
from livestock_utils.detect.search import genes, run
from livestock_utils.detect.search import trials as search_table
from livestock_utils.show import notebook
from livestock_utils.show.plots import search

step = notebook.start("07_hyperparameter_search", data, out, uses_gpu=True)

# %% [markdown]
# ## The groups
# Genes that act together are searched together, each within YOLOv5's own limits (`hyp/groups.yaml`). Several groups
# with commas between them form a chain: the best of one is the base of the next, and `all` at the end polishes.
# `choices` searches other settings too, such as `{"optimizer": ["SGD", "AdamW"]}`; for models, `init_weights` names the
# weights of each with `"{model}.pt"`. `against` then keeps latency or file size small as a second objective.

# %%
step.table(
    genes.groups_table(groups, groups_file or None),
    "Genes of the chosen groups and their ranges.",
    digits=5,
)

# %% [markdown]
# ## The mini sets

# %%
local = colab.local_disk(step.out)
train_set = reading.extract(
    step.need("datasets", "Train_Dataset_mini.tar", made_by="04"), local / "Train_Dataset_mini"
)
valid_set = reading.extract(
    step.need("datasets", "Valid_Dataset_mini.tar", made_by="04"), local / "Valid_Dataset_mini"
)
data_yaml = writing.write_data_yaml(local / "mini.yaml", train_set, valid_set)

# %% [markdown]
# ## Search
# Starts the study, joins it, or returns at once when all its trials are done. Trial 0 is always the base.

# %%
found = run.run_chain(
    data_yaml,
    step.out,
    groups,
    base=base,
    sampler=sampler,
    trials=trials,
    pruner=pruner,
    storage=storage,
    study=study,
    objective=objective,
    against=against,
    choices=choices,
    groups_file=groups_file or None,
    sampler_seed=sampler_seed,
    model=model,
    init_weights=init_weights or None,
    epochs=epochs,
    image_size=image_size,
    batch_size=batch_size,
    optimizer=optimizer,
    schedule=schedule,
    nominal_batch=nominal_batch,
    warmup_min_iterations=warmup_min_iterations,
    workers=workers,
    seed=seed,
    cache="disk",
)
last = found[-1]
step.say(
    "\n\n".join(f"**{result.group}**: {search_table.sentence(result.table)}" for result in found)
)

# %% [markdown]
# ## What the epochs bought
# A long flat end says that more trials would not help, or that the sampler is stuck.

# %%
step.figure(
    search.best_so_far(last.table),
    "best_so_far",
    f"Score of each trial of the group {last.group}, and the best so far, by epochs trained.",
)
step.say(search_table.so_far_sentence(last.table))

# %% [markdown]
# ## What the good trials share
# Bright lines that lie together on an axis say that this gene decided; bright lines all over it, that it did not.

# %%
step.figure(
    search.gene_coordinates(last.table, last.genes),
    "gene_coordinates",
    "Each line is a trial, each axis a gene; the brighter, the better, the thick line is the best.",
)
step.say(search_table.agreement_sentence(last.table, last.genes))

# %% [markdown]
# Gene by gene: a slope or a hill says where to look next, a flat cloud that the gene hardly matters.

# %%
step.figure(
    search.gene_slices(last.table, last.genes),
    "gene_slices",
    "Score by each gene's value, the dashed line is the base; triangles scored far less than the others.",
)
step.say(search_table.slices_sentence(last.table, last.genes))

# %% [markdown]
# How much of the scores' spread goes back to each gene alone or with others? Genes near 0 can be left alone next time.

# %%
shares = search_table.importances(last.study, sampler_seed)
step.figure(
    search.gene_importance(shares),
    "gene_importance",
    "How much of the scores' variance each gene explains; with few trials little more than chance.",
)
step.say(search_table.importance_sentence(shares, int((last.table["state"] == "complete").sum())))

# %% [markdown]
# ## The best trials
# Neighbours in this table often differ by less than another seed would change.

# %%
step.table(
    search_table.best_trials(last.table, 8),
    "The best trials, the base among them marked as trial 0.",
    digits=4,
)

# %%
if against:
    best = search_table.pareto(last.table)
    step.figure(
        search.front(last.table, best, against),
        "front",
        f"Score and {against} of each trial; the line joins those that no other beats in both.",
    )
    step.table(best, f"Trials that no other beats in both score and {against}.", digits=4)

# %% [markdown]
# ## In short

# %%
step.say(
    f"Written: {last.advice}. The figures above are of the group {last.group}; every group's trials lie in "
    "`OUT/search/`."
)
step.metrics(
    **search_table.key_numbers(last.table),
    group=last.group,
    sampler=sampler,
    hyp_file=last.hyp_file.name,
    best_genes={gene.name: last.best_hyp[gene.name] for gene in last.genes},
    importance=shares.to_dict(),
    groups={result.group: search_table.key_numbers(result.table) for result in found},
)
step.finish("08_train_full")
