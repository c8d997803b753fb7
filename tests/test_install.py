"""Set-up: what is there stays as it is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from livestock_utils import install


def test_the_installed_packages_are_seen():
    assert {"torch", "numpy", "pandas"} <= set(install._installed())


def test_yolov5_lies_in_a_folder_of_its_own_and_not_among_the_packages():
    assert (install.yolov5_folder() / "yolov5" / "train.py").is_file()
    assert "yolov5" not in install._installed()


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """pip replaced by a recorder: (calls, state); `state` is what is installed, `state["adds"]`
    what a call changes."""
    calls, state = [], {"numpy": "2.1.3", "adds": {"papermill": "2.7.0"}}
    monkeypatch.setenv("LIVESTOCK_YOLOV5", str(tmp_path / "vendor"))
    (tmp_path / "vendor" / "yolov5").mkdir(parents=True)

    def pip(*arguments):
        if arguments[0] == "list":
            return "".join(
                f"{name}=={version}\n" for name, version in state.items() if name != "adds"
            )
        files = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--constraint"]
        calls.append((arguments, [Path(name).read_text(encoding="utf-8") for name in files]))
        state.update(state["adds"])
        return ""

    monkeypatch.setattr(install, "_pip", pip)
    return calls, state


def test_what_is_installed_is_handed_to_pip_as_a_constraint(recorded):
    calls, _ = recorded
    assert install.install() == "ready: 1 packages added, none changed"
    assert calls[0][1] == ["numpy==2.1.3\n"]


def test_a_fresh_environment_has_nothing_to_protect(recorded):
    calls, state = recorded
    state.clear()
    state.update(
        {
            "pip": "23.2.1",
            "setuptools": "65.5.0",
            "adds": {"setuptools": "84.2.1", "torch": "2.14.1"},
        }
    )
    assert install.install().endswith("none changed")
    assert calls[0][1] == [""]


def test_the_lock_does_not_fight_what_is_installed(recorded, tmp_path):
    calls, _ = recorded
    lock = tmp_path / "lock.txt"
    lock.write_text("numpy==2.4.6\npapermill==2.7.0\n", encoding="utf-8")
    install.install(lock=lock)
    assert calls[0][1] == ["numpy==2.1.3\n", "papermill==2.7.0"]


def test_a_changed_version_is_an_error_that_names_it(recorded):
    _, state = recorded
    state["adds"] = {"numpy": "2.4.6"}
    with pytest.raises(RuntimeError, match=r"numpy 2\.1\.3 -> 2\.4\.6"):
        install.install()


def test_extras_add_their_requirements():
    plain, with_edge = install._requirements(()), install._requirements(("edge",))
    assert set(plain) < set(with_edge)
    assert any(line.startswith("onnxruntime") for line in with_edge)


def test_an_unknown_extra_is_refused():
    with pytest.raises(RuntimeError, match=r"unknown extra 'trackng'; extras\.txt lists them"):
        install._requirements(("edge", "trackng"))


def test_every_extra_states_its_reasons():
    listing = (Path(install.__file__).parents[1] / "extras.txt").read_text(encoding="utf-8")
    lines = [line for line in listing.splitlines() if line and not line.startswith(("#", "["))]
    assert lines and [line for line in lines if not re.search(r"\S +# \S", line)] == []


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ("tracking", {"wandb", "mlflow-skinny"}),
        ("edge", {"onnx", "onnxruntime"}),
        ("openvino", {"openvino"}),
        ("ncnn", {"ncnn", "pnnx"}),
    ],
)
def test_an_extra_brings_what_the_library_imports_on_demand(extra, names):
    added = set(install._requirements((extra,))) - set(install._requirements(()))
    assert {re.split(r"[<>=\[]", line)[0] for line in added} == names


def test_the_set_up_cell_says_why_a_clone_failed(tmp_path):
    cell = (Path(install.__file__).parent / "assets" / "set_up_cell.py").read_text(encoding="utf-8")
    cell = re.sub('REPOSITORY = ".*?"', f'REPOSITORY = "file://{tmp_path}/nowhere"', cell)
    colab = "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab')\n"
    # -I and -S: without site-packages the project is not installed, as in a fresh runtime.
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            colab + cell.replace("/content/", f"{tmp_path}/content/"),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "fatal: " in done.stdout and f"{tmp_path}/nowhere" in done.stdout
    assert "RuntimeError: No module named 'livestock_utils' (no project?" in done.stderr


REFUSED = """
import sys, types
colab = sys.modules["google.colab"] = types.ModuleType("google.colab")
sys.modules["google"] = types.SimpleNamespace(colab=colab)
colab.errors = types.SimpleNamespace(Error=type("Error", (Exception,), {}))
def mount(folder):
    raise colab.errors.Error("credential propagation was unsuccessful")
colab.drive = types.SimpleNamespace(mount=mount)
"""


def test_the_set_up_cell_says_what_to_do_where_drive_is_refused(tmp_path):
    cell = (Path(install.__file__).parent / "assets" / "set_up_cell.py").read_text(encoding="utf-8")
    cell = re.sub('REPOSITORY = ".*?"', 'REPOSITORY = ""', cell).replace(
        "/content/", f"{tmp_path}/content/"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", REFUSED + cell],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    told = (
        "RuntimeError: credential propagation was unsuccessful (no project? on Colab allow Drive "
        "and put the project's folder there as livestock/project; elsewhere `make setup`)"
    )
    assert told in done.stderr and "During handling" not in done.stderr


def test_the_set_up_cell_finds_the_project_and_only_looks_elsewhere(tmp_path):
    cell = Path(install.__file__).parent / "assets" / "set_up_cell.py"
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "livestock_utils").symlink_to(Path(install.__file__).parent)
    code = cell.read_text(encoding="utf-8") + "\nprint(sys.path[0])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "notebooks",
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == (f"{tmp_path}\n", "")


def test_set_up_names_what_is_absent(monkeypatch):
    monkeypatch.setattr(install, "NEEDED", ("sys", "no_such_module"))
    with pytest.raises(ModuleNotFoundError, match=r"no module no_such_module$"):
        install.set_up()


def test_pips_own_words_reach_the_user(monkeypatch):
    monkeypatch.setattr(sys, "executable", sys.executable)
    with pytest.raises(RuntimeError, match="pip install failed; check the network"):
        install._pip("install", "--no-index", "no-such-package-of-ours")
