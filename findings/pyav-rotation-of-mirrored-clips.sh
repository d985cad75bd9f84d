#!/bin/bash
# PyAV 18.1.0: VideoFrame.rotation calls a clip that is mirrored left to right "turned by -180 degrees", and one that is mirrored top
# to bottom "not turned at all". Both are display matrices that the MP4 format allows and that cameras on the user's side write.
# A reader that turns frames by this number shows the first clip chin up, the second unchanged. A true half turn is -180 as well, so
# the number alone cannot tell them apart; the matrix is in the side data of the frame, which says it all.
#
# Seen: half turn -180, left-right mirror -180, top-bottom mirror 0.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6
cat > "$work/look.py" <<'PY'
import struct
import sys

import av
import numpy as np

MATRICES = {"half turn": (-1, -1), "left-right mirror": (-1, 1), "top-bottom mirror": (1, -1)}
SEEN = {"half turn": -180, "left-right mirror": -180, "top-bottom mirror": 0}


def clip(path, across, down):
    """Four frames of 64 x 48 whose track header says how they are to be shown."""
    with av.open(path, "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(4):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode())
    data = bytearray(open(path, "rb").read())
    place = data.index(b"tkhd") + 4 + 40  # version 0: nine numbers of 16.16 and 2.30 bits
    numbers = [across << 16, 0, 0, 0, down << 16, 0, (64 if across < 0 else 0) << 16, (48 if down < 0 else 0) << 16, 1 << 30]
    data[place:place + 36] = struct.pack(">9i", *numbers)
    open(path, "wb").write(data)


found = {}
for name, (across, down) in MATRICES.items():
    path = f"{sys.argv[1]}/{name.replace(' ', '-')}.mp4"
    clip(path, across, down)
    with av.open(path) as container:
        found[name] = next(container.decode(video=0)).rotation
print(found)
sys.exit(found != SEEN)
PY
"$work/venv/bin/python" "$work/look.py" "$work"
