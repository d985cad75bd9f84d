"""Commands of the album that do at once, or when they are let, what the real ones do to its folder."""

import asyncio
import json
import shutil
import threading
from pathlib import Path


class Commands:
    """Stands in for ``studio.attending.Attended`` by being called. ``go`` lets a training come to its end; ``verdicts`` are what
    curate says of files, others stay; ``model`` is what a training leaves."""

    def __init__(self, model):
        self.model, self.begun, self.verdicts, self.fails = model, [], {}, {}
        self.go = threading.Event()
        self.go.set()

    def __call__(self, command, words):
        self.begun.append(Command(self, command, words))
        return self.begun[-1]

    def last(self, command):
        return next(one for one in reversed(self.begun) if one.command == command)


class Command:
    def __init__(self, all_of_them, command, words):
        self.all, self.command, self.words, self.stopped = all_of_them, command, words, False

    def value(self, flag):
        return Path(self.words[self.words.index(flag) + 1])

    async def run(self):
        self.sentence = self.all.fails.get(self.command, "")
        if self.sentence:
            return 1
        await getattr(self, self.command.replace("-", "_"))()
        return 0

    def stop(self):
        self.stopped = True

    kill = stop

    async def curate(self):
        source, out = Path(self.words[0]), self.value("-o")
        entries = [{"file": file.name, "verdict": self.all.verdicts.get(file.name, ("kept", ""))[0],
                    "reasons": [why for _, why in [self.all.verdicts.get(file.name, ("", ""))] if why]}
                   for file in sorted(source.iterdir())]
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(json.dumps({"command": "curate", "folder": str(source.resolve()), "notes": ["A note."],
                                                     "photographs": entries}))

    async def create_data(self):
        self.value("--output_dir").mkdir(parents=True, exist_ok=True)

    async def train(self):
        run, total = self.value("--log_dir"), int(str(self.value("--max_steps")))
        run.mkdir(parents=True, exist_ok=True)
        log = run / "progress.csv"
        done = len(log.read_text().splitlines()) - 1 if log.exists() else 0
        if not done:
            log.write_text("images/s,loss,step\n")
        while done < total and not self.stopped:
            if done >= 2 and not self.all.go.is_set():
                await asyncio.sleep(0.01)
                continue
            done += 1
            with log.open("a") as stream:
                stream.write(f"2.0,{1 / done},{done}\n")
        (run / f"state{done:06d}.pt").write_bytes(b"state")
        shutil.copy(self.all.model, run / f"model{done:06d}.safetensors")
