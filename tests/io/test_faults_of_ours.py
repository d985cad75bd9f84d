"""A fault of this program is never called a damaged file, whatever reader it lies in."""

import importlib
import sys
import types

import numpy as np
import pytest

from diffusionrig.errors import RigError
from diffusionrig.io import damage, images, unpickle, yaml_text
from diffusionrig.io.damage import parse_json, reading


def module_of_ours(name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module whose lines count as the package's."""
    module = types.ModuleType(name)
    exec(compile(body, str(damage._PACKAGE) + f"io/{name}.py", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, name, module)
    return module


FAULTS = {
    "name": ("def read(): return missing", NameError),
    "unbound": ("def read():\n    if 0: a = 1\n    return a", UnboundLocalError),
    "assertion": ("def read(): assert 0", AssertionError),
    "import": ("def read(): import no_such_module_at_all", ImportError),
    "unwritten": ("def read(): raise NotImplementedError", NotImplementedError),
    "call": ("def f(a): pass\ndef read(): f()", TypeError),
    "keyword": ("def f(a): pass\ndef read(): f(1, b=2)", TypeError),
    "attribute of a module": ("import os\ndef read(): os.no_such_name", AttributeError),
    "attribute of self": ("class A:\n    def go(self): self.no\ndef read(): A().go()", AttributeError)}
OF_THE_FILE = {
    "no dict": "def read(): (5).items()", "none": "def read(): None.group()", "sum": "def read(): None + 1",
    "index": "def read(): [][0]", "key": "def read(): {}['a']", "width": "def read(): 1 // 0", "kind": "def read(): len(5)"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_ours_is_no_damage(name, monkeypatch):
    body, kind = FAULTS[name]
    read = module_of_ours("planted", body, monkeypatch).read
    with pytest.raises(kind), reading("a.png"):
        read()


@pytest.mark.parametrize("name", OF_THE_FILE)
def test_what_files_do_is_damage(name, monkeypatch):
    read = module_of_ours("planted", OF_THE_FILE[name], monkeypatch).read
    with pytest.raises(RigError, match="damaged") as caught, reading("a.png"):
        read()
    assert caught.value.__cause__ is not None


def test_faults_of_libraries_are_damage():
    with pytest.raises(RigError, match="damaged"), reading("a.png"):
        raise NameError("raised by a line that is not the package's")


def test_readers_let_faults_pass(monkeypatch, tmp_path):
    images.write_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    monkeypatch.delattr(images, "_upright")
    with pytest.raises(NameError):
        images.read_image(tmp_path / "a.png")
    monkeypatch.delattr(yaml_text, "_loader")
    with pytest.raises(NameError):
        yaml_text.parse_yaml("a: 1")
    monkeypatch.delattr(unpickle, "RestrictedUnpickler")
    with pytest.raises(NameError):
        unpickle.restricted_loads(b"N.", {}, "a")


def test_the_cause_is_kept_and_shown(monkeypatch, capsys):
    command = importlib.import_module("diffusionrig.cli.plot")
    from diffusionrig.cli import main

    def run(args):
        with reading("log.csv"):
            parse_json("{")

    monkeypatch.setattr(command, "run", run)
    assert main(["plot", "x"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("DIFFUSIONRIG_TRACEBACK", "1")
    assert main(["plot", "x"]) == 1
    text = capsys.readouterr().err
    assert "JSONDecodeError" in text
    assert text.splitlines()[-1].startswith("diffusionrig plot: log.csv is damaged")
