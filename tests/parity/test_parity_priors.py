"""Priors of every kind beside the original, teacher-forced: conditioning, logits, losses, gradients, features."""

import pytest
import torch

from jukebox_pl.models.losses import bits, prior_loss
from jukebox_pl.models.lyric_attention import lyric_attention
from jukebox_pl.nn.transformer import Transformer

PRIORS = ["prior_plain", "prior_nolabel", "prior_sep", "prior_single", "upsampler_level_1", "upsampler_level_0"]
WITH_LYRICS = ["prior_sep", "prior_single"]


@pytest.fixture(params=PRIORS)
def data(request, golden):
    return golden(request.param)


def condition(prior, data):
    return prior.condition(data.labels(), data.arrays.get("z_cond"))


def teacher_forced(prior, data):
    """Logits over all the symbols, lyrics included, of every position."""
    return prior.symbol_logits(data.arrays["z"][:, :-1] + prior.vocabulary, condition(prior, data))


def match_losses(match, data, prior, cond, golden, name):
    found = prior.losses(data.arrays["z"], cond)
    loss = prior_loss(found.codes, found.lyrics, prior.ctx, data.hps["n_tokens"], data.hps["prime_loss_fraction"])
    match(name, bits(found.codes), golden["gen_loss"], 1e-4, "relative")
    if found.lyrics is not None:
        match(name, bits(found.lyrics), golden["prime_loss"], 1e-4, "relative")
    match(name, bits(loss), golden["loss"], 1e-4, "relative")
    return bits(loss)


@torch.no_grad()
def test_conditioning(data, match):
    prior = data.model()
    cond, arrays = condition(prior, data), data.arrays
    for name, found in (("x_cond", cond.positions), ("y_cond", cond.start), ("encoder_kv", cond.states)):
        if name in arrays:
            match(f"{data.name}/{name}", found, arrays[name], 1e-5)


@torch.no_grad()
def test_parts_of_the_labels(data, match):
    prior, labels, arrays = data.model(), data.labels(), data.arrays
    if labels is None:
        assert len(prior.conditioners) == 0
        return
    match(f"{data.name}/artist_emb", prior.conditioners["labels"].artist(labels.artist).unsqueeze(1), arrays["artist_emb"])
    if "timing" in prior.conditioners:
        timing = prior.conditioners["timing"]
        parts = {"total_length_emb": timing.length, "absolute_pos_emb": timing.place, "relative_pos_emb": timing.fraction}
        for name, table in parts.items():
            alone = alone_in(timing, table, labels)
            match(f"{data.name}/{name}", alone[:, : arrays[name].shape[1]], arrays[name])


def alone_in(timing, table, labels):
    """What a timing conditioner adds when all its other tables are zero."""
    kept = table.weight.clone()
    saved = {name: part.weight.clone() for name, part in timing.named_children()}
    for part in timing.children():
        part.weight.zero_()
    table.weight.copy_(kept)
    alone = timing(labels)
    for name, part in timing.named_children():
        part.weight.copy_(saved[name])
    return alone


@torch.no_grad()
def test_logits(data, match):
    prior = data.model()
    match(f"{data.name}/logits", teacher_forced(prior, data), data.arrays["logits"], 5e-4)
    match_losses(match, data, prior, condition(prior, data), data.metrics["eval"], f"{data.name}/losses of eval")


@torch.no_grad()
def test_logits_in_half_precision(data, match):
    prior = data.model(torch.float16)
    halves = [part for part in prior.modules() if isinstance(part, Transformer)]
    assert halves
    assert all(part.dtype == torch.float16 for part in halves)
    tolerance = 0.05 * data.metrics["logit_std"]
    match(f"{data.name}/logits_fp16", teacher_forced(prior, data), data.arrays["logits_fp16"], tolerance)
    loss = bits(prior.losses(data.arrays["z"], condition(prior, data)).codes)
    match(f"{data.name}/losses of eval_fp16", loss, data.metrics["eval_fp16"]["bpd"], 1e-2, "relative")


def test_gradients(data, match):
    if "train" not in data.metrics:
        assert data.name == "prior_plain"  # half weights: recorded without gradients
        return
    prior = data.model()
    match_losses(
        match, data, prior, condition(prior, data), data.metrics["train"], f"{data.name}/losses of train"
    ).backward()
    data.match_gradients(match, prior)
    total = torch.stack([p.grad.norm() for p in prior.parameters() if p.grad is not None]).norm()
    match(f"{data.name}/grad_norm_total", total, data.metrics["grad_norm_total"], 1e-3, "relative")


@torch.no_grad()
def test_what_the_lyrics_encoder_knows(golden, match):
    data = golden("prior_sep")
    encoder, lyrics = data.model().lyrics, data.labels().lyrics
    found = []
    encoder.transformer.register_forward_hook(lambda module, inputs, output: found.append(output))
    encoder(lyrics)
    match("prior_sep/prime_acts", found[0], data.arrays["prime_acts"], 1e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", WITH_LYRICS)
def test_attention_to_the_lyrics(golden, match, name):
    data = golden(name)
    prior = data.model()
    ((_, looks),) = lyric_attention(prior, data.arrays["z"], condition(prior, data), [data.hps["alignment_layer"]])
    for head in range(data.hps["heads"]):
        match(f"{name}/align_w", looks[:, head], data.arrays["align_w"][:, head], 1e-5)
