"""Which characters a prior looks at, and when the words are sung by that."""

import numpy as np
import pytest
import torch

from jukebox_pl.models.conditioners import LyricsEncoder
from jukebox_pl.models.lyric_attention import lyric_attention, lyric_layers
from jukebox_pl.models.prior import Prior
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.sampling.alignment import TextAttention, align, attention_over_time, character_path, sung_words
from jukebox_pl.sampling.conditioning import ConditioningSchedule, Segment
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import Labels, Section, Song, SongRequest

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


def looks_of(prior, codes, cond, layer, head):
    ((found, looks),) = lyric_attention(prior, codes, cond, [layer])
    assert found == layer
    return looks[:, head]


def test_each_code_looks_at_each_token(prior, labeller):
    song = Song("", 4800, 100, lyrics=TEXT)
    cond = prior.condition(Labels.stack([labeller.labels(song, 0, 2400)]))
    assert lyric_layers(prior) == [1]
    looks = looks_of(prior, torch.randint(BINS, (1, CTX)), cond, layer=1, head=0)
    assert looks.shape == (1, CTX, LYRICS)
    total = looks.sum(-1)
    assert (total <= 1 + 1e-5).all()
    if prior.lyrics is not None:
        torch.testing.assert_close(total, torch.ones(1, CTX))


def test_overlapping_windows_make_one_picture_in_which_the_earlier_counts(prior, labeller):
    song, codes = Song("", 4800, 100, lyrics=TEXT), torch.randint(BINS, (48,))
    schedule = ConditioningSchedule((Segment(0, (song,), (1.0,), song, 0),), offset=0)
    ((text, begin, first, last, picture),) = align(prior, labeller, schedule, codes, 100, layer=1, head=1)
    assert (text, begin, first, last, picture.shape) == (song, 0, 0, 48, (48, len(TEXT)))
    cond = prior.condition(Labels.stack([labeller.labels(song, 0, 2400)]))
    first, last = labeller.lyric_span(song, 0, 2400, len(TEXT))
    expected = looks_of(prior, codes[None, :CTX], cond, layer=1, head=1)[0]
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
        list(lyric_attention(prior, torch.zeros(1, CTX, dtype=torch.long), cond, [0]))


def test_every_text_of_a_schedule_has_its_codes(prior, labeller):
    sections = (Section(16.0, artist="Ada"), Section(24.0, lyrics="four"), Section(40.0, lyrics=""))
    schedule = ConditioningSchedule.of(SongRequest(lyrics="one two", seconds=48.0, schedule=sections), sample_rate=100)
    found = align(prior, labeller, schedule, torch.randint(BINS, (48,)), 100, layer=1, head=0)
    assert [(each.text.lyrics, each.first, each.last) for each in found] == [("one two", 0, 24), ("four", 24, 40)]
    assert [each.attention.shape for each in found] == [(24, 7), (16, 4)]
    assert all((each.attention.sum(1) > 0).all() for each in found)


def diagonal(sung, characters):
    """Attention of codes that sing the characters `sung`, all of it where the causal encoder knows them: one further on."""
    attention = np.zeros((len(sung), characters), np.float32)
    for code, character in enumerate(sung):
        attention[code, min(character + 1, characters - 1)] = 1
    return attention


SUNG = [-1] * 4 + [character for character in range(len(TEXT)) for _ in range(1 + character % 3)]
EVEN = (np.arange(len(SUNG)) + 0.5) / len(SUNG)


def test_a_diagonal_is_its_own_path():
    path = character_path(diagonal(SUNG, len(TEXT)), EVEN)
    sung = np.array(SUNG)
    inside = sung < len(TEXT) - 2  # of the last character there is no column
    np.testing.assert_array_equal(path[inside], sung[inside] + 1)
    assert path[-1] == len(TEXT)


def test_a_code_that_looks_elsewhere_does_not_move_the_path():
    attention = diagonal(SUNG, len(TEXT))
    there = character_path(attention, EVEN)
    attention[8] = diagonal([15], len(TEXT))
    np.testing.assert_array_equal(character_path(attention, EVEN), there)


def test_a_head_that_rests_on_one_column_is_read_by_the_rest_of_its_attention():
    attention = 0.3 * diagonal(SUNG, len(TEXT))
    attention[:, 4] += 0.7
    path, there = character_path(attention, EVEN), character_path(diagonal(SUNG, len(TEXT)), EVEN)
    np.testing.assert_array_equal(path, there)


@pytest.mark.parametrize(("codes", "characters"), [(1, 5), (3, 7), (7, 7), (40, 7), (5, 1)])
def test_a_head_that_says_nothing_leaves_the_even_spread(codes, characters):
    even = (np.arange(codes) + 0.5) / codes
    path = character_path(np.full((codes, characters), 1 / characters), even)
    assert path[-1] == characters
    assert (np.diff(path) >= 0).all()
    np.testing.assert_allclose(path[:-1], even[:-1] * characters, atol=-(-characters // codes) + 0.5)


def test_words_are_sung_when_their_characters_are(labeller):
    hop, rate = 50, 100
    song = Song("", len(SUNG) * hop, rate, lyrics=TEXT)
    found = TextAttention(song, 0, 0, len(SUNG), torch.from_numpy(diagonal(SUNG, len(TEXT))))
    words = sung_words(found, labeller, 0, hop)
    starts = [SUNG.index(TEXT.index(word)) * hop / rate for word in TEXT.split()]
    ends = [SUNG.index(TEXT.index(word) + len(word)) * hop / rate for word in TEXT.split()[:-1]]
    assert [word.text for word in words] == TEXT.split()
    assert [word.start for word in words] == starts
    assert [word.end for word in words] == [*ends, len(SUNG) * hop / rate]


def test_what_comes_after_the_last_word_is_a_pause(labeller):
    hop, rate = 50, 100
    sung = [*range(len(TEXT)), *[len(TEXT) - 1] * 40]  # a code a character, then the band alone
    song = Song("", len(sung) * hop, rate, lyrics=TEXT)
    found = TextAttention(song, 0, 0, len(sung), torch.from_numpy(diagonal(sung, len(TEXT))))
    last = sung_words(found, labeller, 0, hop)[-1]
    assert last.end < last.start + len("four") * 3 * hop / rate


def test_a_part_of_a_song_sings_a_part_of_its_words(labeller):
    """Seconds count from where the part begins."""
    hop, rate = 50, 100
    first, last = SUNG.index(TEXT.index("two")), SUNG.index(TEXT.index(" four"))
    song = Song("", len(SUNG) * hop, rate, lyrics=TEXT)
    found = TextAttention(song, 0, 0, last - first, torch.from_numpy(diagonal(SUNG[first:last], len(TEXT))))
    words = sung_words(found, labeller, first * hop, hop)
    assert [word.text for word in words] == ["two", "three"]
    assert (words[0].start, words[1].end) == (0, (last - first) * hop / rate)


def test_attention_over_time_is_the_most_of_every_span_text_by_text(monkeypatch):
    monkeypatch.setattr("jukebox_pl.sampling.alignment.COLUMNS", 3)
    song = Song("x", 600, 100)
    one = TextAttention(song, 0, 0, 2, torch.tensor([[0.1, 0.9], [0.3, 0.2]]))
    two = TextAttention(song, 200, 2, 6, torch.tensor([[0.5], [0.4], [0.7], [0.6]]))
    picture = attention_over_time([one, two], 6)
    torch.testing.assert_close(picture, torch.tensor([[0.3, 0.9, 0.0], [0.0, 0.0, 0.5], [0.0, 0.0, 0.7]]))
