# ---
# jupyter:
#   livestock:
#     reads: ["{out}/datasets/Train_Dataset.tar", "{out}/datasets/Valid_Dataset.tar", "{out}/predictions/settings.yaml",
#       "{out}/training/full/weights/best.pt", "{out}/training/multilabel_split/weights/best.pt", "{weights}"]
#     writes: ["{out}/edge/cost.csv"]
# ---

# %% [markdown]
# # 13 Edge: what the model costs where it will run
#
# The contest was about edge devices and allowed 100 MB of weights. The write-up kept the file small enough and stopped
# there. Which export is as good as the weights, how fast is it, and what would one copy to a Jetson?
#
# - **In:** weights of notebook 08 (else 05, or `weights`), the sets of notebook 02, the thresholds of notebook 11.
# - **Out:** the exports in `OUT/edge/`, `OUT/edge/cost.csv`, a bundle `OUT/dist/edge_<name>.zip` to copy to a device,
#   figures in `OUT/figures/13/`.
# - **Time:** 2 minutes on the drawn sample with two CPU cores, one of them for `lighter`; exports and trainings
#   that were made already are kept. Latencies here are of the processor in any case.
# - **Needs:** `python -m livestock_utils.install --extras edge` (onnx, onnxruntime); OpenVINO with `openvino`, NCNN
#   with `ncnn` (name them in `exports`), lighter networks with `lighter`.

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
name = "livestock"  # @param {type:"string"}
pixel_sizes = "1280,960,640"  # @param {type:"string"}
exports = "onnx,onnx-static,onnx-nms,onnx-fp16,onnx-int8,onnx-int8-trt,torchscript"  # @param {type:"string"}
max_latency_ms = 100.0  # @param {type:"number"}
max_size_mb = 100.0  # @param {type:"number"}
n_calibration = 64  # @param {type:"integer"}
n_images = 200  # @param {type:"integer"}
rounds = 30  # @param {type:"integer"}
threads = 0  # @param {type:"integer"}
confidence_shown = 0.25  # @param {type:"number"}
lighter = False  # @param {type:"boolean"}
lighter_epochs = 10  # @param {type:"integer"}
prune_share = 0.3  # @param {type:"number"}
tucker_share = 0.5  # @param {type:"number"}
teacher = ""  # @param {type:"string"}
model = "yolov5m6"  # @param {type:"string"}
recipe = "auto"  # @param ["auto", "write_up", "yolov5"]
hyp = ""  # @param {type:"string"}
batch_size = 10  # @param {type:"integer"}
nominal_batch = 0  # @param {type:"integer"}
warmup_min_iterations = None  # @param {type:"raw"}
workers = 2  # @param {type:"integer"}
seed = 0  # @param {type:"integer"}

# %%
import livestock_utils as lu

step = lu.start("13_edge_export", globals())

# %% [markdown]
# ## Weights and exports
# Weights over the budget stop here, with the name of a model that fits. Every format at the largest size, and at the
# smaller ones those for ONNX Runtime of which one file serves all. INT8 learns its ranges from training images, never
# from those that score it. What cannot be made stays in the table with the reason.

# %%
train = step.open_set("Train_Dataset", made_by="02")
valid = step.open_set("Valid_Dataset", made_by="02")
exports = lu.export(
    train, valid, step.out, step.settings(lu.ExportSettings), step.settings(lu.TrainSettings)
)
step.say(exports.about)
step.show(lu.displays.exported_files(exports))

# %% [markdown]
# ## As good as the weights?
# The same images, scorer and thresholds (of onnx-nms: those inside it). A fall of more than .005 AP75 is red: not
# recommended. Files of one shape see wider borders than the weights: `border difference` is what that alone costs the
# weights, `border equal share` how alike file and weights are on the same borders. Detections are equal if every side
# agrees to 1 px and the confidence to .01. In the figure an interval that holds 0 is within noise.

# %%
step.show(lu.displays.parity(exports))

# %% [markdown]
# ## What does it cost?
# At batch 1, each export in a process of its own, the best of three turns. `latency_ms` is the network alone,
# `whole_ms` from letterbox to boxes by the bundle's own code, `decode_ms` what a JPEG file adds to it. Latencies hold
# for this machine; the bundle's `--benchmark` prints them for the device. Pale ends of bars are letterbox, suppression,
# votes and re-scoring; a long line to the 95th percentile means that other work disturbed the timing. In the second
# figure, what lies below the line is beaten in both.

# %%
step.show(lu.displays.costs(exports), lu.displays.front(exports))

# %% [markdown]
# ## The recommendation, and a bundle to copy
# The fastest within the budgets `max_latency_ms` (letterbox to boxes) and `max_size_mb`, and within .005 AP75 of the
# best that fits, where no export counts for more than its weights: what rounding gains is chance. Plain ONNX, which runs everywhere, goes before what is faster by less than 10 %. One zip has the
# model, labels, thresholds and a runner of one file that needs onnxruntime, numpy and Pillow or OpenCV.

# %%
step.say(exports.recommended[1])
step.say(exports.bundle[2])

# %% [markdown]
# ## Lighter networks
# With `lighter`: the same weights pruned, decomposed and taught by another model, each trained further for the same
# epochs as the plain ones. `teacher` is a CSV of any model's predictions on the training images (a larger YOLOv5, a
# two-stage detector), or weights; several, separated by commas, are a row each; without one the network teaches itself.
# In the figure look for a model that takes fewer ms and whose dot is not left of the line.

# %%
step.show(lu.displays.lighter_networks(exports))

# %%
step.metrics(**exports.metrics)
step.finish("14_conclusions")
