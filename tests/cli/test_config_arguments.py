import argparse
import dataclasses

import pytest

from diffusionrig.cli.config_arguments import add_dataclass_arguments, from_arguments, given_arguments
from diffusionrig.errors import UsageError
from diffusionrig.settings import setting


@dataclasses.dataclass(frozen=True)
class Config:
    size: int = setting(64, "side in pixels")
    rate: float = setting(1e-4, "learning rate, 5% at most")
    fast: bool = setting(True, "whether to hurry")
    sizes: str = setting("16", "list of sizes")


def parse(*words):
    parser = argparse.ArgumentParser()
    add_dataclass_arguments(parser, Config, "settings")
    return parser.parse_args(words)


def test_defaults_then_file_then_flags():
    args = parse("--size", "8", "--fast", "no")
    assert given_arguments(Config, args) == {"size": 8, "fast": False}
    assert from_arguments(Config, args, {"size": 1, "rate": 0.5}) == Config(8, 0.5, False, "16")
    assert from_arguments(Config, parse()) == Config()


def test_what_people_write_in_yaml():
    assert from_arguments(Config, parse(), {"rate": "1e-4", "sizes": 16}) == Config()
    assert from_arguments(Config, parse(), {"rate": 1}).rate == 1.0


@pytest.mark.parametrize("below", [{"sise": 3}, {"size": "many"}, {"fast": "yes"}, {"size": True}, {"rate": "quick"}])
def test_wrong_files_are_named(below):
    with pytest.raises(UsageError, match=r"run\.yaml"):
        from_arguments(Config, parse(), below, "run.yaml")


@pytest.mark.parametrize("words", [["--fast"], ["--fast", "maybe"], ["--size", "big"], ["--rate", "x"]])
def test_wrong_flags_are_refused(words):
    with pytest.raises(SystemExit):
        parse(*words)


def test_help_shows_defaults(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = capsys.readouterr().out
    assert "5% at most (default 0.0001)" in text
    assert "list of sizes (default '16')" in text
