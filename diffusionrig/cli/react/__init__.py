"""The commands of ``diffusionrig react``, listener reactions; each lives in a file of its own here."""

COMMANDS: dict[str, str] = {
    "synth": "write a synthetic corpus of conversations whose truth is known",
    "index": "write the lists of pairs and the matrices that a corpus lacks",
    "check": "report what is missing, short, misnamed or damaged in a corpus",
    "render": "draw predicted coefficients as frames and videos of the listener",
}
