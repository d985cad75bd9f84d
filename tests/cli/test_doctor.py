import json

import pytest

from diffusionrig.cli import main
from diffusionrig.cli.doctor import healthy
from diffusionrig.editing.pretrained import DEFAULT_PRIOR


@pytest.fixture
def nothing_registered(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path))


@pytest.mark.usefixtures("nothing_registered")
def test_the_shipped_default_is_found_and_what_is_missing_is_said(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in ("torch", "cpu", "mpiexec", "[ok] open-head-1", "[ok] FIT", f"[ok] {DEFAULT_PRIOR}", "[--] DECA", "[--] EMOCA"):
        assert word in text
    assert "deca_model.tar" in text


@pytest.mark.usefixtures("nothing_registered")
def test_the_findings_come_as_json_too(capsys):
    assert main(["doctor", "--json", "True"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["torch"]
    usable = {row["encoder"]: row["usable"] for row in found["encoders"]}
    assert usable == {"DECA": False, "EMOCA": False, "SMIRK": False, "FIT": True}
    assert healthy(found)
    found["priors"] = []
    assert not healthy(found)
