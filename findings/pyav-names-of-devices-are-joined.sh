#!/bin/bash
# PyAV 18.1.0: av.formats_available names a device or demuxer of several names by all of them in one string with commas, so that
# asking whether a camera's format is there says no where it is: "v4l2" is not in the set, "video4linux2,v4l2" is, and
# ContainerFormat("v4l2") is a format that can be read. Whoever chooses the camera of a platform by that set finds none on Linux.
#
# Seen: 'v4l2' in the set False, joined name in the set True, ContainerFormat('v4l2').is_input True; the same for "matroska,webm",
# of which "matroska" and "webm" are in the set, too, because there are writers of these names.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q av==18.1.0
cat > "$work/names.py" <<'PY'
import sys

import av

names = av.formats_available
found = {"v4l2": "v4l2" in names, "video4linux2,v4l2": "video4linux2,v4l2" in names,
         "readable as v4l2": av.format.ContainerFormat("v4l2").is_input,
         "matroska,webm": "matroska,webm" in names, "matroska": "matroska" in names, "webm": "webm" in names}
print(found)
sys.exit(found != {"v4l2": False, "video4linux2,v4l2": True, "readable as v4l2": True, "matroska,webm": True, "matroska": True,
                   "webm": True})
PY
"$work/venv/bin/python" "$work/names.py"
