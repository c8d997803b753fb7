# ---
# jupyter:
#   livestock:
#     reads: ["{out}/.state/metrics/0*.json", "{out}/.state/metrics/1[0-3]_*.json",
#       "{out}/training/*/run.json", "{out}/runs/*/training/*/run.json"]
#     writes: ["{out}/.state/metrics/14_conclusions.json"]
# ---

# %% [markdown]
# # 14 Conclusions: what the notebooks found
#
# One row for each question of the notebooks before this one, from their numbers alone. A difference is *significant*
# where its interval leaves 0 out, else *within noise*; an interval covers the choice of images, not that of seeds.
#
# - **In:** `OUT/metrics.json` and the run folders of `OUT/training/`. A notebook that has not run is a row that says so.
# - **Out:** the table in `metrics.json`, a figure in `OUT/figures/14/`.
# - **Time:** 2 s.

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

# %%
import livestock_utils as lu

step = lu.start("14_conclusions", globals())

# %% [markdown]
# ## The answers
# Look for intervals that leave 0 out. The last table tells apart the numbers that share the name mAP75: they differ by
# the images, the weights, the labels that judge, and what makes boxes of the network's output. Rows “log” are what
# trainings wrote down: yolov5's own pass pads photos otherwise, which alone moves mAP75 (notebook 05 has both).

# %%
found = lu.conclude(step.out)
step.show(*lu.displays.conclusions(found))
step.finish(None)
