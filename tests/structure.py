"""The rules of the library's shape, read from its source, and the counts that keep it thin.

    python tests/structure.py      prints the counts, and a line for each broken rule

A wing imports only wings below it; no two modules import each other, also not inside functions;
what nobody outside a module calls is private; notebooks use few names of the library. Nothing is
imported or run: everything is told from the text.
"""

import ast
import collections
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "livestock_utils"
WINGS = ("core", "data", "evaluate", "detect", "show")
LEAVES = ("install", "colab")
"""Modules beside the wings that any wing may import; they import nothing above core."""
MOST = {
    "names of the library in notebooks": 122,  # 110 before recipe, range test, check of a GPU
    "modules of the library in notebooks": 15,
    "lines of code in notebooks": 750,
    "lines of notebook text": 1800,
    "columns of code in notebooks": 100,
    "lines of the library": 34700,  # 31,900 before layouts, 34,000 before cameras and the review
    "names of the door": 46,  # 42 before the conclusions and other tools' labels
    "lines of the set-up cell": 14,
}
"""What is counted -> its limit; a later change may raise one by a tenth, with a reason."""


def sources(folder: Path = ROOT / PACKAGE) -> dict[str, Path]:
    """Module -> file, for the library without its assets."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        if parts[1] != "assets":
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The library's modules that a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            for name in node.names:
                full = f"{node.module}.{name.name}"
                found.add(full if full in known else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith(PACKAGE)}
    return found


def floor(module: str) -> int:
    """How high a module stands: leaves and the door's own files beside the wings in their order."""
    parts = module.split(".")
    if len(parts) == 1:  # the door imports nothing when it is loaded
        return -1
    if parts[1] in WINGS:
        return WINGS.index(parts[1])
    return 0 if parts[1] in (*LEAVES, "assets") else len(WINGS)


def broken_order(graph: dict[str, set[str]]) -> list[str]:
    """Imports that lead upwards."""
    return [
        f"{module} imports {other}, which stands above it"
        for module, others in graph.items()
        for other in sorted(others)
        if floor(other) > floor(module)
    ]


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Groups of modules that reach each other (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[str] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in graph.get(module, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == index[module]:
            group = []
            while not group or group[-1] != module:
                group.append(stack.pop())
            if len(group) > 1:
                found.append("circle: " + ", ".join(sorted(group)))

    for module in graph:
        if module not in index:
            visit(module)
    return found


def public_names(path: Path) -> set[str]:
    """Functions, classes and constants at the top of a file whose names do not begin with _."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def unused_names(known: dict[str, Path]) -> list[str]:
    """Public names that no other file of the project mentions."""
    others = [ROOT / name for name in ("benchmarks", "notebooks", "tests")]
    files = [*known.values(), *(path for folder in others for path in folder.rglob("*.py"))]
    words: collections.Counter[str] = collections.Counter()
    mine = {}
    for path in files:
        mine[path] = set(re.findall(r"[A-Za-z_]\w*", path.read_text(encoding="utf-8")))
        words.update(mine[path])
    return [
        f"{module}.{name} is public, but nothing outside its module mentions it"
        for module, path in known.items()
        for name in sorted(public_names(path) - {"log", "main"})
        if words[name] - (name in mine[path]) == 0
    ]


def code_cells(path: Path) -> list[str]:
    """The code cells of a notebook's text without set-up and parameters."""
    text = path.read_text(encoding="utf-8")
    cells = re.split(r"^# %%", text, flags=re.M)[1:]
    code = []
    for cell in cells:
        head, _, body = cell.partition("\n")
        if "[markdown]" not in head and '"setup"' not in head and '"parameters"' not in head:
            code.append(body.strip())
    return code


def library_names(code: str, known: dict[str, Path]) -> set[str]:
    """Distinct dotted names under the library in code; members of returned objects are not."""
    tree = ast.parse(code)
    roots: dict[str, str] = {}
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == PACKAGE:
                    roots[name.asname or PACKAGE] = name.name if name.asname else PACKAGE
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for name in node.names:
                roots[name.asname or name.name] = f"{node.module}.{name.name}"
    modules = {*known, f"{PACKAGE}.plots", f"{PACKAGE}.displays"}
    for node in ast.walk(tree):
        dotted, part = [], node
        while isinstance(part, ast.Attribute):
            dotted.insert(0, part.attr)
            part = part.value
        if isinstance(part, ast.Name) and part.id in roots:
            full = roots[part.id]
            for name in dotted:
                if full not in modules:
                    break
                full = f"{full}.{name}"
            if full not in modules:
                names.add(full)
    return names


def counts() -> dict[str, int]:
    """Everything in MOST, counted now."""
    known = sources()
    texts = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
    names: set[str] = set()
    lines, widest = 0, 0
    for path in texts:
        cells = code_cells(path)
        rows = "\n\n".join(cells).splitlines()
        names |= library_names("\n".join(cells), known)
        lines += sum(map(len, (cell.splitlines() for cell in cells)))
        widest = max(widest, *map(len, rows))
    set_up = (ROOT / PACKAGE / "assets" / "set_up_cell.py").read_text(encoding="utf-8")
    return {
        "names of the library in notebooks": len(names),
        "modules of the library in notebooks": len({name.rpartition(".")[0] for name in names}),
        "lines of code in notebooks": lines,
        "lines of notebook text": sum(
            len(path.read_text(encoding="utf-8").splitlines()) for path in texts
        ),
        "columns of code in notebooks": widest,
        "lines of the library": sum(
            len(path.read_text(encoding="utf-8").splitlines()) for path in known.values()
        ),
        "names of the door": len(door()),
        "lines of the set-up cell": len(set_up.strip().splitlines()),
    }


def door() -> dict[str, str]:
    """Name -> home of the root's lazy table, from the text of its `_HOME`."""
    for node in ast.parse((ROOT / PACKAGE / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_HOME" and node.value:
            return ast.literal_eval(node.value)
    return {}


def faults() -> list[str]:
    """A line for each broken rule, the counts' limits among them."""
    known = sources()
    graph = {module: imports(path, known) & set(known) for module, path in known.items()}
    found = [*broken_order(graph), *circles(graph), *unused_names(known)]
    found += [f"the door's {name} is a wing's name" for name in door() if name in WINGS]
    return found + [
        f"{what}: {number:,}, at most {MOST[what]:,}"
        for what, number in counts().items()
        if number > MOST[what]
    ]


def by_wing() -> list[dict[str, object]]:
    """A row a wing: files, lines and what it imports."""
    known = sources()
    graph = {module: imports(path, known) & set(known) for module, path in known.items()}
    rows = []
    for wing in (*WINGS, ""):
        mine = [m for m in known if (m.split(".")[1:2] or [""])[0] == wing]
        if not wing:
            mine = [m for m in known if (m.split(".")[1:2] or [""])[0] not in WINGS]
        seen = {other.split(".")[1] for m in mine for other in graph[m] if other.count(".")}
        text = [known[m].read_text(encoding="utf-8") for m in mine]
        rows.append(
            {
                "wing": wing or "beside them",
                "files": len(mine),
                "lines": sum(len(t.splitlines()) for t in text),
                "imports": sorted(seen - {wing}),
            }
        )
    return rows


if __name__ == "__main__":
    for row in by_wing():
        print(json.dumps(row))
    for what, number in counts().items():
        print(f"{what}: {number:,} (at most {MOST[what]:,})")
    problems = faults()
    print(*problems, sep="\n")
    sys.exit(bool(problems))
