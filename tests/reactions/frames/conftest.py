"""Fixtures of this folder."""

from seed_rig import checkpoint, reference_checkpoint, rig

__all__ = ["checkpoint", "reference_checkpoint", "rig"]
