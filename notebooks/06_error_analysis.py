# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   livestock:
#     reads:
#       - "{data}/data"
#       - "{out}/tables/images.csv"
#       - "{out}/tables/boxes.csv"
#       - "{out}/datasets/folds.csv"
#       - "{out}/training/multilabel_split/run.json"
#       - "{data}/truth.csv"
#       - "{weights}"
#       - "{init_weights}"
#       - "{hyp}"
#       - "{corrected_labels}"
#     writes:
#       - "{out}/predictions/oof.csv.gz"
#       - "{out}/labels/faults.csv"
#       - "{out}/labels/suggestions.csv"
#       - "{out}/labels/labels_with_suggestions.json"
#       - "{out}/labels/yolo"
#       - "{out}/labels/changes.csv"
#       - "{out}/labels/tables"
# ---

# %% [markdown]
# # 06 Where does it err, and which animals did nobody label?
#
# The write-up's one insight was that cows score lower because cows are unlabelled; it saw that by eye on a few images.
# Here it becomes a measurement. First the errors of the model of notebook 05 on the validation images: which kind
# costs most, and where it happens. Then, with models that have not seen the images they judge, the labels themselves.
#
# - **In:** the weights of notebook 05 (`weights` takes others), `OUT/tables/` (01), `OUT/datasets/folds.csv` (02), the
#   images in `DATA/data/`.
# - **Out:** `OUT/predictions/oof.csv.gz` (out-of-fold predictions of all images), `OUT/labels/` (suggested boxes and
#   suspicious labels as tables, COCO JSON and YOLO for an annotation tool), figures in `OUT/figures/06/`.
# - **Time:** 2 minutes on the drawn sample with two CPU cores. On the real data with a T4 not measured; the planner of
#   notebook 05 puts the training of the two small models at an hour, and predicting 3,291 images at 1280 px and all of
#   them at 640 px at some ten minutes more. A session that ends goes on with the fold and epoch where it stopped.

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
weights = ""  # @param {type:"string"}
image_size = 1280  # @param {type:"integer"}
iou_threshold = 0.75  # @param {type:"number"}
valid_fold = 0  # @param {type:"integer"}
shown = 4  # @param {type:"integer"}
oof_folds = 2  # @param {type:"integer"}
oof_image_size = 640  # @param {type:"integer"}
model = "yolov5s"  # @param {type:"string"}
init_weights = "yolov5s.pt"  # @param {type:"string"}
hyp = "default"  # @param {type:"string"}
epochs = 10  # @param {type:"integer"}
batch_size = 16  # @param {type:"integer"}
nominal_batch = 64  # @param {type:"integer"}
warmup_min_iterations = 100  # @param {type:"integer"}
workers = 2  # @param {type:"integer"}
suggestion_score = 0.5  # @param {type:"number"}
corrected_labels = ""  # @param {type:"string"}
seed = 0  # @param {type:"integer"}

# %%
from livestock_utils.core import tables
from livestock_utils.core.photos import Photos
from livestock_utils.detect.predict import engine, out_of_fold
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.search import best
from livestock_utils.detect.train import preflight
from livestock_utils.evaluate.errors import breakdowns, cases, types
from livestock_utils.evaluate.labels import faults as label_faults
from livestock_utils.evaluate.labels import missing as missing_labels
from livestock_utils.evaluate.labels import ranking, report
from livestock_utils.evaluate.scoring import metrics
from livestock_utils.evaluate.scoring import tables as score_tables
from livestock_utils.show import notebook
from livestock_utils.show.plots import errors as errors_module

step = notebook.start("06_error_analysis", data, out)
hyp = best.resolve_hyp(hyp, step.out)
weights = weights or step.need("training", "multilabel_split", "weights", "best.pt", made_by="05")
archives = step.archives()
all_images, all_boxes = tables.read_tables(step.need("tables", made_by="01_eda"))
folds, _ = tables.read_folds(
    step.need("datasets", "folds.csv", made_by="02_make_dataset_multilabel")
)
images, boxes = tables.of_fold(all_images, all_boxes, folds, valid_fold)
train_images, train_boxes = tables.of_fold(all_images, all_boxes, folds, valid_fold, others=True)
unlabelled = ranking.unlabelled(step.data, all_images)

# %% [markdown]
# ## Ready to start?
# Half of this notebook trains models. Red lines come first; without a GPU only small runs, such as the sample's, end
# within minutes.

# %%
ready = preflight.checks(
    model=model, init_weights=init_weights or None, hyp=hyp, run_folder=step.out
)
step.table(ready)
preflight.require(ready)

# %% [markdown]
# ## Train and valid side by side
# As in the original's Data_Checking: how many boxes an image holds in the two parts. If these differ, so will scores.

# %%
counts = breakdowns.counts_by_part({"train": (train_images, train_boxes), "valid": (images, boxes)})
step.figure(
    errors_module.boxes_by_part(counts), "boxes_by_part", "Boxes in an image, by species and part."
)
step.say(breakdowns.parts_sentence(counts))

# %%
step.table(breakdowns.parts_table(counts), "Images and boxes of the two parts.", digits=1)

# %% [markdown]
# ## The scores by class
# The write-up's table, by the contest's definition of AP.

# %%
predictions = engine.predict(
    weights,
    Photos(images, folder=archives),
    image_size=image_size,
    confidence_threshold=0.001,
    iou_threshold=0.6,
    max_detections=300,
)
breakdowns.check(images, boxes, predictions)
by_class = metrics.per_class_table(boxes, predictions, images)
step.table(by_class, "Validation, by class, the contest's definition.", index=True)
step.say(score_tables.class_sentence(by_class))

# %% [markdown]
# ## Which errors cost most?
# TIDE's question: what would AP gain if one kind of error were mended? Localisation is the right species, but loose;
# background is a box on nothing that has a label; missed is a label that no box accounts for.

# %%
detections, labels = types.classify(boxes, predictions, iou_threshold, images=images)
costs = types.ap_lost(detections, labels)
step.figure(
    errors_module.error_costs(costs),
    "error_costs",
    "AP lost by each type of error, and how many boxes have it.",
)
step.say(breakdowns.costs_sentence(costs))

# %% [markdown]
# ## Where are animals missed?
# From here on only confident boxes count: those above the confidence of the best F1. Each bar is a group of labelled
# animals: found, found loosely (or as the other species), or missed.

# %%
confidence = by_class.attrs["confidence_at_best_f1"]
sure, labels = types.classify(
    boxes, predictions[predictions["confidence"] >= confidence], iou_threshold
)
light = breakdowns.brightness(images, archives)
found = breakdowns.breakdown(
    breakdowns.attributes(labels, images, light=light), breakdowns.label_states(labels)
)
step.figure(
    errors_module.error_groups(found),
    "labels_by_group",
    "Labelled animals by what became of them, in groups.",
)
step.say(breakdowns.breakdown_sentence(found, "found"))

# %% [markdown]
# ## Where are predictions wrong?
# The same for the confident predictions: right, mendable, or false (on background, twice, or wrong in both respects).

# %%
right = breakdowns.breakdown(
    breakdowns.attributes(sure, images, boxes, light), breakdowns.detection_states(sure)
)
step.figure(
    errors_module.error_groups(right),
    "predictions_by_group",
    "Confident predictions by whether they are right.",
)
step.say(breakdowns.breakdown_sentence(right, "right"))

# %% [markdown]
# ## Do the confidences keep their promise?
# A box of confidence 0.8 should be right in 8 of 10 cases: look for bars that do not reach the dashed line.

# %%
reliability = breakdowns.calibration(detections)
step.figure(
    errors_module.calibration(reliability),
    "calibration",
    "Confidence against the share of boxes that are right.",
)
step.say(breakdowns.calibration_sentence(reliability))

# %% [markdown]
# ## The worst cases
# Each case twice: left the labels, right the predictions; the dotted box is the case. First false alarms: is there an
# animal under the dotted box? Then the label is at fault, not the model.

# %%
false_alarms = cases.worst(sure, labels, "false", shown, unlabelled)
step.figure(
    errors_module.error_gallery(
        false_alarms, Photos(images, boxes, archives), predictions, confidence, "no false alarms"
    ),
    "false_alarms",
    "The most confident predictions that overlap no label.",
)
step.say(cases.worst_sentence(false_alarms, "false alarms"))

# %% [markdown]
# Then animals that no confident box accounts for: is the animal cut off, hidden or hard to see even for a person?

# %%
misses = cases.worst(sure, labels, "missed", shown)
step.figure(
    errors_module.error_gallery(
        misses, Photos(images, boxes, archives), predictions, confidence, "no missed animals"
    ),
    "misses",
    "The largest labelled animals that no confident prediction accounts for.",
)
step.say(cases.worst_sentence(misses, "missed animals"))

# %% [markdown]
# And boxes that sit too loosely: which of the two, label or prediction, follows the animal's outline?

# %%
loose = cases.worst(sure, labels, "loose", shown)
step.figure(
    errors_module.error_gallery(
        loose, Photos(images, boxes, archives), predictions, confidence, "no loose boxes"
    ),
    "loose_boxes",
    "The most confident predictions that are placed too loosely.",
)
step.say(cases.worst_sentence(loose, "loose boxes"))

# %% [markdown]
# ## Which animals did nobody label?
# A model repeats the gaps of the labels that it was trained on. So small models are trained, each on a part of the
# images, and each judges the part that it has not seen. The cell goes on where it was stopped.
#
# On the drawn sample they start from weights that were trained on other drawn scenes with complete labels
# (`livestock_utils/detect/train/warm_start.py`): at the start such models have learnt no gaps, which flatters what follows.
# The default here, COCO's weights, knows no barn.

# %%
oof = out_of_fold.predict_out_of_fold(
    Photos(all_images, all_boxes, archives),
    folds,
    step.out,
    TrainSettings.of({**globals(), "image_size": oof_image_size}),
    n_folds=oof_folds,
)
step.table(
    metrics.per_class_table(all_boxes, oof, all_images),
    "Out-of-fold predictions of all images, by class.",
    index=True,
)

# %% [markdown]
# Can the ranking be trusted? It is measured where missing labels are known: the drawn sample knows its unlabelled
# cows; elsewhere a fifth of the labels is hidden for this one figure. Hidden only now: the models were trained with all
# of them, which flatters every curve alike (`benchmarks/bench_missing_labels.py` hides before training). A detector
# leaves several boxes on an animal, and each counts. Look at how far right a curve stays high.

# %%
curves, known, told = report.ranking(step.data, all_images, all_boxes, oof, seed)
step.figure(
    errors_module.missing_curves(curves),
    "missing_curves",
    "Rankings of the boxes that lie on unlabelled animals.",
)
step.say(told)

# %% [markdown]
# Now the suggestions themselves: one box an animal, images with the most expected animals first. A photo holds one
# species, so a suggestion is of its photo's species, whatever the model called it.

# %%
scored = missing_labels.score(all_images, all_boxes, oof, seed=seed)
suggestions = missing_labels.suggest(scored, all_images, suggestion_score)
ranked = missing_labels.rank_images(all_images, all_boxes, suggestions)
missing = report.by_species(all_boxes, suggestions)
step.table(ranked.head(10), "Where to look first.", digits=2)
step.say(report.sentence(missing, len(ranked)))
step.say(report.audit_known(step.data, all_images, all_boxes, suggestions))

# %% [markdown]
# The highest scores: is there an animal under the dotted box, and no label on it?

# %%
step.figure(
    errors_module.error_gallery(
        report.cases(suggestions, shown),
        Photos(all_images, all_boxes, archives),
        oof,
        confidence,
        "no suggestions",
    ),
    "suggestions",
    "The highest scores: left the labels, right the out-of-fold predictions.",
)
step.say(report.cases_sentence(report.cases(suggestions, shown), suggestions, unlabelled))

# %% [markdown]
# ## Labels that look wrong
# Boxes far looser than usual, species swapped, animals labelled twice. In numbers a loose label and a loosely
# predicted box look alike: the photo tells which of the two it is. Look for a dotted box that misses the outline.

# %%
faults = label_faults.find(all_images, all_boxes, oof)
step.figure(
    errors_module.error_gallery(
        report.fault_cases(faults, shown),
        Photos(all_images, all_boxes, archives),
        oof,
        confidence,
        "no suspicious labels",
    ),
    "label_faults",
    "The most suspicious labels: left the labels, right the out-of-fold predictions.",
)
complete = None if unlabelled is None else tables.complete_boxes(step.data, all_images, all_boxes)
step.say(report.faults_sentence(faults, complete))

# %% [markdown]
# ## To the annotation tool and back
# `OUT/labels/` holds the images with suggestions as COCO JSON and as YOLO files, which CVAT and Label Studio import;
# suggested boxes are flagged. Give the export of the corrected labels as `corrected_labels` (a COCO file or a YOLO
# folder), and this cell says what changed, box by box in `OUT/labels/changes.csv`, and writes the tables anew, into
# `OUT/labels/tables/`. To train and score with them, give that folder to notebook 01 as `labels`; everything after it
# takes its tables from there.

# %%
report.write(step.path("labels", ""), all_images, all_boxes, suggestions, faults)
corrected, changes = report.corrections(corrected_labels, all_images, all_boxes)
report.write_changes(step.path("labels", "changes.csv"), changes)
tables.write_tables(step.path("labels", "tables"), all_images, corrected)
if corrected_labels:
    step.table(
        report.changes_table(changes),
        "Boxes by what the corrections did; renamed: another species.",
    )
step.say(report.changes_sentence(changes))

# %% [markdown]
# ## In short

# %%
step.metrics(
    **score_tables.score_metrics(by_class),
    suggestions=len(suggestions),
    suspicious_labels=len(faults),
    missing_label_ap=report.average_precisions(curves),
    calibration_error=reliability.attrs["error"],
    ap_lost=costs.set_index("error")["ap_lost"],
    per_class=by_class.reset_index(),
    missing_by_species=missing,
)
step.finish("07_hyperparameter_search")
