"""A run goes on with what it learned from, wherever that lies, and with nothing else; consent stays with its album."""

import json
import re
import shutil

import pytest
from training.tiny import SMALL, personalise, write_store

from diffusionrig.cli import main
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.identity import MOST, StoreIdentity
from diffusionrig.data.identity import SMALL as SMALL_STORE
from diffusionrig.io.checkpoints import load_checkpoint, load_state, save_state
from diffusionrig.io.store import StoreReader, StoreWriter
from diffusionrig.training.learned import is_that_corpus


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("ann") / "album")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Another person's photographs, as many and in a folder of the same name."""
    return write_store(tmp_path_factory.mktemp("bob") / "album", seed=6)


@pytest.fixture(scope="module")
def prior(album, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior")
    assert main(["train", *SMALL, "--data_dir", str(album), "--log_dir", str(folder), "--max_steps", "1"]) == 0
    return folder / "model000001.safetensors"


def consent(folder, step):
    return load_checkpoint(folder / f"model{step:06d}.safetensors")[1]["consent"]


def listing(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def mine(album, prior, tmp_path):
    """A copy of the album, and the folder of a personal run that learned it."""
    store = tmp_path / "ann" / "album"
    shutil.copytree(album, store)
    assert personalise(store, prior, tmp_path / "me", "--max_steps", 1, "--consent", "Ann agreed.") == 0
    return store, tmp_path / "me"


def test_another_album_at_the_same_path_is_refused_and_nothing_changes(mine, stranger, prior, capsys):
    store, run = mine
    shutil.rmtree(store)
    shutil.copytree(stranger, store)
    before = listing(run)
    capsys.readouterr()
    for start in (prior, run / "model000001.safetensors"):
        assert personalise(store, start, run, "--max_steps", 2) == 2
        error = capsys.readouterr().err.strip()
        assert "\n" not in error
        assert re.search("it learned from album with 12 photographs, of which at least 12 are not in", error)
        assert listing(run) == before
    assert personalise(store, prior, run, "--max_steps", 2, "--resume", "never", "--overwrite", True) == 0
    assert consent(run, 2) == "not stated"


def test_the_same_album_elsewhere_goes_on(mine, prior, tmp_path):
    store, run = mine
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    store.rename(moved)
    assert personalise(moved, prior, run, "--max_steps", 2) == 0
    assert consent(run, 2) == "Ann agreed."


def test_a_grown_album_goes_on_and_a_shrunk_one_does_not(mine, prior, tmp_path, capsys):
    store, run = mine
    write_store(store, 15)
    assert personalise(store, prior, run, "--max_steps", 2) == 0
    assert consent(run, 2) == "Ann agreed."
    assert "The store has grown by 3 photographs since" in (run / "log.txt").read_text()
    less = write_store(tmp_path / "less" / "album", 14)
    assert personalise(less, prior, run, "--max_steps", 3) == 2
    assert "of which at least 1 are not in" in capsys.readouterr().err


def test_an_album_made_again_in_another_order_goes_on(mine, prior, tmp_path):
    store, run = mine
    reader, again = StoreReader(store), tmp_path / "again"
    header = {key: value for key, value in reader.header.items() if key not in {"schema", "created_by", "complete"}}
    with StoreWriter(again, header) as writer:
        writer.append([reader.record(index) for index in reversed(range(len(reader)))])
    assert personalise(again, prior, run, "--max_steps", 2) == 0
    assert consent(run, 2) == "Ann agreed."


def test_consent_does_not_travel_in_a_state_either(mine, stranger, album, tmp_path):
    _, run = mine
    other, same = tmp_path / "bob", tmp_path / "ann again"
    assert personalise(stranger, run / "model000001.safetensors", other, "--max_steps", 1) == 0
    assert consent(other, 1) == "not stated"
    # Her own album goes on where she was, in another folder too.
    assert personalise(album, run / "model000001.safetensors", same, "--max_steps", 2) == 0
    assert consent(same, 2) == "Ann agreed."
    assert json.loads((same / "report.json").read_text())["updates"] == 1


def test_adapters_of_another_album_are_refused(album, stranger, prior, tmp_path, capsys):
    flags = ("--adapter", "lora", "--rank", 2)
    assert personalise(album, prior, tmp_path / "me", *flags, "--max_steps", 1) == 0
    assert personalise(stranger, tmp_path / "me" / "model000001.safetensors", tmp_path / "other", *flags, "--max_steps", 2) == 2
    assert "or one of other photographs" in capsys.readouterr().err


def test_held_out_photographs_of_a_grown_album_stay_held_out(mine, prior, tmp_path, capsys):
    store, _ = mine
    flags = ("--holdout", 0.25, "--validate_every", 1)
    assert personalise(store, prior, tmp_path / "held", *flags, "--max_steps", 1) == 0
    before = load_state(tmp_path / "held" / "state000001.pt")["holdout"]
    write_store(store, 16)
    assert personalise(store, prior, tmp_path / "held", *flags, "--max_steps", 2) == 0
    after = load_state(tmp_path / "held" / "state000002.pt")["holdout"]
    assert before["records"] == after["records"] == [2, 6, 10]
    assert before["pictures"] == after["pictures"]
    assert personalise(store, prior, tmp_path / "held", "--max_steps", 3) == 2
    assert "held out 3 photographs" in capsys.readouterr().err


def test_runs_of_before_are_told_by_name_and_number(mine, stranger, prior, tmp_path, capsys):
    store, run = mine
    file = run / "state000001.pt"
    state = load_state(file)
    state["meta"]["data"] = {"store": "album", "records": 12}
    save_state(file, state)
    stranger = shutil.copytree(stranger, tmp_path / "bob")
    assert personalise(stranger, prior, run, "--max_steps", 2) == 2
    assert "it learned from album with 12 photographs;" in capsys.readouterr().err
    assert personalise(store, prior, run, "--max_steps", 2) == 0


class Marks:
    """A store that is its marks."""

    def __init__(self, marks):
        self.marks = marks

    def __len__(self):
        return len(self.marks)

    def mark(self, index):
        return b"%d" % self.marks[index]


@pytest.mark.parametrize("count", [1, 12, MOST + 40, SMALL_STORE, SMALL_STORE + 500])
def test_identities_of_any_size(count):
    numbers = list(range(count))
    known = StoreIdentity.of("store", Marks(numbers))
    known = StoreIdentity.from_json(json.loads(json.dumps(known.as_json())))
    assert len(known.pictures) == min(count, MOST)
    assert known.missing_in(Marks(numbers)) == 0
    assert known.missing_in(Marks([*numbers, *range(100_000, 100_900)])) == 0
    assert known.missing_in(Marks([number + 50_000 for number in numbers])) > 0
    assert known.missing_in(Marks(numbers[:-1] or [7])) > 0 or count == MOST + 40 or count == SMALL_STORE
    if count <= SMALL_STORE:
        assert known.missing_in(Marks([*range(-9, 0), *numbers[::-1]])) == 0


def test_marks_come_from_the_pictures(album, stranger):
    ann, bob = FaceStoreDataset(album), FaceStoreDataset(stranger)
    assert not set(ann.marks()) & set(bob.marks())
    assert len(set(ann.marks())) == 12
    assert ann.only([3, 5]).marks() == [ann.marks()[3], ann.marks()[5]]


def test_corpora_are_told_apart():
    small = {"hash": "a", "items": 2, "clips": "01 05"}
    assert is_that_corpus(small, small)
    assert is_that_corpus(small, {"hash": "b", "items": 3, "clips": "01 03 05"})
    assert not is_that_corpus(small, {"hash": "b", "items": 3, "clips": "01 03 06"})
    assert not is_that_corpus(small, {"hash": "b", "items": 2, "clips": "01 05"})  # same names, other matrix
    assert not is_that_corpus({"hash": "a"}, {"hash": "b", "items": 3, "clips": "01"})
    assert is_that_corpus({}, small)
