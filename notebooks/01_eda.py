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
# be trusted? The answers decide the split (02), the pixels to train at (05) and where errors will come from (06).
#
# - **In:** `DATA/data/`, the four training archives of AI Hub's "livestock behaviour video" (images 원천, labels 라벨;
#   pig 돼지, cow 소). Or your own photos in `DATA/`, labelled as YOLO, COCO, Pascal VOC, CVAT or Label Studio write it
#   ([layouts](../docs/layouts.md)). `layout` is found by looking. `classes` maps names (`pig=hog,piglet; none=sheep`).
#   `boxes_as` takes in an archive of another box convention, as its line says (`ZIP=xywh`). `annotators` says whose
#   labels count where several people labelled a photo. `labels` takes corrected ones: 06's folder `OUT/labels/tables`.
# - **Out:** `OUT/tables/images.csv` and `boxes.csv`, which the next notebooks start from; figures in `OUT/figures/01/`.
# - **Time:** 15 s on the drawn sample; for AI Hub's 16,455 images some minutes (no GPU needed).

# %% [markdown]
# ## The original on half a page
# In the 2nd AI SPARK challenge (2022) one had to find pigs and cows in barn photos with weights of at most 100 MB.
# Entries were ranked by mAP at IoU 0.75 on 2,058 test photos.
# [The write-up](https://github.com/jjonhwa/AI_SPARK_CHALLENG_Object_Detection) splits 16,455 photos by species and
# crowding, trains YOLOv5m6 at 1280 px (50 minutes per epoch on a P100), searches hyperparameters on half of the data,
# and trains on all of it. It ends at mAP75 0.98116, and at 0.97965 with labels that the model made for unlabelled cows.
# It left open why those lost, whether SGD or AdamW is better, and what a smaller network would cost. These notebooks
# answer that, and mend what was wrong ([the list](../docs/differences.md)). All words are in
# [the glossary](../docs/words.md); the first that you need:
#
# *mAP75*: average precision, the mean over species; a box counts if it overlaps its animal by 0.75 (IoU). *Stratum*:
# photos of one species and crowding. *Look-alikes*: near-duplicates. *Out of fold*: predicted by a model that was
# trained without these photos. *Gold* labels are made by people, *silver* ones by a model.

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
# The class of a box comes from the name of its archive (in other layouts: from the names that `species.yaml` lists).

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
# The species with more photos need not be the one with more boxes.

# %%
step.show(lu.displays.species(photos))

# %% [markdown]
# ## Frame sizes
# They decide the training size; and the contest divides all boxes of a species by one fixed frame.

# %%
step.show(lu.displays.image_sizes(photos))

# %% [markdown]
# ## Boxes in an image
# The split will hold three bins in balance: little, medium, many.

# %%
step.show(lu.displays.boxes_per_image(photos), lu.displays.count_bins(photos))

# %% [markdown]
# ## Shape of the boxes
# Lying boxes are animals seen from the side, standing ones from the front or behind.

# %%
step.show(lu.displays.box_ratios(photos))

# %% [markdown]
# ## Size of the boxes
# First the write-up's bins, with what a minimum area would cost. Then all areas on a log scale: look at how far the
# two species lie apart.

# %%
step.show(lu.displays.box_areas(photos), lu.displays.small_boxes(photos))
step.show(lu.displays.box_sizes(photos))

# %% [markdown]
# ## Where the animals are
# Pale edges are walls, fences and floor without labels: a detector learns such habits of the camera as well.

# %%
step.show(lu.displays.box_positions(photos))

# %% [markdown]
# ## Are all animals labelled?
# Three hints that need no model: images without a box, with a single one, and with far fewer boxes than the photos
# around them, often the same pen a moment earlier. Each cell of the figure counts images; those below the black line
# have at most half of their neighbours' boxes. They are shown last: count the animals, then the boxes.

# %%
step.show(lu.displays.empty_images(photos))
step.show(lu.displays.completeness(photos))
step.show(lu.displays.suspects(photos, data=step.data))

# %% [markdown]
# ## Beside the write-up
# With AI Hub's own archives the counts should be those of the original's write-up.

# %%
step.show(lu.displays.beside_write_up(photos))

# %%
headline = {"labelled photos": len(photos), "boxes": len(photos.boxes)}
step.metrics(headline=headline, images=len(photos), boxes=len(photos.boxes))
step.finish("02_make_dataset_multilabel")
