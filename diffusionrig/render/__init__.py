"""Rasteriser, shading, physical buffers. Pure, differentiable functions on tensors, on any device."""
