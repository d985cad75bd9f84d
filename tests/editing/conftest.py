"""Fixtures of this folder."""

from seed_rig import checkpoint, reference_checkpoint, reference_rig, rig

__all__ = ["checkpoint", "reference_checkpoint", "reference_rig", "rig"]
