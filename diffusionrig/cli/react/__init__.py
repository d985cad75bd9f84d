"""The commands of ``diffusionrig react``, listener reactions; each lives in a file of its own here."""

COMMANDS: dict[str, str] = {
    "synth": "write a synthetic corpus of conversations whose truth is known",
}
