"""ComParE 2016 by openSMILE, an extra: 6373 functionals of a clip and 65 low-level descriptors every 10 ms."""

from __future__ import annotations

import importlib
from functools import cached_property
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.damage import short_reason
from diffusionrig.reactions.features.clip_data import ClipData
from diffusionrig.reactions.features.field import Field

HOP = 100.0
"""Rows a second of the low-level descriptors."""

SHORTEST = 0.06
"""Seconds of the longest window; of less sound every functional is NaN."""

LOUDEST = 32767 / 32768
"""openSMILE 2 multiplies by 32768 and casts to 16 bits, where 1.0 becomes -1.0."""


class ComParE:
    """``s_GeMapfunc`` and ``s_GeMaplld``: UniFR's names for what is ComParE_2016, not GeMAPS."""

    name = "comparE"

    def fields(self, fps: float) -> tuple[Field, ...]:
        undefined = "NaN where a descriptor is undefined"
        return (Field("s_GeMapfunc", 0, "Of the clip.", f"openSMILE, ComParE_2016, functionals; {undefined} (UniFR calls "
                      "them GeMAPS)."),
                Field("s_GeMaplld", HOP, "Row r is the window that starts at r / 100 s; windows are up to 60 ms long.",
                      f"openSMILE, ComParE_2016, low-level descriptors; {undefined} (UniFR calls them GeMAPS and flattens them)."))

    def missing(self) -> str:
        """Why it cannot be had here, in one sentence; empty when it can."""
        try:
            importlib.import_module("opensmile")
        except (ImportError, OSError) as error:
            return (f"comparE is left out, since the package opensmile cannot be imported ({short_reason(error)}); install it with "
                    'pip install "diffusionrig[audio]" (its licence is free for research only).')
        return ""

    @cached_property
    def machines(self) -> tuple[Any, Any]:
        opensmile: Any = importlib.import_module("opensmile")
        levels = opensmile.FeatureLevel
        return tuple(opensmile.Smile(feature_set=opensmile.FeatureSet.ComParE_2016, feature_level=level)  # type: ignore[return-value]
                     for level in (levels.Functionals, levels.LowLevelDescriptors))

    def extract(self, data: ClipData) -> dict[str, np.ndarray]:
        samples, rate = data.sound
        if len(samples) < round(SHORTEST * rate):
            raise RigError(f"{data.clip} has {1000 * len(samples) / rate:.0f} ms of sound, but ComParE's windows are "
                           f"{1000 * SHORTEST:.0f} ms long; leave the clip out, or comparE out of --features.")
        beyond = int((samples > LOUDEST).sum())
        if beyond:
            data.notes.append(f"{beyond} samples at full scale were clipped to {LOUDEST:.5f} for openSMILE, which would have made "
                              "-1 of them.")
            samples = np.minimum(samples, np.float32(LOUDEST))
        whole, rows = (np.asarray(machine.process_signal(samples, rate), np.float32) for machine in self.machines)
        if whole.shape != (1, 6373) or rows.shape[1:] != (65,):
            raise RigError(f"openSMILE gave arrays {whole.shape} and {rows.shape} for {data.clip}, but (1, 6373) and (rows, 65) "
                           "are needed; the sound may be too short, or the package of another version than 2.")
        return {"s_GeMapfunc": whole[0], "s_GeMaplld": rows}
