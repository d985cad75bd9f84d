"""From a photograph to a FaceCode: a registry of encoders."""
