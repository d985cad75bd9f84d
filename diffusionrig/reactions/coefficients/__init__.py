"""Attributes to coefficients: a bidirectional LSTM from 25 facial attributes to the 58 numbers that renderers take."""
