"""The VQ-VAE beside the original: codes, sound, losses, gradients, and the moving codebook."""

import pytest
import torch

from jukebox_pl.models.losses import Bandwidth, VQVAELoss, WaveformLoss, spectral_convergence
from jukebox_pl.nn.codebook import Codebook

LEVELS, STEPS = range(3), range(3)
RELEASED = VQVAELoss()
WEIGHINGS = {"l1": WaveformLoss(1, 0, 0), "l2": WaveformLoss(0, 1, 0), "linf": WaveformLoss(0, 0, 1)}


@pytest.fixture(scope="module")
def data(golden):
    return golden("vqvae")


@pytest.fixture
def vqvae(data):
    return data.model()


def sound(array):
    """The original's [N, T, 1] as [N, 1, T]."""
    return array.transpose(1, 2)


def losses(data, model, audio, weighing=RELEASED):
    """The total and every component under the original's names, which count levels from 1."""
    bandwidth = Bandwidth(**data.hps["bandwidth"])
    output = model(audio)
    levels = list(zip(output.recons, output.commit_losses, strict=True))
    weighed = sum(weighing.weigh(weighing.components(audio, *level, bandwidth)) for level in levels)
    with torch.no_grad():  # where those of weight 0 are reported too
        parts = [weighing.components(audio, *level, bandwidth) for level in levels]
    named = {f"{name}_loss_l{i + 1}": part[name] for i, part in enumerate(parts) for name in part if name != "commit"}
    named |= {f"{name}_loss": sum(part[name] for part in parts) for name in parts[0]}
    bottom = output.recons[0]
    named["l1_loss"] = (audio - bottom).abs().mean() / bandwidth.l1
    named["l2_loss"] = (audio - bottom).square().mean() / bandwidth.l2
    named["linf_loss"] = WaveformLoss(l1=0.0, l2=0.0, linf=1.0, linf_count=2048)(audio, bottom, bandwidth)
    named["spectral_convergence"] = spectral_convergence(audio, bottom).mean()
    named["loss"] = weighed
    return named, output


@pytest.mark.parametrize("level", LEVELS)
def test_codes_and_sound(data, vqvae, match, level):
    arrays = data.arrays
    audio = sound(arrays["x"])
    with torch.no_grad():
        match("vqvae/enc", vqvae.levels[level].encoder(audio), arrays[f"enc_l{level}"], 1e-4)
        match("vqvae/z", vqvae.encode(audio, [level])[0], arrays[f"z_l{level}"])
        match("vqvae/dec", vqvae.decode(arrays[f"z_l{level}"], level), sound(arrays[f"dec_l{level}"]), 1e-4)


def test_forward_and_every_loss(data, vqvae, match):
    with torch.no_grad():
        found, output = losses(data, vqvae, sound(data.arrays["x"]))
    match("vqvae/eval_x_out", output.recons[0], sound(data.arrays["eval_x_out"]), 1e-4)
    for name, value in data.metrics["eval_forward"].items():
        match("vqvae/losses of eval_forward", found[name], value, 1e-4, "relative")


@pytest.mark.parametrize("kind", WEIGHINGS)
def test_other_waveform_losses(data, vqvae, match, kind):
    with torch.no_grad():
        found, _ = losses(data, vqvae, sound(data.arrays["x"]), VQVAELoss(WEIGHINGS[kind]))
    for name, value in data.metrics[f"eval_forward_{kind}"].items():
        match(f"vqvae/losses of eval_forward_{kind}", found[name], value, 1e-4, "relative")


def test_the_relative_spectral_loss(data, vqvae, match):
    audio = sound(data.arrays["x"])
    with torch.no_grad():
        for i, recon in enumerate(vqvae(audio).recons, start=1):
            golden = data.metrics["eval_forward_relative_specloss"][f"spectral_loss_l{i}"]
            match(
                "vqvae/eval_forward_relative_specloss", spectral_convergence(audio, recon).mean(), golden, 1e-4, "relative"
            )


def random_rows(data, monkeypatch, prefix):
    """Makes the codebooks of a model draw what the original drew, level after level, step after step."""
    drawn = [data.arrays[f"{prefix}_s{step}_krand_l{level}"] for step in STEPS for level in LEVELS]
    if prefix == "fr":
        first = [data.arrays[f"fr_init_k_l{level}"] for level in LEVELS]
        drawn = [rows for pair in zip(first, drawn[:3], strict=True) for rows in pair] + drawn[3:]
    rest = iter(drawn)
    monkeypatch.setattr(Codebook, "_random_rows", lambda self, rows: next(rest))


def check_step(data, match, model, found, stats, prefix, step, record):
    for name in ("loss", "recons_loss", "spectral_loss", "multispectral_loss", "commit_loss", "spectral_convergence"):
        match(f"vqvae/losses of {record}", found[name], data.metrics[record][step][name], 1e-4, "relative")
    logged = data.metrics[record][step]
    bins = data.hps["l_bins"]
    mean = {name: torch.stack([getattr(s, name) for s in stats]).mean() for name in stats[0]._fields}
    ours = {"fit": mean["quantization_error"], "pn": mean["encoder_rms"], "dk": mean["drift"], "usage": mean["usage"] * bins}
    ours["entropy"] = torch.stack([s.perplexity.log() for s in stats]).mean()
    for name, value in ours.items():
        match(f"vqvae/codebook metrics of {record}", value, logged[name], 1e-4, "relative")
    for level in LEVELS:
        codebook = model.levels[level].codebook
        match(f"vqvae/{prefix}_k", codebook.codes, data.arrays[f"{prefix}_s{step}_k_l{level}"], 1e-5, "norm")
        match(f"vqvae/{prefix}_kelem", codebook.counts, data.arrays[f"{prefix}_s{step}_kelem_l{level}"], 1e-5, "norm")


def test_training_steps_of_a_resumed_codebook(data, vqvae, match, monkeypatch):
    random_rows(data, monkeypatch, "tr")
    for level, vectors in enumerate(data.metrics["restore_num_tokens"]):
        vqvae.levels[level].codebook.restore(vectors)
    vqvae.train()
    for step in STEPS:
        found, output = losses(data, vqvae, sound(data.arrays[f"tr_x_s{step}"]))
        check_step(data, match, vqvae, found, output.stats, "tr", step, "restored_train")
        for level in LEVELS:
            codebook = vqvae.levels[level].codebook
            match("vqvae/tr_ksum", codebook.sums, data.arrays[f"tr_s{step}_ksum_l{level}"], 1e-5, "norm")
            dead = codebook.counts < data.metrics["restore_threshold"]
            match("vqvae/tr_dead", dead, data.arrays[f"tr_s{step}_dead_l{level}"])
        if step == 0:
            found["loss"].backward()
            data.match_gradients(match, vqvae)
            match("vqvae/tr_s0_x_out", output.recons[0], sound(data.arrays["tr_s0_x_out"]), 1e-4)


def test_training_steps_of_a_fresh_codebook(data, vqvae, match, monkeypatch):
    random_rows(data, monkeypatch, "fr")
    for level in LEVELS:
        vqvae.levels[level].codebook.updates.zero_()
    vqvae.train()
    for step in STEPS:
        found, output = losses(data, vqvae, sound(data.arrays[f"tr_x_s{step}"]))
        check_step(data, match, vqvae, found, output.stats, "fr", step, "fresh_train")


def test_fewer_vectors_than_codes(data, match, monkeypatch):
    arrays, scale = data.arrays, 0.01 / data.hps["emb_width"] ** 0.5
    vectors = arrays["tile_x"].transpose(1, 2).flatten(0, 1)
    noisy = [
        (vectors.repeat(2, 1) + scale * arrays[f"tile_noise_{when}"])[arrays[f"tile_perm_{when}"]]
        for when in ("init", "update")
    ]
    rest = iter(rows[: data.hps["l_bins"]] for rows in noisy)
    monkeypatch.setattr(Codebook, "_random_rows", lambda self, rows: next(rest))
    codebook = Codebook(data.hps["l_bins"], data.hps["emb_width"], restart_threshold=1.0).train()
    output = codebook(arrays["tile_x"])
    match("vqvae/tile_codes", output.codes, arrays["tile_codes"])
    match("vqvae/tile_k", codebook.codes, arrays["tile_k"], 1e-5)
    match("vqvae/tile_kelem", codebook.counts, arrays["tile_kelem"], 1e-5)
    match("vqvae/tile_commit", output.commit_loss, data.metrics["tile_commit"], 1e-4, "relative")
