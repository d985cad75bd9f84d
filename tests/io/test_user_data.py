from pathlib import Path

from diffusionrig.io.user_data import user_data


def test_it_is_where_the_system_keeps_a_users_data(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_data() == tmp_path / "diffusionrig"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_data() == Path(tmp_path, ".local", "share", "diffusionrig")
