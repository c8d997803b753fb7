# Set-up, the same in every notebook. On Colab: find or fetch the project, add what is missing. Elsewhere: only look.
import importlib.util
import subprocess
import sys
from pathlib import Path

REPOSITORY = ""  # https://github.com/owner/name, the one place that holds it is livestock_utils/assets/set_up_cell.py
places = [
    Path("/content/project"),
    Path("/content/drive/MyDrive/livestock/project"),
    Path("."),
    Path(".."),
]
home = next((place for place in places if (place / "livestock_utils").is_dir()), None)
if "google.colab" in sys.modules:
    if home is None and importlib.util.find_spec("livestock_utils") is None:
        if REPOSITORY:
            command = ["git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(places[0])]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(
                    f"{REPOSITORY} was not fetched; check address and network: {done.stderr.strip()}"
                )
        else:
            from google.colab import drive, errors

            try:
                drive.mount("/content/drive")
            except (errors.Error, OSError, ValueError) as error:
                raise RuntimeError(
                    f"Drive, where the project is, was not mounted: allow it and run again ({error})"
                ) from None
        home = next((place for place in places if (place / "livestock_utils").is_dir()), None)
    if home is not None or importlib.util.find_spec("livestock_utils") is not None:
        command = [sys.executable, "-m", "livestock_utils.install", "--extras", "edge,search"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True)
        print(f"Project: {home or 'installed'}. {done.stdout}{done.stderr}")
        done.check_returncode()
        importlib.invalidate_caches()
if home is not None:
    sys.path.insert(0, str(home.resolve()))
try:
    from livestock_utils.show import notebook
except ModuleNotFoundError as error:
    advice = "on Colab put the project's folder on Drive as livestock/project; elsewhere `make setup`, kernel .venv"
    raise ModuleNotFoundError(f"{error}: {advice}") from None
