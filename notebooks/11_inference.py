# ---
# jupyter:
#   livestock:
#     reads: ["{data}/data_test", "{data}/answer.csv", "{out}/tables/test", "{out}/datasets/Valid_Dataset.tar",
#       "{out}/training/full/weights/best.pt", "{out}/training/multilabel_split/weights/best.pt",
#       "{out}/training/oof_fold*/weights/last.pt", "{out}/predictions/oof_fold*.json", "{out}/tables",
#       "{out}/datasets/folds.csv", "{weights}", "{tuning_weights}"]
#     writes: ["{out}/predictions/settings.yaml"]
# ---

# %% [markdown]
# # 11 Inference: predict, choose offline, submit
#
# The write-up chose its last step (NMS at IoU .68, confidence .001) by running the network again for each setting, with
# the test answers in reach. Here each image is predicted once, in a few passes. Which passes are worth their time, and
# every setting after them, is chosen on validation by the contest's own number; the test score is read once, at the
# end. On real photos that was worth +.046 mAP75 in one pass and +.071 in up to six ([how](../docs/postprocessing.md)).
#
# - **In:** the test archives in `DATA/data_test/`, weights from notebook 08 (else 05), the validation set from 02.
# - **Out:** `OUT/submission.csv`, `OUT/predictions/settings.yaml` (the chosen setting), raw candidates in
#   `OUT/predictions/`, figures in `OUT/figures/11/`, the score in `metrics.json` if there is an `answer.csv`.
# - **Time:** a minute on the drawn sample with two CPU cores. A session that ends costs at most 256 images: run
#   the same cells again. Several sessions can share the work: `-p shard 1/4`, `-p shard 2/4`, ... and a Ray cluster
#   all of it: `-p engine ray`. Until all shards are there, nothing is tuned, submitted or scored.

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
weights = ""  # @param {type:"string"}
tuning_weights = ""  # @param {type:"string"}
predictions = ""  # @param {type:"string"}
tuning_predictions = ""  # @param {type:"string"}
image_size = 1280  # @param {type:"integer"}
passes = "plain, x1.2, x1.2-flip"  # @param {type:"string"}
budget_ms = 0.0  # @param {type:"number"}
backend = "torch"  # @param ["torch", "onnx"]
engine = "local"  # @param ["local", "ray"] {allow-input: true}
shard = "1/1"  # @param {type:"string"}
tune_on = "validation"  # @param ["validation", "out_of_fold"]
looking_aim = "f1"  # @param ["f1", "count"]
normaliser = "auto"  # @param ["auto", "contest", "image"]
n_random = 20  # @param {type:"integer"}
n_resamples = 1000  # @param {type:"integer"}
check_images = 1000  # @param {type:"integer"}
workers = 2  # @param {type:"integer"}
seed = 0  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("11_inference", globals())
valid = step.open_set("Valid_Dataset", made_by="02")
tuning = lu.tune(valid, step.data, step.out, step.parameters)

# %% [markdown]
# ## Images to tune on
# Settings are chosen on images that the network has not seen: the validation fold, by the weights of notebook 05 (those
# of 08 have seen it). `tune_on = "out_of_fold"` takes all training images instead, each by the model of notebook 06
# that was trained without it: many more images, but other and smaller models than the one submitted. A second opinion.

# %%
step.show(lu.displays.candidates(tuning.labelled))

# %% [markdown]
# ## Which passes are worth their time?
# The network can look at an image more than once: mirrored (`flip`), larger (`x1.2`), smaller. Sets of the `passes`
# grow by the one that helps most, and each is scored with its own best setting of what follows; `budget_ms` limits the
# time per image. Look for where the line gets flat.

# %%
step.show(lu.displays.pass_front(tuning))

# %% [markdown]
# ## Which post-processing?
# 210 settings of hard NMS first (10 IoUs x 21 confidences), in the figure: how wide is the bright band? Then variants
# of the best, in the table: a threshold per class, soft-NMS, voting, fusion, the best class of each box only, other
# limits of boxes per image, and `n_random` settings drawn from all of these. A low confidence threshold never costs AP, as further boxes only append
# to the curve; the IoU threshold decides.
#
# Is the best really better? The images are drawn anew many times: an interval that holds 0 is within noise. And does it
# win on images that did not choose it? At most `check_images` of the other labelled ones, each predicted by a model of
# notebook 06 that has not seen it. An interval below 0 would speak against the choice.

# %%
step.show(lu.displays.heat_map(tuning))
step.show(lu.displays.gains(tuning), lu.displays.choice_check(tuning))

# %% [markdown]
# ## Do confidences mean that the outline is right?
# A confidence says that an animal is there; AP75 asks for its outline. How well the candidates around a box agree tells
# more: a small logistic function re-scores each box, and is taken only where it ranks better on photos that it has not
# seen. Look for the line nearer to the dashed one.

# %%
step.show(lu.displays.rescored(tuning))

# %% [markdown]
# ## Best, median and worst
# Settings tuned for AP keep every faint box. To look and count there are others, also in `settings.yaml`: one box per
# animal, from the confidence of each species' best F1 up (`looking_aim`: of the least error of the count). Labelled
# images by F1 at IoU .75, left the labels, right what was found: the worst often lacks labels, is crowded, or cut off.

# %%
step.show(lu.displays.best_median_worst(tuning))

# %% [markdown]
# ## How many animals?
# What a farmer asks. Look for species whose dots lie below the line: animals that are overlooked in full pens.

# %%
step.show(lu.displays.counts(tuning))

# %% [markdown]
# ## The test images, predicted once
# In the chosen passes; every box of confidence .0005 and above is kept, before any suppression. Shown is one box per
# animal: look for animals without a box, and for boxes on none.

# %%
step.show(lu.displays.candidates(tuning.tested), lu.displays.test_examples(tuning))

# %% [markdown]
# ## The submission, and its score, once
# All-points AP at IoU .75, as the contest counts; the interval is over test images. Without answers, nothing is scored.

# %%
step.show(lu.displays.submission(tuning.submit()), lu.displays.test_scores(tuning))

# %%
step.metrics(**tuning.metrics)
step.finish("12_compare_runs")
