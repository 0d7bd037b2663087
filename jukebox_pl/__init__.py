"""jukebox_pl: train and sample a Jukebox hierarchy on your own songs."""
