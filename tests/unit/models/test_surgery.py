"""New names and characters: what the trained prior knew moves by name, all else stays what it was."""

import pytest
import torch

from jukebox_pl.models.conditioners import LabelConditioner, LyricsEncoder
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.surgery import grow_labels
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, ReleasedVocabulary, Vocabulary
from jukebox_pl.types import Labels, Song

WIDTH, CTX, BINS, LYRICS = 16, 24, 11, 8
KNOWN = Labeller(Vocabulary(["Ada", "Bo"]), Vocabulary(["Folk", "Waltz"]), Characters("abc"), LYRICS)
WANTED = Labeller(Vocabulary(["Bo", "Cy", "Ada"]), Vocabulary(["Waltz", "Polka", "Folk"]), Characters("xcab"), LYRICS)


def with_encoder(labeller):
    encoder = LyricsEncoder(len(labeller.characters), WIDTH, Transformer(8, 2, "RC", LYRICS, 4))
    return Prior(BINS, Transformer(WIDTH, 2, "RCPX", CTX, 6), conditioners(labeller), lyrics=encoder, tied=False)


def with_prefix(labeller):
    transformer = Transformer(WIDTH, 2, "RCPL", CTX + LYRICS, 8, prefix=LYRICS)
    return Prior(BINS, transformer, conditioners(labeller), vocabulary=len(labeller.characters))


def without_labels(labeller):
    return Prior(BINS, Transformer(WIDTH, 2, "RCP", CTX, 6))


def conditioners(labeller):
    return {"labels": LabelConditioner(WIDTH, len(labeller.artists), len(labeller.genres))}


def random_prior(kind, labeller):
    torch.manual_seed(0)
    prior = kind(labeller)
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return prior.eval()


def grown(kind):
    old, new = random_prior(kind, KNOWN), kind(WANTED).eval()
    grow_labels(old, new, KNOWN, WANTED)
    return old, new


def logits(prior, labeller, **song):
    """Of the same codes under the labels of a song."""
    told = Labels.stack([labeller.labels(Song("id", 1000, 100, **song), 0, 1000)])
    torch.manual_seed(7)
    return prior(torch.randint(BINS, (1, CTX - 1)), prior.condition(told))


@pytest.mark.parametrize("kind", [with_encoder, with_prefix, without_labels])
@pytest.mark.parametrize("artist", ["Ada", "Bo", "nobody"])
@pytest.mark.parametrize("genres", [("Folk",), ("Waltz", "Folk"), ()])
def test_songs_of_known_names_keep_their_logits(kind, artist, genres):
    old, new = grown(kind)
    song = {"artist": artist, "genres": genres, "lyrics": "abcabca"}
    assert logits(new, WANTED, **song).equal(logits(old, KNOWN, **song))


def test_a_new_name_starts_as_what_the_trained_prior_is_told_of_it():
    old, new = grown(with_encoder)
    song = {"artist": "Cy", "genres": ("Polka", "Folk"), "lyrics": "cab"}
    assert logits(new, WANTED, **song).equal(logits(old, KNOWN, **song))
    row = new.conditioners.labels.artist.weight[WANTED.artists.id("Cy")]
    assert row.equal(old.conditioners.labels.artist.weight[0])


def test_learning_a_new_artist_changes_no_other():
    _, new = grown(with_encoder)
    song = {"artist": "Ada", "genres": ("Folk",), "lyrics": "abc"}
    before = logits(new, WANTED, **song)
    torch.nn.init.normal_(new.conditioners.labels.artist.weight[WANTED.artists.id("Cy")].detach())
    assert logits(new, WANTED, **song).equal(before)
    assert not logits(new, WANTED, **(song | {"artist": "Cy"})).equal(before)


def test_a_new_character_starts_as_the_padding():
    old, new = grown(with_encoder)
    assert new.lyrics.embed.weight[WANTED.characters.encode("x")[0]].equal(old.lyrics.embed.weight[0])


def test_a_genre_of_two_released_words_starts_as_their_sum():
    words = ReleasedVocabulary([("unknown", 0), ("hip", 1), ("hop", 2)], "v2_genres")
    known = Labeller(KNOWN.artists, words, KNOWN.characters, LYRICS)
    wanted = Labeller(KNOWN.artists, Vocabulary(["Hip Hop"]), KNOWN.characters, LYRICS)
    old, new = random_prior(with_encoder, known), with_encoder(wanted)
    grow_labels(old, new, known, wanted)
    before, after = old.conditioners.labels.genre.weight, new.conditioners.labels.genre.weight
    torch.testing.assert_close(after[wanted.genres.id("hip hop")], before[1] + before[2])


def test_networks_of_other_shapes_are_told_in_a_table():
    new = Prior(BINS + 1, Transformer(WIDTH, 2, "RCP", CTX, 6))
    with pytest.raises(ValueError, match=r"trained prior do not fit:\n  embed.weight: \(11, 16\) -> \(12, 16\)"):
        grow_labels(random_prior(with_encoder, KNOWN), new, KNOWN, WANTED)
