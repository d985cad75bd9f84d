"""The signal model of synthetic dyads against its formulas, and what a corpus promises."""

from __future__ import annotations

import numpy as np
import pytest

from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.reactions.corpus.attributes import COLUMNS
from diffusionrig.reactions.synthetic.behaviour import activations, bump, controls_over_time
from diffusionrig.reactions.synthetic.controls import CONTROLS, DISPLAY, EVENTS, REACTIONS, WIDTHS
from diffusionrig.reactions.synthetic.observables import DISTANCE, SHAPE_MATRIX, attributes, sides
from diffusionrig.reactions.synthetic.options import Options
from diffusionrig.reactions.synthetic.people import LAGS, sample_participant
from diffusionrig.reactions.synthetic.plan import ClipPlan, clip_plans, perform, performances, true_matrix
from diffusionrig.reactions.synthetic.situations import CIRCLE_REACH, Event, alike, holder, reaction_matrix
from diffusionrig.reactions.synthetic.voices import speak

SMILE, SPEECH = EVENTS.index("smile"), EVENTS.index("speech")


def _everything(options: Options, *splits: str) -> list[tuple[ClipPlan, int, np.ndarray, np.ndarray]]:
    return [(plan, role, shown.coefficients, shown.attributes) for split in splits
            for plan, role, shown in performances(options, clip_plans(options, split))]


def test_an_event_rises_and_falls_within_its_width() -> None:
    assert bump(np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])).tolist() == [0.0, 0.0, 1.0, 0.5625, 0.0, 0.0]
    rows = activations([Event(SMILE, 20, 0.8)], 64, delay=7)
    assert rows[27, SMILE] == 0.8
    assert rows[32, SMILE] == pytest.approx(0.8 * (1 - (5 / WIDTHS[SMILE]) ** 2) ** 2)
    assert np.flatnonzero(rows[:, SMILE]).tolist() == list(range(18, 37))
    assert not np.delete(rows, SMILE, 1).any()


def test_controls_follow_their_formula() -> None:
    person = sample_participant(0, "train", 0, 1)
    own, partner = [Event(SPEECH, 40, 1.0)], [Event(SMILE, 10, 0.5)]
    y = controls_over_time(Options(), person, own, partner, REACTIONS[0], ("train", 0, 0, 1), 64)
    assert y.shape == (64, 12)
    peak = 10 + person.lag
    assert np.allclose(y[peak], person.baseline + 0.5 * person.gains * REACTIONS[0][:, SMILE]
                       + DISPLAY[:, SPEECH] * bump((peak - 40) / WIDTHS[SPEECH]))
    assert np.allclose(y[0], person.baseline)
    noisy = controls_over_time(Options(noise=0.1), person, own, partner, REACTIONS[0], ("train", 0, 0, 1), 4000)
    still = controls_over_time(Options(), person, own, partner, REACTIONS[0], ("train", 0, 0, 1), 4000)
    disturbance = noisy - still
    assert np.allclose(disturbance[:, :8].std(0), 0.1, rtol=0.25)
    assert np.allclose(disturbance[:, 8:].std(0), 0.02, rtol=0.25)
    assert np.corrcoef(disturbance[1:, 0], disturbance[:-1, 0])[0, 1] == pytest.approx(0.9, abs=0.03)


def test_people_differ_within_their_bounds() -> None:
    people = [sample_participant(5, "val", dyad, role) for dyad in range(30) for role in (0, 1)]
    lags = [person.lag for person in people]
    assert (min(lags), max(lags)) == LAGS
    assert len({person.baseline.tobytes() for person in people}) == len(people)
    assert all(abs(person.asymmetry) <= 0.3 and (person.gains >= 0.6).all() and (person.gains <= 1.3).all() for person in people)


def test_coefficients_and_attributes_are_functions_of_the_controls() -> None:
    options = Options(seed=1)
    plan = clip_plans(options, "train")[0]
    shown = perform(options, plan, 0)
    y, rows = shown.controls, shown.coefficients
    assert rows.shape == (129, 58)
    assert rows.dtype == np.float32
    name = {name: CONTROLS.index(name) for name in CONTROLS}
    assert np.allclose(rows[:, 52:55], np.stack([np.pi + y[:, name["pitch"]], y[:, name["yaw"]], y[:, name["roll"]]], 1), atol=1e-6)
    assert np.allclose(rows[:, 55:], np.stack([0 * y[:, 0], 0 * y[:, 0], DISTANCE + y[:, name["lean"]]], 1), atol=1e-6)
    expected = np.clip(y @ SHAPE_MATRIX.T * sides(shown.person.asymmetry), 0, 1)
    blink = [ARKIT_NAMES.index("eyeBlinkLeft"), ARKIT_NAMES.index("eyeBlinkRight")]
    assert np.allclose(np.delete(rows[:, :52], blink, 1), np.delete(expected, blink, 1), atol=1e-6)
    assert rows[:, blink].max() > 0.9
    left, right = ARKIT_NAMES.index("mouthSmileLeft"), ARKIT_NAMES.index("mouthSmileRight")
    assert (left, right) == (43, 44)
    peak = expected[:, left].argmax()
    assert expected[peak, left] / expected[peak, right] == pytest.approx(
        (1 + shown.person.asymmetry) / (1 - shown.person.asymmetry), rel=1e-6)
    seen = {column: shown.attributes[:, index] for index, column in enumerate(COLUMNS)}
    mean = {index: rows[:128, index] for index in range(52)}
    for unit, shapes in {"AU1": (2,), "AU2": (3, 4), "AU4": (0, 1), "AU6": (6, 7), "AU7": (18, 19), "AU9": (49, 50),
                         "AU10": (47, 48), "AU12": (43, 44), "AU14": (27, 28), "AU15": (29, 30), "AU17": (41,),
                         "AU23": (39, 40), "AU24": (35, 36), "AU26": (24,)}.items():
        assert np.allclose(seen[unit], np.mean([mean[index] for index in shapes], 0), atol=1e-6), unit
    assert np.allclose(seen["AU25"], np.maximum(mean[24], (mean[33] + mean[34]) / 2), atol=1e-6)
    assert np.allclose(shown.attributes[:, 17:].sum(1), 1, atol=1e-6)
    smile = y[:128, name["smile"]]
    assert np.allclose(seen["valence"], np.tanh(2 * (smile - y[:128, name["brow_down"]])), atol=1e-6)
    assert (np.abs(shown.attributes[:, 15:17]) <= 1).all()
    binary = attributes(y[:128], rows[:128, :52].astype(np.float64), shown.person, True)
    assert np.array_equal(binary[:, :15], (shown.attributes[:, :15] > 0.25).astype(np.float32))


def test_events_lie_in_turns_and_are_shared_by_a_class() -> None:
    options = Options(seed=2, dyads=(6, 1, 1), clips=4)
    plans = clip_plans(options, "train")
    scripts: dict[tuple[str, int], list[list[tuple[int, float]]]] = {}
    for plan in plans:
        for role in (0, 1):
            events = perform(options, plan, role).events
            for event in events:
                assert holder(min(max(event.frame - 11, 0), 127), 128) == role or holder(min(event.frame + 1, 127), 128) == role
            scripts.setdefault((plan.situation.name, role), []).append([(event.kind, event.frame) for event in
                                                                       sorted(events, key=lambda e: (e.amplitude, e.frame))])
    shared = {key: value for key, value in scripts.items() if len(value) > 1}
    assert len(shared) >= 8
    for (situation, _), variants in shared.items():
        assert not situation.startswith("alone")
        for variant in variants[1:]:
            assert [kind for kind, _ in variant] == [kind for kind, _ in variants[0]]
            assert max(abs(a - b) for (_, a), (_, b) in zip(variant, variants[0])) <= 2 * options.jitter


@pytest.mark.parametrize("options", [Options(seed=4), Options(seed=4, micro=0.03, au_mode="binary")])
def test_more_clips_and_dyads_change_no_other(options: Options) -> None:
    import dataclasses

    more = dataclasses.replace(options, dyads=(7, 4, 4), clips=4)
    before = {plan.ids[role]: (motion, seen) for plan, role, motion, seen in _everything(options, "val")}
    after = {plan.ids[role]: (motion, seen) for plan, role, motion, seen in _everything(more, "val")}
    assert len(before) == 18 < len(after)
    for clip, (motion, seen) in before.items():
        assert np.array_equal(after[clip][0], motion)
        assert np.array_equal(after[clip][1], seen)
    other = {plan.ids[role]: motion for plan, role, motion, _ in _everything(dataclasses.replace(options, seed=5), "val")}
    assert not any(np.array_equal(other[clip], motion) for clip, (motion, _) in before.items())


def test_classes_are_transitive_and_circles_are_not() -> None:
    for kind, transitive in (("class", True), ("circle", False)):
        options = Options(seed=0, appropriateness=kind, dyads=(12, 1, 1))
        plans = clip_plans(options, "train")
        matrix = true_matrix(plans)
        half = len(plans)
        assert matrix.shape == (2 * half, 2 * half)
        assert np.array_equal(matrix, matrix.T)
        assert matrix.diagonal().all()
        assert not matrix[:half, half:].any()
        assert np.array_equal(matrix[:half, :half], matrix[half:, half:])
        assert np.array_equal(matrix, matrix.astype(int) @ matrix.astype(int) > 0) == transitive
        for i, j in ((0, 1), (3, 9)):
            assert matrix[i, j] == alike(plans[i].situation, plans[j].situation)
        if kind == "class":
            alone = [index for index, plan in enumerate(plans) if plan.situation.name.startswith("alone")]
            assert alone
            assert (matrix[alone].sum(1) == 1).all()
        else:
            angles = np.array([plan.situation.angle for plan in plans])
            apart = np.abs(np.angle(np.exp(1j * (angles[:, None] - angles))))
            assert np.array_equal(matrix[:half, :half], apart < CIRCLE_REACH)
            weights = reaction_matrix(plans[0].situation)
            assert all((weights <= np.max(REACTIONS, 0) + 1e-9).ravel())


def test_listeners_of_a_class_agree_and_others_do_not() -> None:
    """The figures of the reference: concordance .55 within a class, .06 between classes; 2.75 constant channels."""
    options = Options(seed=0)
    plans = [plan for split in ("train", "val", "test") for plan in clip_plans(options, split)]
    shown = np.stack([perform(options, plan, role).attributes for role in (1, 0) for plan in plans])
    still = (np.ptp(shown, axis=1) == 0).sum(1)
    assert 10 * (25 - still.mean()) / 25 == pytest.approx(8.9, abs=0.5)
    matrix = true_matrix(plans)
    centred = shown - shown.mean(1, keepdims=True)
    concordance = np.zeros(matrix.shape)
    for channel in range(25):
        rows, mean, spread = centred[:, :, channel], shown[:, :, channel].mean(1), shown[:, :, channel].var(1)
        concordance += 2 * rows @ rows.T / 128 / (spread[:, None] + spread + (mean[:, None] - mean) ** 2 + 1e-8) / 25
    same, apart = matrix & ~np.eye(72, dtype=bool), ~matrix
    assert concordance[same].mean() > 0.5
    assert concordance[apart].mean() < 0.12


def test_no_channel_is_constant_with_micro_movement() -> None:
    for _, _, motion, seen in _everything(Options(seed=0, micro=0.02), "val"):
        assert (np.ptp(seen, axis=0) > 1e-5).all()
        assert (np.ptp(motion[:, :52], axis=0) > 1e-3).all()


def test_the_lag_of_a_person_shows_in_the_coefficients() -> None:
    """Smiles of class 0 are mirrored: the listener's follow the speaker's by the listener's own lag."""
    options, found = Options(seed=0, dyads=(12, 1, 1), clips=4), []
    column = ARKIT_NAMES.index("mouthSmileLeft")
    for plan in clip_plans(options, "train"):
        if plan.situation.name != "0":
            continue
        for role in (0, 1):
            listener, speaker = perform(options, plan, role), perform(options, plan, 1 - role)
            driven, own = activations(speaker.events, 129)[:, SMILE], activations(listener.events, 129).any(1)
            if not driven.any():
                continue
            score = []
            for lag in range(LAGS[1] + 5):
                free = ~own[lag:]  # where nothing but reactions is seen
                score.append(np.corrcoef(driven[:129 - lag][free], listener.coefficients[lag:, column][free])[0, 1])
            found.append(abs(int(np.argmax(score)) - listener.person.lag) <= 1)
    assert len(found) >= 12
    assert np.mean(found) >= 0.8


def test_a_mimic_is_found_at_its_shift() -> None:
    for plan, role, _, seen in _everything(Options(seed=1, micro=0.02), "test"):
        if role:
            continue
        for shift in (0, 7, 18):
            mimic = np.concatenate([np.repeat(seen[:1], shift, 0), seen[:len(seen) - shift]])
            scores = []
            for lag in range(-49, 50):
                a, b = (mimic[lag:], seen[:len(seen) - lag]) if lag >= 0 else (mimic[:lag], seen[-lag:])
                a, b = a - a.mean(0), b - b.mean(0)
                scores.append(np.mean((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))))
            assert np.argmax(scores) - 49 == shift, plan.ids


def test_people_are_recognised_by_their_resting_faces() -> None:
    options, known, asked = Options(seed=0, dyads=(12, 1, 1), clips=4), {}, []
    for plan, role, motion, _ in _everything(options, "train"):
        rest = np.median(motion, axis=0)
        if plan.number < 3:
            known.setdefault((plan.dyad, role), []).append(rest)
        else:
            asked.append(((plan.dyad, role), rest))
    names = list(known)
    centres = np.stack([np.mean(known[name], 0) for name in names])
    right = [names[int(((centres - rest) ** 2).sum(1).argmin())] == name for name, rest in asked]
    assert len(right) == 24
    assert np.mean(right) > 0.95


def test_the_voice_sounds_when_one_speaks() -> None:
    options = Options(seed=0, dyads=(4, 1, 1))
    plan = next(plan for plan in clip_plans(options, "train") if plan.situation.name in {"0", "1", "2"})
    shown = perform(options, plan, 0)
    sound, rate = speak(shown.person, shown.events, 129, 25, "stereo")
    assert (sound.shape, sound.dtype, rate) == ((129 * 1764, 2), np.int16, 44100)
    strength = activations(shown.events, 129)[:, SPEECH]
    loud = np.abs(sound[:, 0].reshape(129, 1764).astype(float)).max(1)
    silent = (strength == 0) & (np.append(strength[1:], 0) == 0)
    assert (loud[silent] == 0).all()
    assert loud[strength > 0.5].min() > 2000
    assert np.abs(sound[:, 1] - 0.8 * sound[:, 0]).max() <= 0.5
    mono, rate = speak(shown.person, shown.events, 129, 25, "mono")
    assert (mono.shape, rate) == ((129 * 640, 1), 16000)
    talking = sound[np.repeat(strength > 0.3, 1764), 0].astype(float)
    spectrum = np.abs(np.fft.rfft(talking[:8192] * np.hanning(8192)))
    low = spectrum[:int(8192 * 60 / 44100)].max()
    assert spectrum[int(8192 * shown.person.voice * 0.9 / 44100):int(8192 * shown.person.voice * 1.1 / 44100)].max() > 5 * low
