import numpy as np
import torch

from datamodules.audio import AudioDataModule, DecodedSongs
from jukebox_pl import audio
from jukebox_pl.catalog.shards import TRAIN, Catalog, read_shard


def test_clips_are_slices_of_their_songs(demo_shards):
    data = AudioDataModule(str(demo_shards), clip=4096, batch_size=3)
    data.setup("fit")
    crops = list(data.train.random((0, 1), [0]))[:3]
    batch = data.collate(crops)
    assert batch.audio.shape == (3, 1, 4096)
    for clip, crop in zip(batch.audio, crops, strict=True):
        sound, _ = audio.read(crop.sample.audio)
        np.testing.assert_allclose(clip.numpy(), sound[:, crop.start : crop.start + 4096], atol=1e-4)


def test_loaders_give_batches_and_held_out_clips_are_the_same_every_time(demo_shards):
    data = AudioDataModule(str(demo_shards), clip=4096, batch_size=2, held_out_crops=4)
    data.setup("fit")
    assert next(iter(data.train_dataloader())).audio.shape == (2, 1, 4096)
    first, again = ([batch.audio for batch in data.val_dataloader()] for _ in range(2))
    torch.testing.assert_close(first, again)
    assert data.loudness_clips(4).shape == (4, 1, 4096)


def test_decoded_songs_are_forgotten_beyond_the_limit(demo_shards):
    catalog = Catalog.load(demo_shards)
    samples = [sample for shard in catalog.shards(TRAIN) for sample in read_shard(shard)]
    decoded = DecodedSongs(limit=2 * 2 * samples[0].song.duration)
    for sample in samples:
        assert decoded(sample).shape == (sample.song.duration,)
    assert len(decoded.songs) == 2
    assert decoded.size == sum(song.nbytes for song in decoded.songs.values())
