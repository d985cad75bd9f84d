"""The live listener: lines in, lines out, the same numbers as generating at once."""

import base64
import dataclasses
import io
import json
import socket
import threading

import numpy as np
import pytest
from faceais_small import generator

from diffusionrig.cli import main
from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import save_checkpoint
from diffusionrig.io.line_streams import socket_lines
from diffusionrig.reactions.features.logmel import log_mel
from diffusionrig.reactions.generators.clips import AUDIO
from diffusionrig.reactions.generators.running import about_model
from diffusionrig.reactions.interface import SpeakerClip
from diffusionrig.reactions.live.lines import read_frame, read_frames, write_answer, write_frame
from diffusionrig.reactions.live.listening import converse

RATE, HOP = 16000, 640


def speaker(frames=24):
    random = np.random.default_rng(0)
    coefficients = random.normal(0, 1, (frames, 58)).round(4).astype(np.float32)
    sound = (random.integers(-3000, 3000, frames * HOP) / 32768).astype(np.float32)
    return coefficients, sound


def lines_of(coefficients, sound):
    return [write_frame(row, sound[t * HOP:(t + 1) * HOP]) for t, row in enumerate(coefficients)]


@pytest.fixture
def saved(tmp_path):
    made = generator(steps=2)
    about = {**about_model("faceais", "predictor", made.settings), "tokenizer": dataclasses.asdict(made.tokenizer.settings)}
    save_checkpoint(tmp_path / "model000000.safetensors", made.model.state_dict(), about)
    return tmp_path / "model000000.safetensors"


def test_live_equals_generating_online():
    made = generator(steps=2)
    coefficients, sound = speaker()
    answers = list(converse(made.live("clip", 3, RATE), read_frames(lines_of(coefficients, sound))))
    assert [answer.first for answer in answers] == [0, 8, 16, 24]
    clip = SpeakerClip("clip", np.zeros((24, 25), np.float32), coefficients, {AUDIO: log_mel(sound, RATE)})
    whole = made.generate(clip, None, 1, 3, "online")
    live = np.concatenate([answer.coefficients for answer in answers])[:24]
    np.testing.assert_allclose(live, whole.coefficients[0], atol=1e-5)
    assert all(answer.seconds > 0 for answer in answers)


@pytest.mark.parametrize(("line", "count"), [(" ".join(["1.5"] * 58), 58), (",".join(["0"] * 25 + ["1.5"] * 58), 58)])
def test_bare_numbers_are_coefficients(line, count):
    frame = read_frame(line, 1)
    assert frame.coefficients.tolist() == [1.5] * count
    assert frame.sound is None


def test_attributes_are_kept_where_there_are_any():
    numbers = [0.25] * 25 + [1.5] * 58
    for line in (" ".join(map(str, numbers)), json.dumps({"emotion": numbers[:25], "coefficients": numbers[25:]})):
        frame = read_frame(line, 1)
        assert frame.emotion.tolist() == [0.25] * 25
        assert frame.coefficients.tolist() == [1.5] * 58
    assert read_frame(" ".join(["1.5"] * 58), 1).emotion is None


def test_a_written_frame_is_read_again():
    coefficients, sound = speaker(1)
    frame = read_frame(write_frame(coefficients[0], sound), 1)
    np.testing.assert_allclose(frame.coefficients, coefficients[0], atol=1e-6)
    np.testing.assert_allclose(frame.sound, sound, atol=1e-7)


@pytest.mark.parametrize(("line", "sentence"), [
    ("1 2 3", "Line 7 holds 3 numbers"), ("a b", "no number"), (" ".join(["nan"] * 58), "finite"),
    ("{not json", "begins like JSON"),
    ('{"face": []}', "not face"), ('{"coefficients": 3}', "object with coefficients"),
    (json.dumps({"coefficients": [0] * 58, "sound": "?"}), "no base64"),
    (json.dumps({"coefficients": [0] * 58, "emotion": 3}), "emotion must be a list"),
    (json.dumps({"coefficients": [0] * 58, "emotion": [0] * 8}), "holds 66 numbers"),
    (json.dumps({"coefficients": [0] * 58, "sound": base64.b64encode(b"abc").decode()}), "3 bytes")])
def test_lines_that_are_no_frames_are_named(line, sentence):
    with pytest.raises(UsageError, match=sentence):
        read_frame(line, 7)


def test_the_command_reads_lines_and_sums_up(saved, monkeypatch, capsys):
    coefficients, sound = speaker(17)
    text = "\n".join([" ".join(map(str, coefficients[0])), "", *lines_of(coefficients[1:], sound[HOP:])])
    monkeypatch.setattr("sys.stdin", io.StringIO(text + "\n"))
    assert main(["react", "live", "--model_path", str(saved), "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    frames = [json.loads(line) for line in out.splitlines()]
    assert [frame["frame"] for frame in frames] == list(range(24))
    assert all(len(frame["coefficients"]) == 58 and len(frame["emotion"]) == 25 and frame["latency_ms"] > 0 for frame in frames)
    assert "24 frames in 3 patches of 8" in err


def test_a_wrong_line_ends_the_command_in_one_sentence(saved, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("1 2\n"))
    assert main(["react", "live", "--model_path", str(saved), "--device", "cpu", "--quiet", "True"]) == 2
    assert "Line 1 holds 2 numbers" in capsys.readouterr().err


def test_a_socket_serves_one_connection(saved, capsys, tmp_path):
    coefficients, _ = speaker(8)
    received = []

    def client(where):
        host, port = where.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall("".join(write_frame(row) + "\n" for row in coefficients).encode())
            connection.shutdown(socket.SHUT_WR)
            received.extend(connection.makefile().read().splitlines())

    made = generator(steps=2)
    threads = []

    def ready(where):
        threads.append(threading.Thread(target=client, args=(where,)))
        threads[-1].start()

    with socket_lines("127.0.0.1:0", ready) as (lines, write):
        for answer in converse(made.live("live", 0), read_frames(lines)):
            for line in write_answer(answer):
                write(line)
    threads[0].join(20)
    assert [json.loads(line)["frame"] for line in received] == list(range(16))


def test_meshes_are_drawn_into_an_empty_folder(saved, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    folder = tmp_path / "frames"
    command = ["react", "live", "--model_path", str(saved), "--device", "cpu", "--quiet", "True", "--frames_dir", str(folder),
               "--drop", "False"]
    assert main(command) == 0
    assert "8 frames came, 8 were drawn, 0 dropped" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == [f"frame_{t}.png" for t in range(8)]
    assert main(command) == 2
    assert "already" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["6000", "127.0.0.1:x", "127.0.0.1:99999"])
def test_a_place_that_is_none(place):
    with pytest.raises(UsageError, match="HOST:PORT"), socket_lines(place, print):
        pass


def test_the_published_predictor_cannot_be_fed_frame_by_frame():
    with pytest.raises(UsageError, match="compat False"):
        generator(compat=True).live("clip", 0)
