# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   livestock:
#     reads: ["{data}/data"]
#     writes: ["{out}/tables/*.csv"]
# ---

# %% [markdown]
# # 01 Count
# Which numbers are in the data folder?

# %% tags=["parameters"]
data = ""
out = ""
factor = 1
scale = 0.5
note = "none"

# %%
import sys
from pathlib import Path

import pandas as pd

from livestock_utils.show import notebook

step = notebook.start("01_count", data, out)

# %%
numbers = pd.read_csv(step.data / "data" / "numbers.csv")
numbers.mul(factor).to_csv(step.path("tables", "numbers.csv"), index=False)
step.figure(numbers.plot(), "numbers", "The numbers, in file order.")

# %%
step.table(numbers, "The numbers themselves.")
step.metrics(
    total=int(numbers["n"].sum() * factor), note=note, python=sys.executable, folder=Path.cwd()
)
step.finish("02_double")
