"""The commands of ``diffusionrig react``, listener reactions; each lives in a file of its own here."""

COMMANDS: dict[str, str] = {
    "synth": "write a synthetic corpus of conversations whose truth is known",
    "index": "write the lists of pairs and the matrices that a corpus lacks",
    "check": "report what is missing, short, misnamed or damaged in a corpus",
    "prepare": "write the features of a split's speakers: faces, coefficients, sound, attributes",
    "predict": "answer every item of a split by a rule, for comparison",
    "coefficients": "learn coefficients from attributes, and apply what was learnt",
    "train": "train a generator of reactions, phase by phase",
    "generate": "let a trained generator answer every item of a split",
    "live": "let a trained generator react while the speaker's frames come in",
    "evaluate": "score predicted reactions, as published and with the defects mended",
    "render": "draw predicted coefficients as frames and videos of the listener",
}
