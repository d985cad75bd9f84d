"""Generators of listener reactions: published systems and one of ours, trained by the loop of the rig on one data interface."""
