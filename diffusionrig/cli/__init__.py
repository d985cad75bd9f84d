"""The command line: ``diffusionrig COMMAND``. This file is the table of commands; each lives in a file of its own. A group of
commands (``diffusionrig react COMMAND``) is a folder with a table of its own.

A command module offers ``add_arguments(parser)`` and ``run(args) -> int | None``; ``DESCRIPTION`` and ``EXAMPLES``
(shown by ``--help``) are strings. Commands raise RigError (status 1) or UsageError (status 2) with one sentence.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from diffusionrig import __version__
from diffusionrig.cli.arguments import add_threads_argument
from diffusionrig.cli.choosing_threads import computing_threads
from diffusionrig.cli.last_catch import flush_or_silence, sentence_of, show_cause, show_traceback, silence
from diffusionrig.errors import RigError
from diffusionrig.io.paths import reason
from diffusionrig.io.temporary_files import sweep_again
from diffusionrig.shown import guarded_streams, one_line

COMMANDS: dict[str, str] = {
    "align": "cut FFHQ-aligned faces out of photographs",
    "curate": "choose the photographs of an album that are worth training on",
    "create-data": "capture a folder of aligned faces into a store for training",
    "train": "train stage 1 (everyone) or stage 2 (one person)",
    "ema": "make a model of any averaging width after training",
    "plot": "draw the curves of a training run",
    "edit": "give a source face the expression, pose or light of a target",
    "studio": "edit a face by hand on a page of this machine, live",
    "capture": "turn photographs into face codes, buffers and meshes",
    "evaluate": "measure what a checkpoint draws: control, likeness, truth, time",
    "synth": "make synthetic people with known face codes",
    "inspect": "show what a store or a model holds, with a picture",
    "convert-assets": "turn registered files into plain ones, once, so that no pickle is read again",
    "doctor": "say what this installation can do and what is missing",
    "demo": "run the whole chain on the shipped prior",
    "verify": "read back the provenance of an edited image",
}
GROUPS: dict[str, str] = {"react": "listener reactions: data, features, metrics, generators, frames"}
# They read, count and draw curves, or (align) have workers instead; all others take --threads.
WITHOUT_THREADS = {"align", "ema", "plot", "inspect", "convert-assets", "verify", "react index", "react check"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, one_line(f"{self.prog}: {message} (see {self.prog} --help)") + "\n")


def command_parser(command: str, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of one command, with its description and examples."""
    module = _module(command)
    parser = _Parser(prog=prog or f"diffusionrig {command}", description=module.DESCRIPTION,
                     epilog=f"examples:\n{module.EXAMPLES}", formatter_class=argparse.RawDescriptionHelpFormatter)
    module.add_arguments(parser)
    if command not in WITHOUT_THREADS:
        # A command with actions of its own (react coefficients train) has flags on these alone.
        actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        for each in [own for action in actions for own in action.choices.values()] or [parser]:
            add_threads_argument(each)
    return parser


def _threads(command: str, argv: Sequence[str], prog: str) -> contextlib.AbstractContextManager[None]:
    """``--threads``, found before anything else: a command's flags alone load PyTorch, which reads its settings then."""
    if command in WITHOUT_THREADS or {"-h", "--help"} & set(argv):
        return contextlib.nullcontext()
    parser = _Parser(prog=prog, add_help=False)
    add_threads_argument(parser)
    return computing_threads(parser.parse_known_args(argv)[0].threads)


def run_command(command: str, argv: Sequence[str] | None = None, prog: str | None = None, **defaults: object) -> int:
    """Run one command and return its exit status; whatever it raises becomes one sentence. ``defaults`` are those of its flags in
    which a script differs from the command."""
    name = prog or f"diffusionrig {command}"
    with guarded_streams():
        try:
            status = _run(command, sys.argv[1:] if argv is None else argv, name, prog, defaults)
        except RigError as error:
            show_cause(error)
            return _ended(name, str(error), error.exit_code)
        except KeyboardInterrupt:
            return _ended(name, "interrupted.", 130)
        except BrokenPipeError:
            # The reader of a pipe (head, less) went away: no error of ours; silence the flush at exit as well.
            silence()
            return 0
        except Exception as error:
            if show_traceback():
                raise
            return _ended(name, sentence_of(error), 1)
        failed = flush_or_silence()
        if failed is None or isinstance(failed, BrokenPipeError):
            return status
        return _ended(name, f"Cannot write to standard output: {reason(failed)}.", 1)


def _run(command: str, words: Sequence[str], name: str, prog: str | None, defaults: dict[str, object]) -> int:
    sweep_again()
    with _threads(command, words, name):
        module = _module(command)
        parser = command_parser(command, prog)
        parser.set_defaults(**defaults)
        args = parser.parse_args(words)
        with _assets(args):
            return int(module.run(args) or 0)


def _ended(name: str, sentence: str, status: int) -> int:
    print(one_line(f"{name}: {sentence}"), file=sys.stderr)
    return status


def _module(command: str) -> ModuleType:
    """The module of ``train`` or, in a group, of ``react check``."""
    return importlib.import_module(f"diffusionrig.cli.{command.replace('-', '_').replace(' ', '.')}")


def _assets(args: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    if not getattr(args, "assets", ""):
        return contextlib.nullcontext()
    from diffusionrig.io.assets import assets_in

    return assets_in(args.assets)


def _overview(commands: dict[str, str], group: str = "") -> str:
    width = max(map(len, commands), default=0)
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in commands.items())
    prog = f"diffusionrig {group}".strip()
    return (f"diffusionrig {__version__}: personalised diffusion editing of faces\n\nusage: {prog} COMMAND [FLAGS]\n\n"
            f"commands:\n{rows}\n\n'{prog} COMMAND --help' explains a command and shows examples.")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``diffusionrig`` command."""
    with guarded_streams():
        return _main(list(sys.argv[1:] if argv is None else argv))


def _main(words: list[str]) -> int:
    commands, group = {**COMMANDS, **GROUPS}, ""
    if words and words[0] in GROUPS:
        group = words.pop(0)
        commands = importlib.import_module(f"diffusionrig.cli.{group}").COMMANDS
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview(commands, group))
        return 0
    if words[0] in {"-V", "--version"}:
        print(f"diffusionrig {__version__}")
        return 0
    if words[0] not in commands:
        where = f" in diffusionrig {group}" if group else ""
        print(f"diffusionrig: there is no command {words[0]!r}{where}; choose one of {', '.join(commands)}.", file=sys.stderr)
        return 2
    return run_command(f"{group} {words[0]}".strip(), words[1:])
