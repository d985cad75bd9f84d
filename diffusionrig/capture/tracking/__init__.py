"""One person through a clip: who it is is found once, and each frame starts from the last."""
