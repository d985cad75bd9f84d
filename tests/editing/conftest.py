"""Fixtures of this folder."""

from seed_rig import checkpoint, rig

__all__ = ["checkpoint", "rig"]
