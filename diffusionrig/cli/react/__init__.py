"""The commands of ``diffusionrig react``, listener reactions; each lives in a file of its own here."""

COMMANDS: dict[str, str] = {
    "train": "train a generator of reactions, phase by phase",
}
