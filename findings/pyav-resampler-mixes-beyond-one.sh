#!/bin/bash
# PyAV 18.1.0 (libswresample): AudioResampler mixes floating-point sound down without keeping it within -1..1. Six channels that all
# hold 0.8 become stereo of 1.93, stereo of 0.8 becomes mono of 1.13: the weights of integer formats are scaled so that nothing
# clips, those of floats are not. Whoever then casts to 16 bits, as feature extractors do, wraps or clips speech that was not loud.
#
# Seen: 5.1 to stereo 1.931, stereo to mono 1.131 for floats; 0.8 at most for 16-bit samples.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6
cat > "$work/mix.py" <<'PY'
import sys

import av
import numpy as np


def peak(layout, channels, to, kind):
    values = np.full((1, 4800 * channels), 0.8, np.float32)
    samples = values if kind == "flt" else np.round(values * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format=kind, layout=layout)
    frame.sample_rate = 48000
    mixed = np.concatenate([part.to_ndarray() for part in av.AudioResampler(kind, to, 48000).resample(frame)], 1)
    return round(float(np.abs(mixed.astype(np.float64)).max()) / (1 if kind == "flt" else 32767), 3)


found = {f"{kind} {layout} to {to}": peak(layout, channels, to, kind)
         for kind in ("flt", "s16") for layout, channels, to in (("5.1", 6, "stereo"), ("stereo", 2, "mono"))}
print(found)
sys.exit(found != {"flt 5.1 to stereo": 1.931, "flt stereo to mono": 1.131, "s16 5.1 to stereo": 0.8, "s16 stereo to mono": 0.8})
PY
"$work/venv/bin/python" "$work/mix.py"
