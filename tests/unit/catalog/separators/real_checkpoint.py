"""Run by the interpreter that has spleeter: `real_checkpoint.py FOLDER` writes a checkpoint of the published network, made
small and random, to FOLDER/2stems, and its configuration to FOLDER/small.json."""

import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import tensorflow as tf
from spleeter import resources as published
from spleeter.model import model_fn

FILTERS = [4, 6, 8, 10, 12, 14]


def small_config() -> dict:
    config = json.loads(resources.read_text(published, "2stems.json"))
    config["model"]["params"] = {"conv_n_filters": FILTERS}
    return config


def randomise(session: tf.compat.v1.Session) -> None:
    """Gives every variable a value that matters: a new network's normalisations do nothing."""
    rng = np.random.default_rng(0)
    for variable in tf.compat.v1.global_variables():
        shape = variable.shape.as_list()
        if variable.dtype.base_dtype == tf.float32:
            fan_in = np.prod(shape[:-1]) if len(shape) > 1 else 1
            value = rng.uniform(0.5, 1.5, shape) if len(shape) == 1 else rng.normal(0, 1.5 / np.sqrt(fan_in), shape)
            variable.load(value, session)


def main(folder: Path) -> None:
    config = small_config()
    (folder / "small.json").write_text(json.dumps(config))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        features = {"waveform": tf.compat.v1.placeholder(tf.float32, (None, 2)), "audio_id": tf.constant("song")}
        model_fn(features, None, tf.estimator.ModeKeys.PREDICT, config | {"MWF": False})
        tf.compat.v1.train.get_or_create_global_step()
        session.run(tf.compat.v1.global_variables_initializer())
        randomise(session)
        tf.compat.v1.train.Saver(save_relative_paths=True).save(
            session, str(folder / "2stems" / "model"), write_meta_graph=False
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
