# ---
# jupyter:
#   livestock:
#     reads: ["{data}/data", "{labels}"]
#     writes: ["{out}/tables/*.csv"]
# ---

# %% [markdown]
# # 01 What is in the archives?
#
# Before any training: which animals, how many to a photo, how large, where in the frame, and how far can the labels
# be trusted? The answers decide how the data is split (02), which pixels to train at (05) and where errors will come
# from (06).
#
# - **In:** `DATA/data/`, the four training archives of AI Hub's "livestock behaviour video" (images 원천, labels 라벨;
#   pig 돼지, cow 소), read as they are.
#   Or your own photos in `DATA/`, labelled as YOLO, COCO, Pascal VOC, CVAT or Label Studio write it: `layout` is found by
#   looking, `classes` maps names (`pig=hog,piglet; none=sheep`); [docs/layouts.md](../docs/layouts.md) tells what each needs.
#   `boxes_as` takes in an archive that is left out as of another convention, in the words of its line (`ZIP=xywh`);
#   `annotators` says which labels count where several people labelled one photo.
#   `labels` takes corrected labels in their place: the folder `OUT/labels/tables` that notebook 06 writes.
# - **Out:** `OUT/tables/images.csv` and `boxes.csv`, which the next notebooks start from; figures in `OUT/figures/01/`;
#   counts in `metrics.json`.
# - **Time:** 15 s on the drawn sample; for AI Hub's 16,455 images some minutes (no GPU needed).

# %% [markdown]
# ## The original on half a page
# In the 2nd AI SPARK challenge (2022) one had to find pigs and cows in barn photos with weights of at most 100 MB; mAP at
# IoU 0.75 on 2,058 test photos decided. [The write-up](https://github.com/jjonhwa/AI_SPARK_CHALLENG_Object_Detection)
# splits 16,455 photos by species and crowding, trains YOLOv5m6 at 1280 px (50 minutes per epoch on a P100), searches
# hyperparameters on half of the data, trains on all of it, and adds labels that the model itself made for cows without
# one. It ends at mAP75 0.98116, and at 0.97965 with those labels. It left open why they lost, whether SGD or AdamW is
# better, and what a smaller network would cost; these notebooks answer that, and mend what was wrong
# ([the list](../docs/differences.md)).
#
# **Words.** *mAP75*: average precision, the mean over species; a box counts if it overlaps its animal by 0.75 (IoU).
# *Gold* labels are made by people, *silver* ones by a model. *Stratum*: photos of one species and crowding, split
# evenly. *Out of fold*: predicted by a model that was trained without these photos. *Nominal batch*: gradients are
# added up until so many photos are seen, then the weights move. *Normaliser*: what divides pixels before scoring; the
# contest takes one frame per species, whatever the size of the photo. *Look-alikes*: near-duplicates.

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
labels = ""  # @param {type:"string"}
layout = ""  # @param ["", "aihub", "yolo", "coco", "voc", "cvat", "label_studio"]
classes = ""  # @param {type:"string"}
boxes_as = ""  # @param {type:"string"}
annotators = "newest"  # @param ["newest", "union", "refuse"]
examples = 6  # @param {type:"integer"}
seed = 0  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("01_eda", globals())

# %% [markdown]
# ## The archives
# Archives are told by their names, and the class of a box comes from its archive: the labels' own categories say
# nothing about pig or cow. In other layouts a class is known by the names that `species.yaml` lists for it.

# %%
step.show(lu.displays.archives(step.source(), layout))
photos = lu.read_photos(step.source(), layout, classes, boxes_as, annotators).corrected(labels)
step.write_tables(photos)

# %% [markdown]
# ## First look
# Are the boxes tight, and does every animal in plain sight have one?

# %%
step.show(lu.displays.examples(photos, examples, seed))

# %% [markdown]
# ## Species
# The species with more photos need not be the one with more boxes: compare the two halves.

# %%
step.show(lu.displays.species(photos))

# %% [markdown]
# ## Frame sizes
# More than one size within a species matters twice: for the training size, and because the contest divides the boxes
# of a species by one fixed frame.

# %%
step.show(lu.displays.image_sizes(photos))

# %% [markdown]
# ## Boxes in an image
# Look at where each species has its mass, and at the three bins (little, medium, many) that the split will hold in
# balance.

# %%
step.show(lu.displays.boxes_per_image(photos), lu.displays.count_bins(photos))

# %% [markdown]
# ## Shape of the boxes
# Lying boxes are animals seen from the side, standing ones from the front or behind.

# %%
step.show(lu.displays.box_ratios(photos))

# %% [markdown]
# ## Size of the boxes
# First the write-up's bins, with what a minimum area would cost, then the whole distribution on a log scale: look at
# how far the two species lie apart, and at how little lies left of "medium".

# %%
step.show(lu.displays.box_areas(photos), lu.displays.small_boxes(photos))
step.show(lu.displays.box_sizes(photos))

# %% [markdown]
# ## Where the animals are
# Dark edges are walls, fences and floor that no animal is labelled on: a detector learns such habits of the camera
# as readily as the animals.

# %%
step.show(lu.displays.box_positions(photos))

# %% [markdown]
# ## Are all animals labelled?
# Three hints that need no model. Images without a box; images with a single one; and images with far fewer boxes
# than the photos around them, which are often the same pen a moment earlier or later.
#
# In the next figure each cell counts images. Below the black line an image has at most half of its neighbours'
# boxes: dark cells there are photos worth opening.
#
# The photos to open first: count the animals in them, then the boxes.

# %%
step.show(lu.displays.empty_images(photos))
step.show(lu.displays.completeness(photos))
step.show(lu.displays.suspects(photos, data=step.data))

# %% [markdown]
# ## Beside the write-up
# With AI Hub's own archives the counts should be those of the original's write-up.

# %%
step.show(lu.displays.beside_write_up(photos))

# %% [markdown]
# ## In short

# %%
step.metrics(
    headline={"labelled photos": len(photos), "boxes": len(photos.boxes)},
    images=len(photos),
    boxes=len(photos.boxes),
)
step.finish("02_make_dataset_multilabel")
