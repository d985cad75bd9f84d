"""The 25 facial attributes of the REACT corpora, in the order of their csv files, and the parts of the 58 coefficients."""

from __future__ import annotations

AU_COLUMNS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU9", "AU10", "AU12", "AU14", "AU15", "AU17", "AU23", "AU24", "AU25", "AU26")
"""Action units, occurrences 0 or 1 (columns 0 to 14)."""

VA_COLUMNS = ("valence", "arousal")
"""In -1..1 (columns 15 and 16)."""

EXPRESSION_COLUMNS = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
"""Probabilities (columns 17 to 24)."""

COLUMNS = AU_COLUMNS + VA_COLUMNS + EXPRESSION_COLUMNS

N_COEFFICIENTS = 58
"""52 expression coefficients in the order of ``geometry.arkit.ARKIT_NAMES``, 3 angles in radians, 3 of translation."""
