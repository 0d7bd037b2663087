import pytest
import torch

from jukebox_pl.models.conditioners import LyricsEncoder
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.sampling.alignment import align, lyric_attention
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import Labels, Song

WIDTH, CTX, BINS, LYRICS = 16, 24, 11, 8
TEXT = "one two three four"


def with_encoder():
    characters = len(Characters("").including(TEXT))
    encoder = LyricsEncoder(characters, WIDTH, Transformer(8, 2, "RC", LYRICS, 4, attn_width=8))
    return Prior(BINS, Transformer(WIDTH, 2, "RX", CTX, 6), lyrics=encoder)


def with_prefix():
    characters = len(Characters("").including(TEXT))
    return Prior(BINS, Transformer(WIDTH, 2, "RL", CTX + LYRICS, 8, prefix=LYRICS), vocabulary=characters)


KINDS = {"encoder": with_encoder, "prefix": with_prefix}


@pytest.fixture(params=KINDS)
def prior(request):
    torch.manual_seed(0)
    made = KINDS[request.param]()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


@pytest.fixture
def labeller():
    return Labeller(Vocabulary([]), Vocabulary([]), Characters("").including(TEXT), lyric_tokens=LYRICS)


def test_each_code_looks_at_each_token(prior, labeller):
    song = Song("", 4800, 100, lyrics=TEXT)
    cond = prior.condition(Labels.stack([labeller.labels(song, 0, 2400)]))
    looks = lyric_attention(prior, torch.randint(BINS, (1, CTX)), cond, layer=1, head=0)
    assert looks.shape == (1, CTX, LYRICS)
    total = looks.sum(-1)
    assert (total <= 1 + 1e-5).all()
    if prior.lyrics is not None:
        torch.testing.assert_close(total, torch.ones(1, CTX))


def test_overlapping_windows_make_one_picture_in_which_the_earlier_counts(prior, labeller):
    song, codes = Song("", 4800, 100, lyrics=TEXT), torch.randint(BINS, (48,))
    picture = align(prior, labeller, song, codes, 100, layer=1, head=1)
    assert picture.shape == (48, len(TEXT))
    cond = prior.condition(Labels.stack([labeller.labels(song, 0, 2400)]))
    first, last = labeller.lyric_span(song, 0, 2400, len(TEXT))
    expected = lyric_attention(prior, codes[None, :CTX], cond, layer=1, head=1)[0]
    torch.testing.assert_close(picture[:CTX, first:last], expected)


def test_activations_end_in_what_the_logits_are_made_of(prior, labeller):
    song, codes = Song("", 4800, 100, lyrics=TEXT), torch.randint(BINS, (1, 5))
    cond = prior.condition(Labels.stack([labeller.labels(song, 0, 2400)]))
    hidden = prior.activations(codes, cond, layer=2)
    assert hidden.shape == (1, prior.prefix + 6, WIDTH)
    logits = (hidden @ prior.embed.weight.t())[:, prior.prefix :, prior.vocabulary :]
    torch.testing.assert_close(logits, prior(codes, cond))


def test_layers_without_a_view_of_the_lyrics_are_refused(prior, labeller):
    cond = prior.condition(Labels.stack([labeller.labels(Song("", 4800, 100, lyrics=TEXT), 0, 2400)]))
    with pytest.raises(ValueError, match="only D, L and X layers"):
        lyric_attention(prior, torch.zeros(1, CTX, dtype=torch.long), cond, layer=0, head=0)
