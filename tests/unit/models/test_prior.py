import pytest
import torch

from jukebox_pl.models.conditioners import LabelConditioner, LyricsEncoder, TimingConditioner, UpperCodesConditioner
from jukebox_pl.models.prior import Prior
from jukebox_pl.models.surgery import graft_lyrics
from jukebox_pl.nn.transformer import Transformer
from jukebox_pl.types import Labels

WIDTH, CTX, BINS, LYRICS = 16, 24, 11, 8


def randomize(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return module.eval()


def labels(batch=2, **fields):
    torch.manual_seed(5)
    known = {
        "artist": torch.tensor([1, 2]),
        "genres": torch.tensor([[1, -1], [0, 2]]),
        "total": torch.tensor([4000, 6000]),
        "offset": torch.tensor([0, 1000]),
        "duration": torch.tensor([2400, 2400]),
        "lyrics": torch.randint(5, (2, LYRICS)),
    }
    return Labels(**{name: value[:batch] for name, value in (known | fields).items()})


def conditioners():
    return {"labels": LabelConditioner(WIDTH, 4, 3), "timing": TimingConditioner(WIDTH, CTX, 8, 0, 10000)}


def plain(pattern="RCP"):
    return Prior(BINS, Transformer(WIDTH, 2, pattern, CTX, 6), conditioners())


def with_encoder():
    encoder = LyricsEncoder(5, WIDTH, Transformer(8, 2, "RC", LYRICS, 4, attn_width=8))
    return Prior(BINS, Transformer(WIDTH, 2, "RCPX", CTX, 6), conditioners(), lyrics=encoder, tied=False)


def with_prefix():
    return Prior(BINS, Transformer(WIDTH, 2, "RCPLD", CTX + LYRICS, 8, prefix=LYRICS), conditioners(), vocabulary=5)


def upsampler():
    upper = UpperCodesConditioner(WIDTH, BINS, conv_width=8, depth=2)
    return Prior(BINS, Transformer(WIDTH, 2, "RCP", CTX, 6), {"labels": LabelConditioner(WIDTH, 4, 3), "upper": upper})


KINDS = {"plain": plain, "encoder": with_encoder, "prefix": with_prefix, "upsampler": upsampler}


def random_codes(batch=2, length=CTX):
    torch.manual_seed(7)
    return torch.randint(BINS, (batch, length))


def condition(prior, told, upper=None):
    return prior.condition(told, random_codes(len(told.artist), CTX // 4) if upper is None else upper)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pieces", [[0, *[1] * (CTX - 1)], [5, *[1] * (CTX - 6)], [7, 9, 7]])
def test_cache_equals_full_pass(kind, pieces):
    prior, codes = randomize(KINDS[kind]()), random_codes()
    cond = condition(prior, labels())
    cache, parts, start = prior.new_cache(), [], 0
    with torch.no_grad():
        for length in pieces:
            parts.append(prior(codes[:, start : start + length], cond, cache))
            start += length
        torch.testing.assert_close(torch.cat(parts, 1), prior(codes[:, :-1], cond), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_of_two_equals_two_of_one(kind):
    prior, codes, upper = randomize(KINDS[kind]()), random_codes(), random_codes(2, CTX // 4)
    both = prior(codes[:, :-1], prior.condition(labels(), upper))
    for i in range(2):
        told = Labels(*(x[i : i + 1] for x in labels()))
        alone = prior(codes[i : i + 1, :-1], prior.condition(told, upper[i : i + 1]))
        torch.testing.assert_close(both[i : i + 1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_code_sees_its_future(kind):
    prior, codes = randomize(KINDS[kind]()), random_codes()
    cond = condition(prior, labels())
    before = prior(codes[:, :-1], cond)
    for changed in (0, 5, 6, 17, CTX - 2):
        other = codes.clone()
        other[:, changed] = (other[:, changed] + 1) % BINS
        after = prior(other[:, :-1], cond)
        assert after[:, : changed + 1].equal(before[:, : changed + 1])
        assert not after[:, changed + 1 :].equal(before[:, changed + 1 :])


@pytest.mark.parametrize("kind", ["encoder", "prefix"])
def test_a_lyric_character_changes_the_codes_but_no_lyric_before_it(kind):
    prior, codes = randomize(KINDS[kind]()), random_codes()
    told = labels()
    changed = told.lyrics.clone()
    changed[:, 3] = (changed[:, 3] + 1) % 5
    before, after = (prior.condition(told._replace(lyrics=lyrics)) for lyrics in (told.lyrics, changed))
    assert not prior(codes[:, :-1], before).equal(prior(codes[:, :-1], after))
    if kind == "encoder":
        assert before.states[:, :4].equal(after.states[:, :4])
    else:
        first, second = (prior.symbol_logits(codes[:, :-1] + 5, cond) for cond in (before, after))
        assert first[:, :4].equal(second[:, :4])


def test_priors_without_lyrics_do_not_depend_on_them():
    prior, codes = randomize(plain()), random_codes()
    other = labels()._replace(lyrics=torch.zeros(2, LYRICS, dtype=torch.long))
    assert prior(codes[:, :-1], prior.condition(labels())).equal(prior(codes[:, :-1], prior.condition(other)))


def test_a_padded_genre_slot_counts_for_nothing():
    conditioner = randomize(LabelConditioner(WIDTH, 4, 3))
    padded = labels(genres=torch.tensor([[1, -1], [1, -1]]))
    short = labels(genres=torch.tensor([[1], [1]]))
    torch.testing.assert_close(conditioner(padded), conditioner(short))


def test_timing_of_a_later_window_goes_on_where_the_earlier_one_is():
    conditioner = randomize(TimingConditioner(WIDTH, CTX, 64, 0, 100_000))
    early, late = (labels(total=torch.tensor([9600, 9600]), offset=torch.full((2,), offset)) for offset in (0, 1200))
    torch.testing.assert_close(conditioner(late)[:, : CTX // 2], conditioner(early)[:, CTX // 2 :])


def test_the_fraction_of_a_window_beyond_its_song_ends_at_one():
    conditioner = randomize(TimingConditioner(WIDTH, CTX, 8, 0, 100_000))
    for table in (conditioner.length, conditioner.place):
        torch.nn.init.zeros_(table.weight)
    told = conditioner(labels(total=torch.full((2,), 2400), offset=torch.full((2,), 1200)))
    bins = (8 * (0.5 + 0.5 * torch.arange(CTX) / CTX)).long()
    assert told[0].equal(conditioner.fraction.weight[bins])


def test_the_start_is_learned_only_where_no_conditioner_gives_it():
    assert plain().start is None
    alone = Prior(BINS, Transformer(WIDTH, 2, "RCP", CTX, 6))
    alone(random_codes()[:, :3], alone.condition()).sum().backward()
    assert alone.start.grad.abs().sum() > 0


def test_the_loss_is_the_cross_entropy_of_the_logits():
    prior, codes = randomize(plain()), random_codes()
    cond = condition(prior, labels())
    expected = torch.nn.functional.cross_entropy(prior(codes[:, :-1], cond).flatten(0, 1), codes.flatten())
    torch.testing.assert_close(prior.losses(codes, cond).codes, expected)
    assert prior.losses(codes, cond).lyrics is None


def test_grafting_lyrics_changes_nothing_and_the_new_layers_learn():
    old, codes = randomize(plain("RCPRCP")), random_codes()
    encoder = LyricsEncoder(5, WIDTH, Transformer(8, 2, "RC", LYRICS, 4, attn_width=8))
    new = Prior(BINS, Transformer(WIDTH, 2, "RCPXRCPX", CTX, 6), conditioners(), lyrics=encoder).eval()
    graft_lyrics(old, new)
    cond = new.condition(labels())
    assert new(codes[:, :-1], cond).equal(old(codes[:, :-1], old.condition(labels())))
    new.losses(codes, cond).codes.backward()
    for i in (3, 7):
        assert new.transformer.blocks[i].attention.out.weight.grad.abs().sum() > 0


def test_a_graft_onto_another_pattern_is_refused():
    encoder = LyricsEncoder(5, WIDTH, Transformer(8, 2, "RC", LYRICS, 4, attn_width=8))
    new = Prior(BINS, Transformer(WIDTH, 2, "RCPXR", CTX, 6), conditioners(), lyrics=encoder)
    with pytest.raises(ValueError, match="without X the new pattern is RCPR, the trained one is RCP"):
        graft_lyrics(plain(), new)


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="needs the codes of the level above"):
        upsampler().condition(labels())
