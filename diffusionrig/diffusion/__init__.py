"""Schedules, samplers, losses: mathematics over any denoiser, nothing of ours imported."""
