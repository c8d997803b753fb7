# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
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
#   `labels` takes corrected labels in their place: the folder `OUT/labels/tables` that notebook 06 writes.
# - **Out:** `OUT/tables/images.csv` and `boxes.csv`, which the next notebooks start from; figures in `OUT/figures/01/`;
#   counts in `metrics.json`.
# - **Time:** 15 s on the drawn sample; for AI Hub's 16,455 images some minutes (no GPU needed).

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
labels = ""  # @param {type:"string"}
examples = 6  # @param {type:"integer"}
seed = 0  # @param {type:"integer"}

# %%
from livestock_utils.core.photos import Photos
from livestock_utils.core import tables
from livestock_utils.data.aihub import folder, integrity
from livestock_utils.data.eda import counts as count_tables
from livestock_utils.evaluate.labels import exchange
from livestock_utils.show import notebook
from livestock_utils.show.plots import eda as eda_module
from livestock_utils.show.plots import gallery
from livestock_utils.show.words import eda

step = notebook.start("01_eda", data, out)

# %% [markdown]
# ## The archives
# Archives are told by their names, and the class of a box comes from its archive: the labels' own categories say
# nothing about pig or cow.

# %%
archives = step.archives()
step.table(integrity.list_archives(archives), "What was found.")

# %%
photos = folder.read_archives(archives)
images, boxes = photos.images, photos.boxes
boxes = exchange.corrected_tables(labels, images, boxes)
tables.write_tables(step.path("tables"), images, boxes)

# %% [markdown]
# ## First look
# Are the boxes tight, and does every animal in plain sight have one?

# %%
step.figure(
    gallery.examples(Photos(images, boxes, archives), n=examples, seed=seed),
    "examples",
    "Photos drawn at random with their labelled boxes in the colours of the species.",
)
step.say(eda.covered(images, boxes))

# %% [markdown]
# ## Species
# The species with more photos need not be the one with more boxes: compare the two halves.

# %%
counts = count_tables.species_counts(images, boxes)
step.figure(eda_module.species_overview(counts), "species", "Images and boxes of each species.")
step.say(eda.species_counts(counts))

# %% [markdown]
# ## Frame sizes
# More than one size within a species matters twice: for the training size, and because the contest divides the boxes
# of a species by one fixed frame.

# %%
sizes = count_tables.size_counts(images)
step.figure(
    eda_module.image_sizes(sizes),
    "image_sizes",
    "Images of each frame size; pale bars gather the rare sizes.",
)
step.say(eda.sizes(sizes))

# %% [markdown]
# ## Boxes in an image
# Look at where each species has its mass, and at the three bins (little, medium, many) that the split will hold in
# balance.

# %%
count_bins = count_tables.count_bin_table(images, boxes)
step.figure(
    eda_module.boxes_per_image(count_tables.count_histogram(images, boxes)),
    "boxes_per_image",
    "Images by their number of boxes; dashed lines part the bins, the number is that of the bin's images.",
)
step.say(eda.count_bins(count_bins, counts))

# %%
step.table(
    count_bins,
    "The write-up's bins under their true names (its columns “medium” and “many” were swapped).",
)

# %% [markdown]
# ## Shape of the boxes
# Lying boxes are animals seen from the side, standing ones from the front or behind.

# %%
ratios = count_tables.ratio_table(boxes)
step.figure(
    eda_module.box_ratios(ratios),
    "box_ratios",
    "Boxes by their ratio of width to height; the number is that of the boxes.",
)
step.say(eda.largest_bins(ratios))

# %% [markdown]
# ## Size of the boxes
# First the write-up's bins, then the whole distribution on a log scale: look at how far the two species lie apart,
# and at how little lies left of "medium".

# %%
areas = count_tables.area_table(boxes)
step.figure(
    eda_module.box_areas(areas),
    "box_areas",
    "Boxes by their area; the number is that of the boxes.",
)
step.say(eda.largest_bins(areas))

# %% [markdown]
# The same without bins: how far do the two humps lie apart, and how far does each reach to the left?

# %%
step.figure(
    eda_module.box_sizes(boxes),
    "box_sizes",
    "Distribution of box area, log scale; dashed lines part the bins, thick marks are the medians.",
)
step.say(eda.box_sizes(boxes))

# %% [markdown]
# ## Small boxes in detail
# Would a minimum area cost anything? Read from the left: each bar is what the next higher limit would lose.

# %%
small, below = count_tables.small_box_table(boxes), count_tables.below_area(boxes)
step.figure(
    eda_module.small_boxes(small),
    "small_boxes",
    "Boxes of 1,000 to 10,000 px², as a share of all boxes of the species.",
)
step.say(eda.small_boxes(below))

# %% [markdown]
# ## Where the animals are
# Dark edges are walls, fences and floor that no animal is labelled on: a detector learns such habits of the camera
# as readily as the animals.

# %%
step.figure(
    eda_module.box_positions(images, boxes),
    "box_positions",
    "How many boxes cover each point of the frame on average, as a share of the panel's largest.",
)
step.say(eda.positions(images, boxes))

# %% [markdown]
# ## Are all animals labelled?
# Three hints that need no model. Images without a box; images with a single one; and images with far fewer boxes
# than the photos around them, which are often the same pen a moment earlier or later.

# %%
empty = count_tables.empty_images(images, boxes)
step.figure(
    gallery.examples(Photos(images, boxes, archives), image_ids=empty["image_id"].head(3)),
    "empty_images",
    "Images without a box: empty pens, or animals that nobody labelled?",
)
step.say(eda.empty_images(empty))

# %% [markdown]
# In the next figure each cell counts images. Below the black line an image has at most half of its neighbours'
# boxes: dark cells there are photos worth opening.

# %%
hints, completeness = (
    count_tables.completeness_hints(images, boxes),
    count_tables.completeness_table(images, boxes),
)
step.figure(
    eda_module.completeness(hints),
    "completeness",
    "Boxes in an image against the median of its neighbours by name; the darker, the more images (log scale).",
)
step.say(eda.completeness(completeness))

# %% [markdown]
# The photos to open first: count the animals in them, then the boxes.

# %%
suspects = count_tables.most_suspect(hints[hints["boxes"] > 0], 3)
step.figure(
    gallery.examples(Photos(images, boxes, archives), image_ids=suspects),
    "suspects",
    "Of the images with boxes, those that fall furthest below their neighbours.",
)
step.say(eda.suspects(hints, suspects))

# %% [markdown]
# ## Beside the write-up
# With AI Hub's own archives the counts should be those of the original's write-up.

# %%
if count_tables.is_aihub_size(images):
    beside = count_tables.beside_write_up(images, boxes)
    step.table(beside, "Counts here and in the write-up.")
    step.say(eda.write_up(beside))
else:
    step.say(
        "These are not AI Hub's archives, which hold 4,303 pig and 12,152 cow images: nothing to compare."
    )

# %% [markdown]
# ## In short

# %%
step.table(counts, "Images and boxes by species.")
step.metrics(
    headline={"labelled photos": len(images), "boxes": len(boxes)},
    images=len(images),
    boxes=len(boxes),
    images_without_box=len(empty),
    boxes_of_1000_to_4000_px2=int(below["boxes"].sum()),
    suspect_images=int(hints["suspect"].sum()),
    by_species=counts,
    count_bins=count_bins,
    ratios=ratios,
    areas=areas,
    small_boxes=small,
    sizes=sizes,
)
step.finish("02_make_dataset_multilabel")
