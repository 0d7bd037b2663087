import pytest
import torch

from jukebox_pl.errors import UserError
from jukebox_pl.sampling.conditioning import ConditioningSchedule, condition
from jukebox_pl.text.characters import Characters
from jukebox_pl.text.labels import Labeller, Vocabulary
from jukebox_pl.types import SamplingParams, Section, SongRequest

RATE = 320
PLAIN = SamplingParams(temperature=3.0, hop_fraction=0.5)
ANNA = SongRequest(artist="Anna", genres=("folk",), lyrics="so long, and thanks for all the fish", seconds=2.0)


def like_anna(**changes):
    return SongRequest(**({**vars(ANNA)} | changes))


def start(real, request):
    segment = ConditioningSchedule.of(request, RATE).at(0)
    labels = segment.labels(real.labellers[2], 0, 16 * 32)
    return condition(real.priors[2], [labels], [segment.weights], None, torch.device("cpu"))


def same(song, other):
    return all(song.codes[level].equal(other.codes[level]) for level in song.codes)


def test_a_blend_of_one_is_pure(real):
    pure = real.sample(ANNA, PLAIN)
    assert same(real.sample(like_anna(artist={"Anna": 0.3}, genres={"folk": 2}), PLAIN), pure)
    assert not same(real.sample(like_anna(artist={"Ben": 1.0}), PLAIN), pure)


@torch.no_grad()
def test_a_blend_lies_between_in_the_proportion_of_its_weights(real):
    anna, ben = start(real, ANNA), start(real, like_anna(artist="Ben"))
    blend = start(real, like_anna(artist={"Anna": 3, "Ben": 1}))
    torch.testing.assert_close(blend.start, 0.75 * anna.start + 0.25 * ben.start)
    assert all(found.equal(expected) for found, expected in zip(blend[1:], anna[1:], strict=True) if found is not None)


@torch.no_grad()
def test_artists_and_genres_are_blended_each_for_itself(real):
    pure = {(a, g): start(real, like_anna(artist=a, genres=(g,))).start for a in ("Anna", "Ben") for g in ("folk", "jazz")}
    blend = start(real, like_anna(artist={"Anna": 0.7, "Ben": 0.3}, genres={"folk": 0.5, "jazz": 0.5})).start
    artists = 0.7 * pure["Anna", "folk"] + 0.3 * pure["Ben", "folk"]
    torch.testing.assert_close(blend, artists + 0.5 * (pure["Anna", "jazz"] - pure["Anna", "folk"]))


def test_blends_side_by_side_are_what_they_are_alone(real):
    requests = [
        ANNA,
        like_anna(artist={"Anna": 1, "Ben": 1}),
        like_anna(genres={"folk": 1, "jazz": 2}, artist={"Anna": 1, "Ben": 3}),
    ]
    songs = real.sample_batch(requests, PLAIN, [1, 2, 3])
    assert all(same(song, real.sample(song.request, PLAIN, song.seed)) for song in songs)
    assert not same(songs[1], real.sample(ANNA, PLAIN, 2))


def test_a_schedule_of_what_holds_anyway_changes_nothing(real):
    schedule = (Section(0.55), Section(1.0, artist="Anna"), Section(1.6, genres=("folk",)))
    assert same(real.sample(like_anna(schedule=schedule), PLAIN), real.sample(ANNA, PLAIN))


def test_a_section_holds_from_its_own_first_code_on(real):
    plain, changed = (real.sample(request, PLAIN) for request in (ANNA, like_anna(schedule=(Section(0.45, artist="Ben"),))))
    first = -(-round(0.45 * RATE) // 32)
    assert changed.codes[2][:first].equal(plain.codes[2][:first])
    assert not changed.codes[2].equal(plain.codes[2])
    ben = real.sample(like_anna(artist="Ben"), PLAIN, codes={2: changed.codes[2][:first]})
    assert changed.codes[2].equal(ben.codes[2])


def test_a_schedule_beside_songs_without_one_leaves_them_alone(real):
    requests = [
        ANNA,
        like_anna(schedule=(Section(1.25, artist="Ben"),)),
        like_anna(schedule=(Section(0.3, lyrics="tra la"),)),
    ]
    songs = real.sample_batch(requests, PLAIN, [1, 1, 1])
    assert all(same(song, real.sample(song.request, PLAIN, song.seed)) for song in songs)


def test_new_lyrics_are_spread_over_the_time_that_is_theirs():
    text = "".join(chr(ord("a") + i % 26) for i in range(80))
    labeller = Labeller(Vocabulary(["Anna"]), Vocabulary([]), Characters("").including(text), lyric_tokens=4)
    request = SongRequest(lyrics=text, seconds=40.0, schedule=(Section(10.0, artist="Anna"), Section(20.0, lyrics=text)))
    schedule = ConditioningSchedule.of(request, RATE)

    def sung(second):
        segment = schedule.at(second * RATE)
        return segment.labels(labeller, (second - 1) * RATE, 2 * RATE)[0]

    first, later = sung(5), sung(25)
    assert first.lyrics.equal(later.lyrics)  # a quarter of the way through either text
    assert sung(15).lyrics.tolist() == labeller.characters.encode(text)[58:62]
    assert (first.artist, sung(15).artist, later.artist) == (0, 1, 1)
    assert later.offset == 24 * RATE
    assert later.total == 40 * RATE


@pytest.mark.parametrize("weight", [0, -1.0, float("nan"), float("inf"), "much", True, None])
def test_weights_that_are_none_are_named(fake, weight):
    with pytest.raises(UserError, match="the weight of artist 'Ben' must be a number above zero, found"):
        fake.sample(SongRequest(artist={"Anna": 1.0, "Ben": weight}))


def test_blends_of_nothing_or_of_unknown_names_are_refused(fake):
    with pytest.raises(UserError, match="a blend of genres needs at least one name"):
        fake.sample(SongRequest(genres={}))
    with pytest.raises(UserError, match=r"unknown artist 'Bem'.*'Ben'"):
        fake.sample(SongRequest(artist={"Anna": 1.0, "Bem": 1.0}))
    with pytest.raises(UserError, match=r"unknown genre 'jaz'.*'jazz'"):
        fake.sample(SongRequest(schedule=(Section(1.0, genres=("jaz",)),)))


@pytest.mark.parametrize("starts", [(0.0,), (2.0, 1.0), (1.0, 1.0), (10.0,), (-1.0,), (float("nan"),), ("2",)])
def test_sections_out_of_order_are_refused(fake, starts):
    with pytest.raises(UserError, match=r"sections must begin one after the other, between 0 and 10.0 s, found"):
        fake.sample(SongRequest(seconds=10.0, schedule=tuple(Section(start, artist="Ben") for start in starts)))
