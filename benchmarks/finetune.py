"""What fine-tuning is worth: bits a code of a prior on new and on old songs, by what is trained, with and without KL.

    python benchmarks/finetune.py BUNDLE NEW_CODES OLD_CODES --steps 200 --seeds 2

NEW_CODES and OLD_CODES are folders of shards with codes, RUN/codes/shards. A plain loop: no averages, the rate rises over 20
steps and falls to zero over the second half.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch.nn.utils import clip_grad_norm_

from datamodules.codes import CodesDataModule
from jukebox_pl import checkpoints
from jukebox_pl.catalog.shards import Catalog
from jukebox_pl.evaluation.moved import Moved, Under
from jukebox_pl.models.surgery import grown_state
from jukebox_pl.nn.adapters import AdapterConfig
from jukebox_pl.pipeline.moved import coded_songs
from jukebox_pl.training.modules.prior import FrozenCopy
from jukebox_pl.training.tuning import AdapterTuning, WholePrior

LORA, DORA = AdapterConfig("lora", 16), AdapterConfig("dora", 16)
# What is trained, at which rate, and the weight of the KL. `scratch` begins with random weights.
ROWS = {
    "scratch": (WholePrior(), 2e-3, 0.0),
    "all": (WholePrior(), 1e-3, 0.0),
    "all, KL 0.5": (WholePrior(), 1e-3, 0.5),
    "lora": (AdapterTuning(layers=LORA, codes=True), 3e-3, 0.0),
    "lora, KL 0.5": (AdapterTuning(layers=LORA, codes=True), 3e-3, 0.5),
    "dora": (AdapterTuning(layers=DORA, codes=True), 3e-3, 0.0),
    "dora, KL 0.5": (AdapterTuning(layers=DORA, codes=True), 3e-3, 0.5),
    "lora of layers alone": (AdapterTuning(layers=LORA), 3e-3, 0.0),
    "lora of layers alone, faster": (AdapterTuning(layers=LORA), 1e-2, 0.0),
    "lora of layers alone, rank 64, faster": (AdapterTuning(layers=AdapterConfig("lora", 64)), 1e-2, 0.0),
    "embeddings and codes": (AdapterTuning(codes=True), 1e-2, 0.0),
    "embeddings": (AdapterTuning(), 1e-2, 0.0),
    "embeddings, KL 0.5": (AdapterTuning(), 1e-2, 0.5),
}


def train(prior, data, base, rate, kl_weight, steps, seed):
    """Seconds a step on this process's processor time."""
    torch.manual_seed(seed)
    parameters = [parameter for parameter in prior.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=0.0)
    began = time.process_time()
    batches = iter(data.train_dataloader())
    for step in range(steps):
        batch = next(batches, None)
        if batch is None:
            batches = iter(data.train_dataloader())
            batch = next(batches)
        logits = base(batch) if kl_weight else None
        losses = prior.losses(batch.codes, prior.condition(batch.labels, batch.upper), base=logits)
        loss = losses.codes + (0 if losses.lyrics is None else 0.1 * losses.lyrics)
        loss = loss + (kl_weight * losses.kl if kl_weight else 0)
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 20, 2 * (steps - step) / steps)
        optimizer.step()
    return (time.process_time() - began) / steps


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("new")
    parser.add_argument("old")
    parser.add_argument("--level", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list(ROWS))
    given = parser.parse_args()
    bundle = checkpoints.load_bundle(given.bundle)
    place = given.bundle / checkpoints.read_bundle(given.bundle).priors[str(given.level)]
    before, known = bundle.priors[given.level], bundle.labellers[given.level]
    songs = {name: list(coded_songs(Catalog.load(getattr(given, name)), bundle.vqvae, 8)) for name in ("new", "old")}
    print("| what | seed | rate | numbers trained | new songs | old songs | KL, new | KL, old | CPU s a step |", flush=True)
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for seed in range(given.seeds):
        for name in given.only:
            tuning, rate, kl_weight = ROWS[name]
            windows = {"ctx": before.ctx, "lyric_tokens": known.lyric_tokens}
            data = CodesDataModule(given.new, given.level, batch_size=given.batch, label_dropout=0.1, seed=seed, **windows)
            data.labeller = known.extended(data.labeller)
            data.setup("fit")
            config = checkpoints.with_tables_for(checkpoints.read_config(place).model, data.labeller)
            torch.manual_seed(seed)
            state = (
                checkpoints.build(config).state_dict() if name == "scratch" else grown_state(before, known, data.labeller)
            )
            prior = checkpoints.assemble(config, {key: x.clone() for key, x in state.items()}).train()
            tuning.prepare(prior)
            base = FrozenCopy(prior) if kl_weight else None
            seconds = train(prior, data, base, rate, kl_weight, given.steps, seed)
            prior.eval()
            found = []
            for which, count in (("new", 16), ("old", 2)):
                moved = Moved(Under(before, known), Under(prior, data.labeller), given.level, bundle.vqvae.hops, count)
                for song, codes in songs[which]:
                    moved.add(song, codes)
                found.append(moved.figures())
            new, old = found
            if seed == 0 and name == given.only[0]:
                print(f"| nothing | - | - | 0 | {new.base_bpd:.3f} | {old.base_bpd:.3f} | 0 | 0 | - |", flush=True)
            trained = sum(parameter.numel() for parameter in prior.parameters() if parameter.requires_grad)
            bits = " | ".join(f"{value:.3f}" for value in (new.tuned_bpd, old.tuned_bpd, new.kl, old.kl))
            print(f"| {name} | {seed} | {rate:g} | {trained:,} | {bits} | {seconds:.3f} |", flush=True)


if __name__ == "__main__":
    main()
