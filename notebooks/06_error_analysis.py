# ---
# jupyter:
#   livestock:
#     reads: ["{data}/data", "{out}/tables/images.csv", "{out}/tables/boxes.csv", "{out}/datasets/folds.csv",
#       "{out}/training/multilabel_split/run.json", "{data}/truth.csv", "{weights}", "{init_weights}", "{hyp}",
#       "{corrected_labels}", "{out}/labels/corrected.json"]
#     writes: ["{out}/predictions/oof.csv.gz", "{out}/labels/faults.csv", "{out}/labels/suggestions.csv",
#       "{out}/labels/labels_with_suggestions.json", "{out}/labels/yolo", "{out}/labels/changes.csv",
#       "{out}/labels/tables"]
# ---

# %% [markdown]
# # 06 Where does it err, and which animals did nobody label?
#
# The write-up saw by eye, on a few images, that cows score lower because cows are unlabelled. Here that is measured.
# First the errors of the model of notebook 05 on the validation images: which kind costs most, and where does it
# happen? Then the labels themselves, judged by models that have not seen the images.
#
# - **In:** the weights of notebook 05 (`weights` takes others), `OUT/tables/` (01), `OUT/datasets/folds.csv` (02), the
#   images in `DATA/data/`.
# - **Out:** `OUT/predictions/oof.csv.gz` (out-of-fold predictions of all images), `OUT/labels/` (suggested boxes and
#   suspicious labels as tables, COCO JSON and YOLO for an annotation tool), figures in `OUT/figures/06/`.
# - **Time:** 1.5 minutes on the drawn sample with two CPU cores; on AI Hub's images with a T4 about 70 minutes
#   (estimated). A session that ends goes on with the fold and epoch where it stopped.

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
predictions = ""  # @param {type:"string"}
image_size = 1280  # @param {type:"integer"}
iou_threshold = 0.75  # @param {type:"number"}
valid_fold = 0  # @param {type:"integer"}
shown = 4  # @param {type:"integer"}
oof_folds = 2  # @param {type:"integer"}
oof_image_size = 640  # @param {type:"integer"}
model = "yolov5s"  # @param {type:"string"}
init_weights = "yolov5s.pt"  # @param {type:"string"}
recipe = "auto"  # @param ["auto", "write_up", "yolov5"]
hyp = ""  # @param {type:"string"}
epochs = 10  # @param {type:"integer"}
batch_size = 16  # @param {type:"integer"}
nominal_batch = 0  # @param {type:"integer"}
warmup_min_iterations = None  # @param {type:"raw"}
workers = 2  # @param {type:"integer"}
suggestion_score = 0.5  # @param {type:"number"}
corrected_labels = ""  # @param {type:"string"}
seed = 0  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("06_error_analysis", globals())
settings = step.settings(lu.TrainSettings, image_size=oof_image_size)
weights = weights or step.need("training", "multilabel_split", "weights", "best.pt", made_by="05")
photos, (folds, groups) = step.photos(), step.folds()
train, valid = photos.fold(folds, valid_fold, others=True), photos.fold(folds, valid_fold)

# %% [markdown]
# ## Ready to start?
# The second half trains models; without a GPU only small runs, such as the sample's, end within minutes.

# %%
step.show(lu.displays.preflight(None, None, settings, step.out))

# %% [markdown]
# ## Train and valid side by side
# As in the original's Data_Checking: if the two parts differ in boxes per image, so will scores.

# %%
step.show(lu.displays.boxes_by_part({"train": train, "valid": valid}))

# %% [markdown]
# ## The scores by class
# The write-up's table, by the contest's definition of AP.

# %%
if predictions:  # another detector's file, see `lu.read_predictions`
    predictions = lu.read_predictions(predictions, valid)
else:
    predictions = lu.predict(weights, valid, image_size=image_size)
step.show(lu.displays.score_table(valid, predictions))

# %% [markdown]
# ## Which errors cost most?
# What would AP gain if one kind of error were mended (TIDE)? Localisation is the right species, but loose; background a
# box on nothing that has a label; missed a label that no box accounts for, however faint. Numbers in brackets: confident
# boxes alone, so there a label can be missed that a faint box finds, which costs little AP.

# %%
errors = lu.error_types(valid, predictions, iou_threshold)
step.show(lu.displays.error_costs(errors))

# %% [markdown]
# ## Where are animals missed, and predictions wrong?
# From here on only boxes above the confidence of the best F1 count. First the groups of labelled animals that are
# missed most; then the groups of predictions that are most often loose, of the other species, or false. An interval
# that does not overlap the others of its kind is a finding; the folded tables have all groups.

# %%
step.show(lu.displays.labels_by_group(errors), lu.displays.predictions_by_group(errors))

# %% [markdown]
# ## Do the confidences keep their promise?
# A box of confidence 0.8 should be right in 8 of 10 cases: look for bars that do not reach the line across them.

# %%
step.show(lu.displays.calibration(errors))

# %% [markdown]
# ## How many animals?
# One box per animal, from the confidences that count these images best: the least error that a threshold can give.

# %%
step.show(lu.displays.counts(valid, predictions, groups))

# %% [markdown]
# ## The worst cases
# Left the labels, right the predictions; the dotted box is the case. False alarms first: is there an animal under the
# dotted box? Then the label is at fault. Then missed animals: could a person see them? Last, loose boxes: which
# follows the animal's outline, label or prediction?

# %%
step.show(lu.displays.worst_cases(errors, "false", shown, step.data))
step.show(lu.displays.worst_cases(errors, "missed", shown))
step.show(lu.displays.worst_cases(errors, "loose", shown))

# %% [markdown]
# ## Which animals did nobody label?
# A model repeats the gaps of the labels that it was trained on. So small models are trained, each on a part of the
# images, and each judges the part that it has not seen. The cell goes on where it was stopped.
#
# On the drawn sample they start from weights that saw other drawn scenes with complete labels, so it looks too good
# here. The default, COCO's weights, knows no barn.

# %%
oof = lu.predict_out_of_fold(photos, folds, step.out, settings, n_folds=oof_folds)
step.table(lu.score(photos, oof), "Out-of-fold predictions of all images, by class.", index=True)

# %% [markdown]
# Can the ranking be trusted? It is measured where missing labels are known. The drawn sample knows its unlabelled
# cows. Elsewhere a fifth of the labels is hidden for this one figure: after the training, so every curve looks better
# than it is ([measured](../docs/missing_labels.md)). A detector leaves several boxes on an animal, and each counts.
# Look at how far right a curve stays high.

# %%
missing = lu.missing_labels(photos, oof, suggestion_score, step.data, seed)
step.show(lu.displays.missing_curves(missing))

# %% [markdown]
# Now the suggestions: one box per animal, images with the most expected animals first. A photo holds one species, so a
# suggestion is of its photo's species. Is there an animal under the dotted box, and no label on it?

# %%
step.show(lu.displays.images_to_check(missing))
step.show(lu.displays.suggestions(missing, shown, errors.confidence))

# %% [markdown]
# ## Labels that look wrong
# Far looser than usual, of the other species, or on an animal twice. The numbers cannot tell a loose label from a loose
# prediction; the photo can: look for a dotted box that misses the outline.

# %%
step.show(lu.displays.label_faults(missing, shown, errors.confidence))

# %% [markdown]
# ## Go through them here
# Photo by photo: A accepts the dotted box, R rejects it, N and P go on and back; drag the box or its corners where
# it sits badly. Each decision goes to `OUT/labels/corrected.json` at once, so stop when you like: the cell goes on
# there. Needs `python -m livestock_utils.install --extras review`; without it, and in headless runs, a gallery.

# %%
review = step.review(missing)

# %% [markdown]
# ## To the annotation tool and back
# When you have stopped reviewing, run this cell again. Or use an annotation tool (CVAT, Label Studio): `OUT/labels/`
# holds the images with suggestions as COCO JSON and YOLO files; give its export as `corrected_labels` (a COCO file or
# a YOLO folder). This cell writes each change to `OUT/labels/changes.csv`, and new tables to `OUT/labels/tables/`. To
# train and score with them, give that folder to notebook 01 as `labels`, and run the others again.

# %%
changes = missing.write(step.path("labels", ""), corrected_labels or review.corrected)
step.show(lu.displays.corrections(changes))

# %%
step.finish("07_hyperparameter_search")
