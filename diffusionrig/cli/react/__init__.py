"""The commands of ``diffusionrig react``, listener reactions; each lives in a file of its own here."""

COMMANDS: dict[str, str] = {
    "render": "draw predicted coefficients as frames and videos of the listener",
}
