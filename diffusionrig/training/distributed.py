"""The processes of a training run: started plainly, by ``mpiexec -n N``, by torchrun, or by ``srun -n N``.

The only module that knows MPI and torch.distributed. MPI is used to hand round one address and is left again at once;
gradients travel over NCCL on GPUs and gloo on CPUs.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from diffusionrig.errors import RigError
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.training.heartbeat import Heartbeat, LastWord
from diffusionrig.training.launch import SLURM, Launch, local_device, read_launch, share_cores
from diffusionrig.training.slurm import slurm_meeting

Value = TypeVar("Value")

LOST = ("A process of this training job was lost (killed, out of memory, or its machine is gone), so the job ends here; "
        "start the same command again to continue from the last save.")
ALONE = LOST.replace("A process of this training job was lost", "The training process was lost").replace("so the job", "so it")
_BROKEN = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|process ?group|TCPStore|socket", re.IGNORECASE)
LINGER = 5.0  # seconds other ranks give rank 0 to print its sentence before a launcher kills everyone


class World:
    """The running job: ``rank`` of ``size``, the ``device`` of this process, and the few collectives training needs."""

    def __init__(self, launch: Launch, device: torch.device, backend: str) -> None:
        self.rank, self.size, self.local_rank = launch.rank, launch.size, launch.local_rank
        self.local_size, self.launcher = launch.local_size, launch.launcher
        self.device, self.backend = device, backend
        self._heartbeat: Heartbeat | None = None
        self._last_word: LastWord | None = None

    @property
    def main(self) -> bool:
        """Whether this is rank 0, which writes the files."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of ``tensor`` over all ranks, in place; every rank gets the same bits."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_with_gradient(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks; its gradient is summed over them as well."""
        return tensor if self.size == 1 else _SumOverRanks.apply(tensor)

    def gather(self, tensor: Tensor) -> Tensor:
        """Tensors of all ranks, equal in shape, joined along the first axis in rank order."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def share(self, value: Value | None) -> Value:
        """What rank 0 passes in, on every rank."""
        box: list[Any] = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def collect(self, value: Value) -> list[Value]:
        """What every rank passes in, in rank order, on rank 0; an empty list on the others."""
        if self.size == 1:
            return [value]
        parts: list[Any] | None = [None] * self.size if self.main else None
        dist.gather_object(value, parts, dst=0)
        return parts or []

    def on_main(self, work: Callable[[], Value]) -> Value:
        """Run ``work`` on rank 0 and give every rank its result. When it fails, rank 0 raises the error and the others
        leave silently with its exit status, so that one sentence is printed for the whole job."""
        result, failure = None, None
        if self.main:
            try:
                result = work()
            except RigError as error:
                failure = error
        outcome = self.share((result, None if failure is None else failure.exit_code))
        if failure is not None:
            raise failure
        if not self.main and outcome[1] is not None:
            if self._heartbeat is not None:
                self._heartbeat.stop()
            time.sleep(LINGER)
            raise SystemExit(outcome[1])
        return outcome[0]  # type: ignore[return-value]

    @contextlib.contextmanager
    def holding(self, folder: str | Path, command: str) -> Iterator[None]:
        """Hold ``folder`` for the whole job, so that no other writes to it; RigError while another does."""
        with contextlib.ExitStack() as held:
            self.on_main(lambda: held.enter_context(folder_lock(folder, command)))
            yield

    def parallel(self, module: nn.Module) -> nn.Module:
        """``module`` wrapped so that gradients are averaged over the ranks; itself when there is one rank."""
        if self.size == 1:
            return module
        from torch.nn.parallel import DistributedDataParallel

        ids = [self.device.index] if self.device.type == "cuda" else None
        with warnings.catch_warnings():
            # Newer torch renames broadcast_buffers, older torch knows no other name.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(module, device_ids=ids, broadcast_buffers=False, bucket_cap_mb=128,
                                           gradient_as_bucket_view=True)

    def keep_log(self, log: Path) -> None:
        """Where the sentence about a lost process is recorded too: standard error may be gone by then."""
        if self._last_word is not None:
            self._last_word.write_to(log)

    @contextlib.contextmanager
    def peers(self) -> Iterator[None]:
        """Turn the many ways a broken connection shows up into one sentence."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _BROKEN.search(str(error)):
                raise
            if self.rank > 1:
                # Ranks 0 and 1 say it; that is enough for a job of any size.
                raise SystemExit(1) from error
            raise RigError(LOST) from error

    def close(self, clean: bool) -> None:
        """Leave the job; ``clean`` when this process ended well, so that it waits for the others."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if clean and dist.is_initialized():
            with contextlib.suppress(RuntimeError):
                dist.barrier()
            dist.destroy_process_group()
        if self._last_word is not None:
            self._last_word.withdraw()


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


@contextlib.contextmanager
def start_world(device: str = "auto") -> Iterator[World]:
    """Join the job this process was started in, and leave it at the end of the block.

    UsageError when the asked device does not fit the number of processes; RigError when the job cannot be formed.
    """
    launch = read_launch()
    chosen = local_device(device, launch)
    share_cores(chosen, launch)
    world = World(launch, chosen, "none" if launch.size == 1 else ("nccl" if chosen.type == "cuda" else "gloo"))
    if world.main:
        world._last_word = LastWord(LOST if launch.size > 1 else ALONE)
    clean = False
    try:
        if launch.size > 1:
            _join(world, launch)
        with world.peers():
            yield world
        clean = True
    finally:
        world.close(clean)


def _join(world: World, launch: Launch) -> None:
    one_machine = launch.local_size == launch.size
    if one_machine and world.backend == "gloo" and "GLOO_SOCKET_IFNAME" not in os.environ:
        # Host names that resolve nowhere (containers) stop gloo; within a machine the loopback device always works.
        names = {name for _, name in socket.if_nameindex()}
        loopback = next((name for name in ("lo", "lo0") if name in names), None)
        if loopback:
            os.environ["GLOO_SOCKET_IFNAME"] = loopback
    backend = "cpu:gloo,cuda:nccl" if world.backend == "nccl" else "gloo"
    try:
        if launch.launcher == "mpi":
            store = _mpi_rendezvous(launch, one_machine)
            dist.init_process_group(backend, store=store, rank=launch.rank, world_size=launch.size)
        elif launch.launcher == SLURM:
            host, port = slurm_meeting(os.environ, one_machine)
            dist.init_process_group(backend, store=_open_store(host, port, launch), rank=launch.rank, world_size=launch.size)
        else:
            dist.init_process_group(backend, init_method="env://", rank=launch.rank, world_size=launch.size)
        world._heartbeat = _start_heartbeat(world, one_machine)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RigError(f"The {launch.size} processes of the job could not reach each other ({reason}); check that all were "
                       "started and that no firewall is between them.") from error


def _mpi_rendezvous(launch: Launch, one_machine: bool) -> dist.Store:
    """Rank 0 opens a store on a free port and MPI tells the others where."""
    try:
        # RuntimeError: mpi4py is installed but finds no MPI library.
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise RigError(f"mpiexec started {launch.size} processes, but mpi4py cannot be used ({str(error).splitlines()[0]}); "
                       "pip install mpi4py mpich, or start with torchrun.") from error
    if MPI.COMM_WORLD.Get_size() != launch.size:
        raise RigError(f"mpiexec started {launch.size} processes, but mpi4py sees {MPI.COMM_WORLD.Get_size()}: they come from "
                       "different MPI installations; use the mpiexec of this environment, or torchrun.")
    store, place = None, None
    if launch.rank == 0:
        host = _address(one_machine)
        store = _open_store(host, 0, launch)
        place = (host, store.port)
    host, port = MPI.COMM_WORLD.bcast(place)
    # MPI has done its part. Left open, its exit handler would wait for ranks that are gone.
    MPI.Finalize()
    return store or _open_store(host, port, launch)


def _open_store(host: str, port: int, launch: Launch) -> dist.TCPStore:
    """The store where the processes meet: rank 0 opens it, the others wait until it is there."""
    return dist.TCPStore(host, port, launch.size, is_master=launch.rank == 0, wait_for_workers=False,
                         timeout=timedelta(seconds=120))


def _address(one_machine: bool) -> str:
    """An address of this machine that the other ranks can reach."""
    if one_machine:
        return "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # No packet is sent: connecting a datagram socket only asks the routing table.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostbyname(socket.gethostname())


def _start_heartbeat(world: World, one_machine: bool) -> Heartbeat:
    store, place = None, None
    if world.main:
        host = _address(one_machine)
        store = dist.TCPStore(host, 0, world.size, is_master=True, wait_for_workers=False)
        place = (host, store.port)
    host, port = world.share(place)
    if store is None:
        store = dist.TCPStore(host, port, world.size, is_master=False, timeout=timedelta(seconds=60))
    return Heartbeat(store, world.rank, world.size, lambda: _give_up(world))


def _give_up(world: World) -> None:
    # Runs in the heartbeat's thread while the main thread waits in a collective that will never return.
    if world._last_word is not None:
        world._last_word.speak()
    elif world.rank == 1:
        print(LOST, file=sys.stderr, flush=True)
    os._exit(1)
