"""``diffusionrig doctor``: what this installation can do, and what is missing."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Any

from diffusionrig import __version__

DESCRIPTION = """Print versions, devices, MPI, memory, which head models, encoders and priors are usable, and of each file that one
registers for whether it is there and right; say what is missing and where to get it, under which licence. Exit status 0 when
the shipped default works, 1 when it does not."""
EXAMPLES = """  diffusionrig doctor
  diffusionrig doctor --assets ~/downloads/flame
  diffusionrig doctor --json True"""

PACKAGES = ("torch", "numpy", "pillow", "opencv-python-headless", "lmdb", "safetensors", "kornia", "yacs", "blobfile",
            "ai-edge-litert", "av", "mpi4py", "mpich")
OPTIONAL = {"tensorboard": "log", "dlib-bin": "dlib", "face-alignment": "fan", "pytorch3d": "", "anny": "bodies",
            "pillow-heif": "heif"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.cli.arguments import add_assets_argument, boolean

    add_assets_argument(parser)
    parser.add_argument("--json", type=boolean, default=False, help="print one JSON object instead of text")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _mpi() -> dict[str, Any]:
    launcher = shutil.which("mpiexec", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))
    if importlib.util.find_spec("mpi4py") is None:
        return {"usable": False, "note": "mpi4py is not installed (pip install mpi4py mpich); torchrun works without it"}
    # Initialising MPI in this process could disturb a launcher's environment, so a child is asked.
    probe = subprocess.run([sys.executable, "-c", "from mpi4py import MPI; print(MPI.Get_library_version().split(chr(10))[0])"],
                           capture_output=True, text=True, timeout=60, check=False)
    if probe.returncode != 0:
        return {"usable": False, "mpiexec": launcher, "note": "no MPI library was found (pip install mpich)"}
    return {"usable": launcher is not None, "library": probe.stdout.strip(), "mpiexec": launcher,
            **({} if launcher else {"note": "mpiexec is not on the PATH"})}


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _devices() -> list[dict[str, Any]]:
    import torch

    found: list[dict[str, Any]] = [{"device": "cpu", "cores": os.cpu_count(), "threads": torch.get_num_threads(),
                                    "memory_gib": _memory_gib()}]
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found.append({"device": f"cuda:{index}", "name": card.name, "memory_gib": round(card.total_memory / 2**30, 1)})
    if torch.backends.mps.is_available():
        found.append({"device": "mps"})
    return found


def _heads() -> list[dict[str, Any]]:
    from diffusionrig.errors import RigError
    from diffusionrig.geometry.heads import head_names, load_head
    from diffusionrig.geometry.registered_heads import EDITIONS, absent_files

    rows = []
    for name in head_names():
        # Where absent files are to be had, the list of registered files tells once.
        absent = absent_files(name) if name in EDITIONS else []
        if absent:
            rows.append({"head": name, "usable": False, "note": f"needs {', '.join(absent)} (see below)"})
            continue
        try:
            head = load_head(name)
            rows.append({"head": name, "usable": True, "shape": head.n_shape, "expression": head.n_expression,
                         "albedo": head.n_albedo, "hash": head.hash[:16]})
        except RigError as error:
            rows.append({"head": name, "usable": False, "note": str(error)})
    return rows


def _encoders() -> list[dict[str, Any]]:
    from diffusionrig.capture.registry import available_encoders

    return [{"encoder": name, "usable": not reason, **({"note": reason} if reason else {})}
            for name, reason in available_encoders().items()]


def _priors() -> list[dict[str, Any]]:
    from diffusionrig.editing.pretrained import describe_prior, shipped_priors
    from diffusionrig.errors import RigError

    rows = []
    for name, path in shipped_priors().items():
        try:
            rows.append({"prior": name, "usable": True, **describe_prior(path)})
        except RigError as error:
            rows.append({"prior": name, "usable": False, "note": str(error)})
    return rows


def _registered() -> dict[str, Any]:
    from diffusionrig.io.assets import user_assets
    from diffusionrig.io.registered import find, registered_files

    findings = [find(file) for file in registered_files()]
    return {"folder": str(user_assets()), "files": [
        {"file": found.file.name, "state": found.state, "what": found.file.what, "optional": found.file.optional,
         "converted": found.converted, "site": found.file.site, "licence": found.file.licence, "note": found.note}
        for found in findings]}


def examine() -> dict[str, Any]:
    """Everything ``doctor`` prints, as plain values."""
    return {
        "diffusionrig": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "optional": {name: _version(name) for name in OPTIONAL},
        "devices": _devices(),
        "mpi": _mpi(),
        "heads": _heads(),
        "encoders": _encoders(),
        "priors": _priors(),
        "registered": _registered(),
    }


def _row(mark: bool, name: str, details: dict[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in details.items() if value is not None and key != "note")
    note = details.get("note", "")
    return f"  [{'ok' if mark else '--'}] {name}{': ' + rest if rest else ''}{(' - ' if rest else ': ') + note if note else ''}"


def _registered_row(row: dict[str, Any]) -> str:
    mark = {"present": "ok", "absent": "--", "wrong": "!!"}[row["state"]]
    details = [row["state"], "optional" if row["optional"] else "", "plain copy" if row["converted"] else ""]
    return f"  [{mark}] {row['file']}: {', '.join(filter(None, details))}{' - ' + row['note'] if row['note'] else ''}"


def report(found: dict[str, Any]) -> str:
    """The findings as text."""
    lines = [f"diffusionrig {found['diffusionrig']}, Python {found['python']}, {found['platform']}", "", "packages"]
    lines += [_row(version is not None, name, {"version": version, **({} if version else {"note": "missing"})})
              for name, version in found["packages"].items()]
    lines += ["", "optional"]
    for name, version in found["optional"].items():
        extra = OPTIONAL[name]
        hint = f'pip install "diffusionrig[{extra}]"' if extra else "see its own installation notes"
        lines.append(_row(version is not None, name, {"version": version} if version else {"note": hint}))
    lines += ["", "devices"]
    lines += [_row(True, row["device"], {k: v for k, v in row.items() if k != "device"}) for row in found["devices"]]
    lines += ["", "MPI", _row(found["mpi"]["usable"], "mpiexec", {k: v for k, v in found["mpi"].items() if k != "usable"})]
    for title, key in (("head models", "heads"), ("encoders", "encoders"), ("priors", "priors")):
        lines += ["", title]
        for row in found[key]:
            name = row[key[:-1]]
            lines.append(_row(row["usable"], name, {k: v for k, v in row.items() if k not in {key[:-1], "usable"}}))
    lines += ["", f"registered files, in {found['registered']['folder']}"]
    lines += [_registered_row(row) for row in found["registered"]["files"]]
    return "\n".join(lines)


def healthy(found: dict[str, Any]) -> bool:
    """Whether the shipped default (a head, an encoder, a prior) works."""
    return all(any(row["usable"] for row in found[key]) for key in ("heads", "encoders", "priors")) and all(
        version for name, version in found["packages"].items() if name not in {"mpi4py", "mpich"})


def run(args: argparse.Namespace) -> int:
    found = examine()
    print(json.dumps(found, indent=2) if args.json else report(found))
    if healthy(found):
        return 0
    print("diffusionrig doctor: the shipped default does not work here; the rows marked [--] say what is missing.",
          file=sys.stderr)
    return 1
