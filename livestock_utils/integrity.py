"""What is wrong in the archives, one row a finding, found by reading every byte once."""

import os

import pandas as pd

from livestock_utils.archives import ImageReader
from livestock_utils.findings import Findings
from livestock_utils.reading import read_tables


def integrity_report(folder: str | os.PathLike) -> pd.DataFrame:
    """Findings in `folder`."""
    findings = Findings(collect_errors=True)
    with ImageReader(folder) as reader:
        read_tables(reader, findings)
    return findings.table()
