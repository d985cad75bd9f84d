"""Reading dyadic corpora: order, roles, lengths, lazily and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reaction_corpora import SMALL, copied, written

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.frame_sequences import write_frame_folder
from diffusionrig.io.tables import write_text_table
from diffusionrig.io.wav import wav_info, write_wav
from diffusionrig.reactions.corpus import ClipId, Corpus
from diffusionrig.reactions.corpus.attributes import COLUMNS
from diffusionrig.reactions.corpus.clips import emotion_roles, other_role
from diffusionrig.reactions.corpus.cropping import crop_sound, usable_length
from diffusionrig.reactions.synthetic.plan import clip_plans, perform


def test_the_columns_are_those_of_the_csv_files() -> None:
    assert len(COLUMNS) == len(set(COLUMNS)) == 25
    assert (COLUMNS[0], COLUMNS[14], COLUMNS[15], COLUMNS[17], COLUMNS[24]) == ("AU1", "AU26", "valence", "Neutral", "Contempt")


@pytest.mark.parametrize(("text", "session", "chat", "partner", "emotion"), [
    ("NoXI/001_2016-03-17_Paris/Expert_video/21", "001_2016-03-17_Paris", "001_2016-03-17_Paris", "Novice_video", "P1"),
    ("NoXI/001_2016-03-17_Paris/Novice_video/21", "001_2016-03-17_Paris", "001_2016-03-17_Paris", "Expert_video", "P2"),
    ("RECOLA/group-2/P41/2", "group-2", "group-2", "P42", "P1"),
    ("RECOLA/group-3/P46/2", "group-3", "group-3", "P45", "P2"),
    ("UDIVA/talk/023102/FC1/8", "talk/023102", "023102_talk", "FC2", "FC1")])
def test_ids_and_roles(text: str, session: str, chat: str, partner: str, emotion: str) -> None:
    clip = ClipId.parse(text)
    assert str(clip) == text
    assert (clip.session, clip.chat_index, other_role(clip)) == (session, chat, partner)
    assert emotion_roles(clip)[0] == emotion


@pytest.mark.parametrize("text", ["NoXI/001/21", "", "NoXI//Expert_video/1", "../../etc/passwd/x/y", "NoXI/001/../1"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(RigError, match="is no clip of the form"):
        ClipId.parse(text)


def test_items_come_in_mirrored_order_and_arrays_are_those_that_were_written() -> None:
    split = Corpus.open(written()).split("train")
    plans = clip_plans(SMALL, "train")
    assert (len(split), split.pairs, split.length, split.fps) == (8, 4, 48, 25)
    assert {item.speaker.site for item in split.items} == {"NoXI", "UDIVA"}
    for number, plan in enumerate(plans):
        there, back = split.items[number], split.items[split.partner(number)]
        assert (there.speaker, there.listener) == plan.ids == (back.listener, back.speaker)
        for role in (0, 1):
            truth = perform(SMALL, plan, role)
            assert np.abs(split.emotion(plan.ids[role]) - truth.attributes).max() < 1e-5
            assert np.array_equal(split.coefficients(plan.ids[role]), truth.coefficients[:48])
            samples, rate = split.audio(plan.ids[role])
            assert (rate, samples.shape, samples.dtype) == (16000, (48 * 640,), np.float32)
    matrix = split.matrix()
    assert matrix.shape == (8, 8)
    assert matrix.dtype == bool
    assert all(index in split.neighbours(index) for index in range(8))
    assert split.mean_face is not None
    assert split.mean_face.shape == (58,)


def test_the_hash_tells_matrices_and_orders_apart(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    before = Corpus.open(root).split("train").hash
    assert before == Corpus.open(written()).split("train").hash
    np.save(root / "neighbour_emotion_train.npy", np.eye(8))
    assert Corpus.open(root).split("train").hash != before


@pytest.mark.parametrize("rows", [(750, 751), (751, 751), (750, 750)])
def test_750_and_751_rows_are_one_length(tmp_path: Path, rows: tuple[int, int]) -> None:
    assert [usable_length(count) for count in (128, 750, 751, 752)] == [128, 750, 750, 752]
    clip = ClipId.parse("NoXI/001/Expert_video/1")
    other = ClipId.parse("NoXI/001/Novice_video/1")
    write_text_table(tmp_path / "val.csv", ["", "speaker_path", "listener_path"], [[0, clip, other]])
    for one, role in ((clip, "P1"), (other, "P2")):
        emotion = tmp_path / "val" / "Emotion" / "NoXI" / "001" / role / "1.csv"
        emotion.parent.mkdir(parents=True)
        emotion.write_text(",".join(COLUMNS) + "\n" + (",".join(["0.5"] * 25) + "\n") * rows[0])
        motion = tmp_path / "val" / "3D_FV_files" / "NoXI" / "001" / one.role
        motion.mkdir(parents=True)
        np.save(motion / "1.npy", np.zeros((rows[1], 1, 58), np.float32))
        np.save(motion / "1_full.npy", np.zeros((rows[1], 1, 58), np.float32))
    split = Corpus.open(tmp_path).split("val")
    assert split.length == 750
    assert split.emotion(clip).shape == (750, 25)
    assert split.coefficients(other).shape == (750, 58)
    assert Corpus.open(tmp_path, length=100).split("val").coefficients(other).shape == (100, 58)


def test_an_emotion_folder_may_keep_the_roles_of_the_videos(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    session = next((root / "train" / "Emotion" / "NoXI").iterdir())
    (session / "P1").rename(session / "Expert_video")
    split = Corpus.open(root).split("train")
    assert split.path("emotion", split.items[0].speaker).parent.name == "Expert_video"
    assert split.emotion(split.items[0].speaker).shape == (48, 25)


def test_frames_of_a_folder_count_from_one(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("val")
    clip = split.items[0].speaker
    place = root / "val" / "Video_files" / clip.site / clip.session / clip.role / clip.clip
    place.parent.mkdir(parents=True)
    pictures = np.arange(49, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    assert write_frame_folder(place, pictures) == 49
    frames = split.frames(clip)
    assert len(frames) == 48
    assert [int(frame[0, 0, 0]) for frame in frames] == list(range(48))
    assert int(frames[47][0, 0, 0]) == int(frames[-1][0, 0, 0]) == 47
    (place / "11.png").unlink()
    with pytest.raises(RigError, match=r"has no frame 11 before 12\.png"):
        split.frames(clip)
    with pytest.raises(UsageError, match="There is no video"):
        split.frames(split.items[0].listener)


def test_stereo_is_averaged_and_a_short_sound_is_named(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("val")
    clip = split.items[0].speaker
    path = split.path("audio", clip)
    both = np.tile(np.array([[1000, 3000]], np.int16), (48 * 1764, 1))
    write_wav(path, both, 44100)
    samples, rate = split.audio(clip)
    assert (rate, len(samples)) == (44100, 48 * 1764)
    assert np.allclose(samples, 2000 / 32768)
    write_wav(path, both[:-1764], 44100)
    samples, _ = split.audio(clip)
    assert len(samples) == 48 * 1764
    assert samples[-1] == 0
    write_wav(path, both[:-2 * 1764], 44100)
    with pytest.raises(RigError, match=r"1\.wav lasts 1\.84 s, but 48 frames take 1\.92 s"):
        split.audio(clip)
    path.write_bytes(path.read_bytes()[:44 + 4 * 1000])
    assert wav_info(path).samples == 1000
    assert crop_sound(np.ones(10, np.float32), 100, None, 25, path).shape == (10,)


def _break_row(path: Path) -> None:
    lines = path.read_text().splitlines()
    lines[7] = lines[7].replace(lines[7].split(",")[3], "nan", 1)
    path.write_text("\n".join(lines))


@pytest.mark.parametrize(("modality", "breaking", "sentence"), [
    ("emotion", lambda path: path.write_text(path.read_text().replace("AU26,", "", 1)), "has 24 columns .AU26 missing."),
    ("emotion", lambda path: path.write_text(path.read_text().replace("AU1,AU2", "AU2,AU1", 1)), "Column 1 of .* is 'AU2', but"),
    ("emotion", lambda path: path.write_text(path.read_text().replace("\n", "\n1,2\n", 1)), "Line 2 of .* has 2 values under 25"),
    ("emotion", lambda path: path.write_text(path.read_text() + "x," * 24 + "1\n"), "Line 50 of .* holds 'x', which is no number"),
    ("emotion", _break_row, r"holds nan at row 6, column"),
    ("emotion", lambda path: path.write_text("\n".join(path.read_text().splitlines()[:40])), "has 39 rows, but 48 are needed"),
    ("coefficients", lambda path: np.save(path, np.zeros((49, 1, 57))), r"has the shape \(49, 57\), but \(frames, 58\)"),
    ("coefficients", lambda path: np.save(path, np.full((49, 58), np.nan)), "holds nan at row 0, column 0"),
    ("coefficients", lambda path: np.save(path, np.zeros((40, 58))), "has 40 rows, but 48 are needed"),
    ("coefficients", lambda path: np.save(path, np.array([{"a": 1}], object), allow_pickle=True), "is damaged or is no plain .npy"),
    ("coefficients", lambda path: path.write_bytes(path.read_bytes()[:300]), "is damaged or is no plain .npy"),
    ("emotion", lambda path: path.unlink(), "There is no Emotion file at .*csv"),
])
def test_each_fault_of_a_file_is_one_sentence(tmp_path: Path, modality: str, breaking, sentence: str) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root).split("test")
    clip = split.items[1].listener
    path = split.path(modality, clip)
    breaking(path)
    with pytest.raises(RigError, match=sentence) as error:
        getattr(split, modality)(clip)
    assert path.name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("table", "sentence"), [
    (",speaker,listener\n0,a,b\n", "speaker_path and listener_path are needed"),
    (",speaker_path,listener_path\n0,NoXI/1/Expert_video\n", "Row 0 of .*train.csv has 2 cells"),
    (",speaker_path,listener_path\n0,NoXI/1/Expert_video/1,NoXI/1\n", "Row 0 of .*train.csv: 'NoXI/1' is no clip"),
    (",speaker_path,listener_path\n0,N/1/E/1,N/1/E/1\n", "Row 0 of .*train.csv pairs N/1/E/1 with itself"),
    (",speaker_path,listener_path\n", "has no pairs"),
    ("", "is empty")])
def test_each_fault_of_a_list_is_one_sentence(tmp_path: Path, table: str, sentence: str) -> None:
    (tmp_path / "train.csv").write_text(table)
    with pytest.raises(RigError, match=sentence):
        Corpus.open(tmp_path).split("train")


def test_what_is_no_corpus_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no corpus folder"):
        Corpus.open(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no corpus"):
        Corpus.open(tmp_path)
    with pytest.raises(UsageError, match="at least 1"):
        Corpus.open(written(), length=0)
    corpus = Corpus.open(written())
    with pytest.raises(UsageError, match="no split 'dev'"):
        corpus.split("dev")
    with pytest.raises(UsageError, match="no variant 'mine'"):
        corpus.split("val", "mine")


def test_a_missing_list_or_matrix_names_the_command(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    (root / "neighbour_emotion_train.npy").unlink()
    split = Corpus.open(root).split("train")
    with pytest.raises(UsageError, match="diffusionrig react index"):
        split.matrix()
    (root / "train.csv").unlink()
    with pytest.raises(UsageError, match="diffusionrig react index"):
        Corpus.open(root).split("train")


def test_the_person_specific_variant(tmp_path: Path) -> None:
    corpus = Corpus.open(written())
    plain, own = corpus.split("val"), corpus.split("val", "person_specific")
    assert plain.items == own.items
    people = [(item.listener.session, item.listener.role) for item in own.items]
    same = np.array([[one == other for other in people] for one in people])
    assert np.array_equal(own.matrix(), plain.matrix() & same)
