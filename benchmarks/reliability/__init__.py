"""Valid small files of every kind, ways to damage them, and the readers that must survive it."""
