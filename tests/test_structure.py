"""The plan of the house, held against the code: who may import whom, and who opens files."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "diffusionrig"
FOUNDATION = {"errors", "randomness", "progress", "settings", "devices", "image_metrics", "texture_distance", "frechet",
              "threads", "shown", "ahead"}
ALLOWED = {
    "io": set(),
    "geometry": {"io"},
    "render": {"geometry"},
    "faces": {"io", "geometry"},
    "capture": {"faces", "geometry", "render", "io"},
    "diffusion": set(),
    "model": {"diffusion"},
    # faces: what of a photograph is the person, as an edit sees it too.
    "data": {"io", "geometry", "render", "faces", "capture"},
    # faces: a run measures at each save whether landmarks of drawn faces are where the photograph has them.
    "training": {"data", "model", "diffusion", "io", "geometry", "render", "faces"},
    "editing": {"io", "geometry", "render", "faces", "capture", "diffusion", "model", "data"},
    "evaluation": {"editing", "io", "geometry", "render", "faces", "capture", "data"},
    "reactions": {"io", "geometry", "render", "faces", "capture", "diffusion", "model", "editing", "data",
                  "training"},
    "studio": {"editing", "reactions", "io", "geometry", "faces"},
    "demo": {"cli", "io", "geometry", "render", "faces", "data", "editing", "evaluation", "reactions"},
}
PURE = {"geometry", "render", "diffusion", "model"}


def modules(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py"))


def imports(path: Path) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(tuple(node.module.split(".")))
        elif isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
    return found


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_lies_below_it(room):
    assert modules(room), f"the room {room} is empty"
    wrong = [f"{path.relative_to(PACKAGE)} imports {'.'.join(name)}" for path in modules(room) for name in imports(path)
             if name[0] == "diffusionrig" and len(name) > 1 and name[1] not in ALLOWED[room] | FOUNDATION | {room}]
    assert wrong == []


@pytest.mark.parametrize("room", sorted(PURE))
def test_the_mathematics_knows_no_files_flags_or_launchers(room):
    wrong = [f"{path.relative_to(PACKAGE)} imports {name[0]}" for path in modules(room) for name in imports(path)
             if name[0] in {"argparse", "mpi4py", "lmdb", "PIL", "sys"} or name[:2] == ("torch", "distributed")]
    assert wrong == []


def test_only_io_opens_files():
    openers = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] == "io":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (
                    (isinstance(node.func, ast.Name) and node.func.id == "open")
                    or (isinstance(node.func, ast.Attribute) and node.func.attr in {
                        "read_text", "read_bytes", "write_text", "write_bytes"})
                    or (isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
                        and (node.func.value.id, node.func.attr) in {
                            ("torch", "load"), ("torch", "save"), ("np", "load"), ("np", "save"), ("pickle", "load"),
                            ("pickle", "loads"), ("pickle", "dump"), ("Image", "open"), ("cv2", "imread"), ("cv2", "imwrite")})):
                openers.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert openers == []


def test_only_the_launcher_knows_mpi():
    knowing = [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.rglob("*.py"))
               if any(name[0] == "mpi4py" for name in imports(path))]
    assert knowing == ["training/distributed.py"]


def test_files_stay_short_enough_to_read():
    long = [f"{path.relative_to(PACKAGE)} ({n})" for path in sorted(PACKAGE.rglob("*.py"))
            if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400]
    assert long == []
