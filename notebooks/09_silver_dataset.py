# ---
# jupyter:
#   livestock:
#     reads: ["{data}/data", "{out}/tables/images.csv", "{out}/tables/boxes.csv", "{out}/datasets/folds.csv",
#       "{out}/training/multilabel_split/run.json", "{out}/training/full/run.json", "{predictions}", "{weights}",
#       "{hyp}", "{data}/truth.csv", "{out}/.state/metrics/06_error_analysis.json"]
#     writes: ["{out}/datasets/plus_image.tar", "{out}/datasets/plus_label.tar"]
# ---

# %% [markdown]
# # 09 Silver labels for the animals that nobody labelled
#
# The write-up let its model label the cows that nobody had labelled, and its test score fell (mAP75 .98116 to .97965).
# Can predicted boxes fill the gaps, and how many of them are true?
#
# There are three ways (`mode`) to use them; each is judged here before anything is trained:
#
# - `duplicate`, the original's: a second copy of each image, `plus_<id>`, with the predicted boxes alone (NMS IoU 0.7,
#   confidence 0.05, images with at least 4 boxes);
# - `replace`: the same copy, and the image itself leaves the training set;
# - `merge`: people's boxes (gold) stay, confident predictions that overlap none of them are added (silver). Less sure
#   ones become regions to ignore: no objectness is learnt there (`negatives="masked"`), neither "animal" nor "floor".
#
# `predictions` are **out of fold** by default: teachers are trained on parts of the training set, and each labels the
# part that it has not seen. `"in_sample"` is the original's way: a model on its own training images; `"ensemble"` joins
# the teachers; a path takes a table of predictions, such as 06's. The validation fold takes no part, so that notebook
# 10 can judge on it (the models of 06 and 08 have seen it: then 10 says so). On the drawn sample all start from weights
# trained on drawn scenes with complete labels, which makes teachers better than on real photos.
#
# - **In:** `OUT/tables/` (01), `OUT/datasets/folds.csv` (02), the images in `DATA/data/`, and to compare
#   with the weights of 08, or of 05 where there are none (`weights` names others).
# - **Out:** `OUT/datasets/plus_image.tar` and `plus_label.tar` with the provenance of every box; figures in
#   `OUT/figures/09/`.
# - **Time:** 1 minute on the drawn sample with two CPU cores; otherwise that of training `teachers` small models.

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
mode = "merge"  # @param ["merge", "duplicate", "replace"]
predictions = "out_of_fold"  # @param {type:"string"}
weights = ""  # @param {type:"string"}
species = "cow"  # @param {type:"string"}
iou_threshold = 0.7  # @param {type:"number"}
confidence_threshold = 0.05  # @param {type:"number"}
min_boxes = 4  # @param {type:"integer"}
merge_confidence = 0.4  # @param {type:"number"}
merge_ignore_confidence = 0.15  # @param {type:"number"}
merge_min_boxes = 1  # @param {type:"integer"}
same_animal_overlap = 0.6  # @param {type:"number"}
max_ignored_share = 0.1  # @param {type:"number"}
valid_fold = 0  # @param {type:"integer"}
teachers = 2  # @param {type:"integer"}
silver_rounds = 1  # @param {type:"integer"}
init_weights = "yolov5s.pt"  # @param {type:"string"}
model = "yolov5s"  # @param {type:"string"}
recipe = "auto"  # @param ["auto", "write_up", "yolov5"]
negatives = "auto"  # @param ["auto", "plain", "doubted"]
hyp = ""  # @param {type:"string"}
epochs = 10  # @param {type:"integer"}
image_size = 640  # @param {type:"integer"}
batch_size = 16  # @param {type:"integer"}
optimizer = ""  # @param ["", "SGD", "Adam", "AdamW"]
schedule = ""  # @param ["", "linear", "cosine", "linear-v6.0", "cosine-v6.0"]
nominal_batch = 0  # @param {type:"integer"}
warmup_min_iterations = None  # @param {type:"raw"}
workers = 2  # @param {type:"integer"}
seed = 0  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("09_silver_dataset", globals())
folds, _ = step.folds()
train = step.photos().fold(folds, valid_fold, others=True)

# %% [markdown]
# ## The teachers
# An interrupted run goes on with the same cell. Two numbers judge each source: on the labels as given, and on completed
# ones. With `silver_rounds = 2` teachers are trained again on labels that the first ones completed, in twice the time;
# the second round is used only where it meets people's labels better. On real photos that gained recall, not AP75.

# %%
asked = step.settings(lu.TrainSettings)
options = {"weights": weights, "n_folds": teachers, "rounds": silver_rounds}
options |= {"iou_threshold": iou_threshold}
sources = lu.predict_for_silver(train, folds, step.out, asked, predictions, **options)
step.show(lu.displays.silver_sources(sources, train, step.data, seed))

# %% [markdown]
# ## From which confidence on?
# Each predicted box that no label overlaps is either an animal that nobody labelled, or a mistake. Left of the point
# where the solid line falls, silver labels teach mistakes; right of it they miss animals.
#
# Without a truth the labels tell whether the teachers are good enough: where less than half of what they predict there
# lies on a label, silver teaches mistakes.

# %%
settings = lu.SilverSettings.of_modes(step.parameters)
step.show(lu.displays.silver_thresholds(sources, train, settings, step.data))
step.show(lu.displays.teacher_trust(sources.predictions, train, settings["merge"]))

# %% [markdown]
# ## The three modes
# The same predictions, used in three ways. In the second figure missing labels are a heap on the left that should move
# to the right; double boxes are a tail that appears there.

# %%
made = {name: lu.make_silver(train, sources.predictions, each) for name, each in settings.items()}
step.show(lu.displays.silver_audit(made, train, step.data, mode))
step.show(lu.displays.silver_counts(made, train))

# %% [markdown]
# ## The set that is written
# Look at the dashed boxes: are they on animals, and do they sit tight? Hatched patches are regions to ignore.

# %%
step.show(lu.displays.silver_examples(made[mode], train))
step.write_silver(made[mode], train, folds, sources.saw_validation)
step.show(lu.displays.silver_provenance(made[mode]))

# %%
step.finish("10_train_expanded")
