"""Predictors without a network, to know what a score is worth: random, mime, means, nearest neighbour, and the truth itself."""
