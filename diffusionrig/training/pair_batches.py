"""Batches of the reference condition: pairs of photographs, and single ones there and back, made as they are needed."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.kept_pairs import KeptPairs
from diffusionrig.data.pairs import PairMaker, require_codes
from diffusionrig.errors import UsageError
from diffusionrig.model.config import PICTURE, ModelConfig
from diffusionrig.render.condition import CHANNELS
from diffusionrig.training.batches import Batch, Faces, Loader, Shown
from diffusionrig.training.distributed import World
from diffusionrig.training.learned import store_names
from diffusionrig.training.options import TrainOptions

HEAD = sum(list(CHANNELS.values())[:list(CHANNELS).index("heads")])
"""Channel of the edited head."""


class PairFaces(Faces):
    """Stores that a run learns the reference condition from; ``dataset`` is the first of them."""

    def __init__(self, datasets: Sequence[FaceStoreDataset], options: TrainOptions) -> None:
        require_codes(datasets)
        super().__init__(datasets[0])
        if self.head is None:
            from diffusionrig.geometry.heads import load_head

            self.head = load_head(datasets[0].header["head"])
        self.datasets = [self.dataset, *(FaceStoreDataset(one.path, one.image_size, self.head) for one in datasets[1:])]
        self._seed, self._album = options.seed, options.stage == 2
        self._shares = shares(options.data_shares)

    @property
    def maker(self) -> PairMaker:
        """Makes the samples of these stores."""
        if self.head is None:  # cannot be: set above
            raise RuntimeError("a store of pairs needs a head model")
        return PairMaker(self.datasets, self.head, self._seed, self._shares, self._album)

    @property
    def stores(self) -> list[FaceStoreDataset]:
        return self.datasets

    def __len__(self) -> int:
        return sum(map(len, self.datasets))

    def only(self, records: Sequence[int]) -> PairFaces:
        part = copy.copy(self)
        part.datasets = [self.datasets[0].only(records)]
        part.dataset = part.datasets[0]
        return part

    def shown(self, indices: Sequence[int]) -> Shown:
        with torch.no_grad():
            made = self.maker.make_records(list(indices))
        return Shown(made.truth, made.condition, made.condition[:, HEAD:HEAD + 1] > 0.5, (made.condition[:, PICTURE] + 1) / 2,
                     made.weight)

    def loader(self, options: TrainOptions, world: World, samples_seen: int) -> Loader:
        maker: PairMaker | KeptPairs = self.maker
        if options.distinct_samples:
            maker = KeptPairs(self.maker, options.distinct_samples, options.keep_samples)

        def make(samples: list[int]) -> Batch:
            with torch.no_grad():
                made = maker.make(samples)
            return Batch(samples, made.records, made.truth, made.condition, made.truth[:0], made.weight)

        return Loader(make, lambda: None)


def make_faces(options: TrainOptions, model: ModelConfig) -> Faces:
    """The stores that ``--data_dir`` names, read as the condition of ``model`` needs them."""
    if model.condition == "buffers":
        if options.data_shares:
            raise UsageError("--data_shares belongs to several stores and --condition reference; leave it out.")
        return Faces(FaceStoreDataset(options.data_dir, model.image_size))
    names = store_names(options)
    if len(names) > 1 and options.stage == 2:
        raise UsageError("--stage 2 learns one person from one store; name that alone as --data_dir.")
    return PairFaces([FaceStoreDataset(name, model.image_size) for name in names], options)


def shares(text: str) -> list[float]:
    """``--data_shares`` as numbers; UsageError when it is none."""
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise UsageError(f"--data_shares {text!r} is not a list of numbers such as 1,0.5.") from None
