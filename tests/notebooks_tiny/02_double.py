# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   livestock:
#     reads: ["{out}/tables/*.csv"]
#     writes: ["{out}/double.txt"]
# ---

# %% [markdown]
# # 02 Double
# Twice the numbers.

# %% tags=["parameters"]
data = ""
out = ""
factor = 2
fail = False

# %%
import pandas as pd

from livestock_utils.core import errors
from livestock_utils.show import notebook

step = notebook.start("02_double", data, out)

# %%
numbers = pd.read_csv(step.need("tables", "numbers.csv", made_by="01_count"))
if fail:
    raise errors.DatasetError("the numbers are odd: expected even ones")
step.path("double.txt").write_text(str(numbers["n"].sum() * factor))
step.metrics(total=numbers["n"].sum() * factor)
step.finish(None)
