"""Reading frames of a video, through PyAV, which carries its own codecs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.files import existing_file


def frames_at(path: str | Path, shares: Sequence[float] | np.ndarray) -> Iterator[np.ndarray]:
    """The frames at these increasing shares (0..1) of a video's length, each (H, W, 3) uint8 RGB.

    Decodes once from the start, so it is exact for every codec. RigError when the file cannot be decoded or is empty.
    """
    import av

    file = existing_file(path, "video")
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            total = stream.frames or sum(1 for _ in container.decode(stream))
            if total == 0:
                raise RigError(f"The video {file} holds no frames.")
            wanted = [min(int(share * total), total - 1) for share in shares]
            container.seek(0)
            position = 0
            for index, frame in enumerate(container.decode(stream)):
                while position < len(wanted) and wanted[position] == index:
                    yield np.asarray(frame.to_ndarray(format="rgb24"))
                    position += 1
                if position == len(wanted):
                    return
    except (av.FFmpegError, IndexError) as error:
        raise RigError(f"The video {file} cannot be decoded ({error}); convert it to MP4.") from error
