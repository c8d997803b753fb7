# Set-up, the same in every notebook. On Colab: fetch the project, install what is missing. Elsewhere: only look.
import subprocess
import sys
from pathlib import Path

REPOSITORY = ""  # https://github.com/owner/name, the one place that holds it is livestock_utils/assets/set_up_cell.py
places = ["/content/drive/MyDrive/livestock/project", "/content/project", ".", ".."]
home = next((folder for folder in map(Path, places) if (folder / "livestock_utils").is_dir()), None)
if "google.colab" in sys.modules:
    if home is None and REPOSITORY:
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", REPOSITORY, "/content/project"], check=True)
        home = Path("/content/project")
    subprocess.run([sys.executable, "-m", "livestock_utils.install"], cwd=home, check=True)
if home is not None:
    sys.path.insert(0, str(home.resolve()))
try:
    from livestock_utils import notebook
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}: run `make setup` in the project and choose .venv as the kernel") from None
