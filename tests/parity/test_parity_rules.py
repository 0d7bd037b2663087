"""What surrounds the networks, beside the original: attention units, filters, windows, text, labels, timing, training."""

import pytest
import torch
from golden_data import arrays_of
from hydra.utils import instantiate

from jukebox_pl.audio.files import to_channels
from jukebox_pl.cli.command import compose_config
from jukebox_pl.models.conditioners import TimingConditioner
from jukebox_pl.models.losses import measure_bandwidth
from jukebox_pl.nn.attention import CrossAttention, SelfAttention
from jukebox_pl.nn.patterns import PATTERNS
from jukebox_pl.sampling.logits import filter_logits
from jukebox_pl.sampling.windows import windows
from jukebox_pl.text.characters import Characters, ReleasedCharacters
from jukebox_pl.text.labels import Labeller, ReleasedVocabulary, Vocabulary
from jukebox_pl.training.optim import ReleasedAdam, released_rate
from jukebox_pl.types import Song

FUNCTIONS = {0: "D", 1: "R", 2: "C", 3: "P", 6: "X", 7: "L"}
LAYERS = {"qkv": "c_attn", "q": "c_attn", "kv": "c_enc_kv", "out": "c_proj"}


@pytest.fixture(scope="module")
def arrays():
    return arrays_of("misc")


def attention_unit(number, arrays, sizes):
    """One layer of attention with the recorded weights."""
    if FUNCTIONS[number] == "X":
        layer = CrossAttention(sizes["n_in"], sizes["n_state"], sizes["heads"])
    else:
        pattern = PATTERNS[FUNCTIONS[number]](sizes["n_ctx"], sizes["block_ctx"], sizes["prime_len"])
        layer = SelfAttention(sizes["n_in"], sizes["n_state"], sizes["heads"], pattern)
    for name, part in layer.named_children():
        part.weight.data = arrays[f"attn{number}_{LAYERS[name]}.w"].t()
        part.bias.data = arrays[f"attn{number}_{LAYERS[name]}.b"]
    return layer


@pytest.mark.parametrize("number", FUNCTIONS)
def test_attention(arrays, misc, match, number):
    layer, x = attention_unit(number, arrays, misc["attn"]), arrays["attn_x"].requires_grad_()
    answer = layer(x, arrays["attn_enc_kv"])
    match(f"misc/attn{number}_y", answer, arrays[f"attn{number}_y"], 1e-5)
    if number == 6:
        return
    seen = [torch.autograd.grad(answer[0, query].sum(), x, retain_graph=True)[0][0].abs().sum(1) > 0 for query in range(24)]
    # Function 3 is zero in the first row, where the original still lists the query itself.
    visible = arrays[f"attn{number}_visible"].bool()
    rows = range(misc["attn"]["block_ctx"], 24) if number == 3 else range(24)
    match(f"misc/attn{number}_visible", torch.stack(seen)[list(rows)], visible[list(rows)])


@pytest.mark.parametrize("k", [1, 4, 50])
def test_top_k(arrays, match, k):
    match("misc/filter_topk", filter_logits(arrays["filter_x"][:, 0], top_k=k), arrays[f"filter_topk{k}"][:, 0])


@pytest.mark.parametrize("p", [0.3, 0.7, 0.95])
def test_top_p(arrays, match, p):
    match("misc/filter_topp", filter_logits(arrays["filter_x"][:, 0], top_p=p), arrays[f"filter_topp{p}"][:, 0])


def test_window_starts(misc, match):
    for case in misc["get_starts"]:
        starts = [start for start, _ in windows(case["total_length"], case["n_ctx"], case["hop_length"])]
        match("misc/get_starts", starts, case["starts"])


def test_text(misc, match):
    for case in misc["text"]:
        characters = ReleasedCharacters("v3" if case["v3"] else "v2")
        assert characters.clean(case["text"]) == case["clean"]
        match("misc/text", characters.encode(case["text"]), case["tokens"])
    for version in ("v2", "v3"):
        match("misc/n_vocab", len(ReleasedCharacters(version)), misc[f"n_vocab_{version}"])


def lyric_case(length, tokens, total):
    """A labeller and a song whose character number i is token i."""
    letters = "".join(chr(0x4E00 + i) for i in range(length))
    labeller = Labeller(Vocabulary([]), Vocabulary([]), Characters(letters), tokens)
    return labeller, Song("", total, 44_100, lyrics=letters)


def test_lyric_windows(misc, match):
    for case in misc["lyric_windows"]:
        length = int(case["full_tokens"].split("..")[1])
        labeller, song = lyric_case(length, case["n_tokens"], case["total_length"])
        match("misc/lyric_windows", labeller.lyric_window(song, case["offset"], case["duration"]), case["tokens"])
        first, last = labeller.lyric_span(song, case["offset"], case["duration"], length)
        indices = [-1] * (case["n_tokens"] - (last - first)) + list(range(first, last))
        match("misc/lyric_windows, indices", indices, case["indices"])


def test_lyric_windows_count_in_whole_numbers_as_the_original_does_in_training(misc, match):
    for case in misc["lyric_window_fp32_vs_fp64"]:
        labeller, song = lyric_case(case["full_len"], case["n_tokens"], case["total_length"])
        first, _ = labeller.lyric_span(song, case["offset"], case["duration"], case["full_len"])
        match("misc/lyric_window_fp32_vs_fp64, python ints", first, case["first_index_python_ints"])


def known_ids(cases, version, what):
    """A vocabulary of what the original found in lists that are not ours to carry."""
    rule = f"{version}_{what}s"
    found = {}
    for case in cases:
        if what in case and case["v3"] == (version == "v3"):
            ids = [case["id"]] if what == "artist" else case["ids"]
            keys = ReleasedVocabulary([], rule).keys(case[what])
            found |= {key: number for key, number in zip(keys, ids, strict=True) if number}
    return ReleasedVocabulary(sorted(found.items()), rule)


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_artists_and_genres(misc, match, version):
    cases = [case for case in misc["artist_genre"] if case["v3"] == (version == "v3")]
    artists, genres = (known_ids(cases, version, what) for what in ("artist", "genre"))
    for case in cases:
        if "artist" in case:
            assert artists.keys(case["artist"]) == [case["norm"]]
            match("misc/artist_genre", artists.id(case["artist"]), case["id"])
        else:
            match("misc/artist_genre", genres.ids(case["genre"]), case["ids"])


def test_labels(misc, match):
    for case in misc["labels"]:
        version, y, slots = ("v3" if case["v3"] else "v2"), case["y"], case["max_genre_words"]
        genres = ReleasedVocabulary([], f"{version}_genres")
        ids = zip(genres.keys(case["genre"]), y[4 : 4 + slots], strict=False)
        artists = ReleasedVocabulary([], f"{version}_artists")
        labeller = Labeller(
            ReleasedVocabulary([(artists.keys(case["artist"])[0], y[3])], artists.rule),
            ReleasedVocabulary([*ids], genres.rule),
            ReleasedCharacters(version),
            case["n_tokens"],
            slots,
        )
        song = Song("", case["total_length"], 44_100, "", case["artist"], (case["genre"],), case["lyrics"])
        told = labeller.labels(song, case["offset"], case["sample_length"])
        packed = [told.total, told.offset, told.duration, told.artist, *told.genres, *told.lyrics]
        match("misc/labels", torch.stack(packed), y)


@pytest.mark.parametrize("name", ["range_abs", "range_rel", "range_tot", "range_absbig"])
def test_bins_of_the_timing(misc, match, name):
    case = misc[name]
    timing = TimingConditioner(1, case["n_time"], case["bins"], 0, 1)
    low, high = case["range"]
    end = min(case["end"], high) if case["clamp"] else case["end"] or case["start"]
    places = timing._interpolate(torch.tensor([[case["start"]]]), torch.tensor([[end]]))
    match("misc/range", timing._bin(places[0], low, high), case["bins_out"])


def test_bandwidth(arrays, misc, match):
    clips = torch.stack([arrays[f"bw_chunk{i}"].t() for i in range(3)])
    found, expected = measure_bandwidth(clips), misc["bandwidth"]["result"]
    for name in ("l1", "l2", "spec"):
        match("misc/bandwidth", getattr(found, name), expected[name], 1e-4, "relative")


def test_stereo_to_mono(arrays, match):
    found = [to_channels(item.t().numpy(), 1).T for item in arrays["mix_in"]]
    match("misc/mix", torch.stack([torch.from_numpy(item) for item in found]), arrays["mix_out"], 1e-6)


@pytest.mark.parametrize(("name", "dtype", "tolerance"), [("out", torch.float32, 1e-6), ("fp16_out", torch.float16, 5e-3)])
def test_adam(arrays, misc, match, name, dtype, tolerance):
    settings = misc["adam"]
    options = {option: settings[option] for option in ("lr", "betas", "eps", "weight_decay")}
    parameter = torch.nn.Parameter(arrays["adam_p0"].to(dtype, copy=True))
    optimizer = ReleasedAdam([parameter], **options)
    for gradient, scale, expected in zip(arrays["adam_grads"], settings["scales"], arrays[f"adam_{name}"], strict=True):
        parameter.grad = (gradient / scale).to(dtype)
        optimizer.step()
        match(f"misc/adam_{name}", parameter, expected, tolerance)


def test_loss_scale(misc, match):
    """The scaler of trainer=fp16, on a CPU and with the recorded window."""
    config = compose_config("fit", ["trainer=fp16"]).trainer.plugins[0].scaler
    recorded = misc["loss_scale"]
    scaler = instantiate(config, device="cpu", growth_factor=2 ** (1 / recorded["window"]))
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer, scales = torch.optim.SGD([parameter], lr=0.0), []
    for overflow in recorded["overflow"]:
        parameter.grad = None
        scaler.scale((parameter * (torch.inf if overflow else 1.0)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    match("misc/loss_scale", scales, recorded["scales"], 1e-6, "relative")


def test_clipping(misc, match):
    """The original divides by a larger scale where the norm is above the limit; the gradients end the same."""
    for case in misc["clipped_grad_scale"]:
        gradient = torch.full((1,), case["grad_norm"])
        parameter = torch.nn.Parameter(torch.zeros(1))
        parameter.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_([parameter], case["clip"])
        match("misc/clipped_grad_scale", parameter.grad, gradient * case["scale"] / case["out"], 1e-5)


def test_learning_rates(misc, match):
    names = {"lr_warmup": "warmup", "lr_decay": "decay", "lr_gamma": "gamma", "lr_scale": "scale"}
    for case in misc["lr"]:
        options = {names[name]: value for name, value in case["over"].items() if name in names}
        if case["over"].get("lr_use_linear_decay"):
            options["linear_from"] = case["over"]["lr_start_linear_decay"]
        found = [released_rate(step, **options) for step in case["steps"]]
        match("misc/lr", found, case["lr_scale"], 1e-9)
