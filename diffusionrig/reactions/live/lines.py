"""The line protocol: a frame of the speaker is a line of text, and so is a frame of the listener.

In: 58 coefficients, or 25 attributes and 58 coefficients, separated by blanks or commas; or a JSON object with ``coefficients``
(58 numbers, absolute) and, where there are any, ``emotion`` (25) and ``sound``: the frame's samples, 16 bit, little-endian, mono,
in base64. Empty
lines are left out. Out: JSON objects with ``frame`` (from 0), ``coefficients`` (58), ``emotion`` (25) and ``latency_ms``, the time
since the last frame that the patch waited for, the same for all frames of a patch.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.damage import parse_json_object
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS
from diffusionrig.reactions.live.listening import Answer, SpeakerFrame

LARGEST = 1e4
"""Of a coefficient or attribute, hundreds of times what a face can show; numbers far beyond overflow in a network."""


def read_frames(lines: Iterable[str]) -> Iterator[SpeakerFrame]:
    """Frames of lines as they come. UsageError naming the line when one cannot be understood."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield read_frame(line, number)


def read_frame(line: str, number: int) -> SpeakerFrame:
    """One frame. UsageError naming line ``number`` when it cannot be understood."""
    if not line.lstrip().startswith("{"):
        return _bare(line.replace(",", " ").split(), number)
    try:
        entry = parse_json_object(line)
    except ValueError:
        raise UsageError(f"Line {number} begins like JSON but is none; write one object a line.") from None
    unknown = sorted(set(entry) - {"coefficients", "emotion", "sound", "frame"})
    if unknown or not isinstance(entry.get("coefficients"), list):
        raise UsageError(f"Line {number} must be an object with coefficients and, if need be, sound"
                         f"{f', not {unknown[0]}' if unknown else ''}.")
    sound, emotion = _sound(entry.get("sound"), number), entry.get("emotion")
    if emotion is None:
        return dataclasses.replace(_bare(entry["coefficients"], number), sound=sound)
    if not isinstance(emotion, list):
        raise UsageError(f"Line {number}: emotion must be a list of {ATTRIBUTES} numbers.")
    return dataclasses.replace(_bare([*emotion, *entry["coefficients"]], number), sound=sound)


def _bare(words: list[Any], number: int) -> SpeakerFrame:
    try:
        values = [float(word) for word in words]
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"Line {number} holds something that is no number; write {COEFFICIENTS} coefficients.") from None
    if len(values) not in (COEFFICIENTS, ATTRIBUTES + COEFFICIENTS) or not all(map(math.isfinite, values)):
        raise UsageError(f"Line {number} holds {len(values)} numbers, but {COEFFICIENTS} finite coefficients, alone or after "
                         f"{ATTRIBUTES} attributes, are needed.")
    if max(map(abs, values)) > LARGEST:
        raise UsageError(f"Line {number} holds {max(values, key=abs):g}, but coefficients and attributes lie within "
                         f"{-LARGEST:g} and {LARGEST:g}.")
    emotion, coefficients = np.split(np.array(values, np.float32), [len(values) - COEFFICIENTS])
    return SpeakerFrame(coefficients, emotion=emotion if len(emotion) else None)


def _sound(text: Any, number: int) -> np.ndarray | None:
    if text is None:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise UsageError(f"Line {number}: sound is no base64.") from None
    if len(data) % 2:
        raise UsageError(f"Line {number}: sound has {len(data)} bytes, which are no 16-bit samples.")
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


def write_frame(coefficients: np.ndarray, sound: np.ndarray | None = None) -> str:
    """The line of a speaker's frame, without a line break; ``sound`` in -1..1."""
    entry: dict[str, Any] = {"coefficients": [round(float(value), 6) for value in coefficients]}
    if sound is not None:
        samples = np.clip(np.rint(np.asarray(sound) * 32768), -32768, 32767).astype("<i2")
        entry["sound"] = base64.b64encode(samples.tobytes()).decode()
    return json.dumps(entry)


def write_answer(answer: Answer) -> Iterator[str]:
    """The lines of a patch, without line breaks. RigError when a number of it is not finite, which is no JSON."""
    if not (np.isfinite(answer.coefficients).all() and np.isfinite(answer.emotion).all()):
        raise RigError(f"The generator answers frame {answer.first} with numbers that are not finite; train it again.")
    for row, (coefficients, emotion) in enumerate(zip(answer.coefficients, answer.emotion)):
        yield json.dumps({"frame": answer.first + row, "coefficients": [round(float(value), 6) for value in coefficients],
                          "emotion": [round(float(value), 6) for value in emotion],
                          "latency_ms": round(1000 * answer.seconds, 3)})
