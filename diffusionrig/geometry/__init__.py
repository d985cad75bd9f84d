"""Face codes, head models, skinning, rotations, cameras, landmarks. Pure functions on tensors."""
