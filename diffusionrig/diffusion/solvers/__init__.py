"""Multistep solvers: fewer calls of the denoiser for the same image. Pure functions like ``diffusion.samplers``."""
