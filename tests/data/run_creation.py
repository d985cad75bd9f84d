"""Run create_store with the fakes in a process of its own: FOLDER OUTPUT [key=value ...]."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from store_fakes import FakeEncoder, FakeHead

from diffusionrig.data.creation import CreationOptions, create_store
from diffusionrig.errors import RigError
from diffusionrig.training.distributed import start_world

if __name__ == "__main__":
    given = dict(word.split("=") for word in sys.argv[3:])
    options = CreationOptions((sys.argv[1],), sys.argv[2], image_size=32, batch_size=int(given.get("batch", 2)),
                              use_meanshape=given.get("mean") == "1", store_buffers=given.get("buffers", "none"))
    encoder = FakeEncoder(float(given.get("seconds", 0)))
    try:
        with start_world("cpu") as world:
            create_store(options, encoder, FakeHead(), world)
    except RigError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    print("captured", encoder.seen, flush=True)
