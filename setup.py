"""Packaging. `recipes/` holds YAML only and travels inside the package as `jukebox_pl.recipes`."""

from pathlib import Path

from setuptools import find_packages, setup

CORE = [
    "torch>=2.11",
    "pytorch-lightning>=2.6.6,<2.7",
    "torchmetrics>=1.9,<2",
    "wandb>=0.31,<0.32",
    "webdataset>=1.0.2,<2",
    "torchdata>=0.11,<0.12",
    "librosa>=0.11,<2",
    "av>=16",
    "soundfile>=0.13",
    "soxr>=1.0",
    "numpy>=2",
    "scipy>=1.13",
    "hydra-core>=1.3.8,<1.5",
    "omegaconf>=2.3,<2.5",
    "PyYAML>=6",
    "safetensors>=0.8",
    "rich>=14",
    "chardet>=7.7,<8",
    "ftfy>=6.3,<7",
    "mutagen>=1.47",
    "rapidfuzz>=3.9",
    "matplotlib>=3.9",
    "pillow>=10",
    "jinja2>=3.1",
    "markupsafe>=2.1",
    "msgspec>=0.19",
]
CHECKS = ["ruff>=0.12", "mypy>=1.15", "import-linter>=2.3", "pre-commit>=4"]
TESTS = ["pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.6", "mir_eval>=0.8", "hypothesis>=6.100"]

ORACLE = ["transformers==4.57.6"]  # the last release with Hugging Face's port, to compare with in the tests
APP = ["gradio>=6.17,<7"]
TENSORBOARD = ["tensorboard>=2.18"]
TRACKIO = ["trackio>=0.40"]  # needs huggingface-hub>=1.10, so it stands beside no transformers<5
SEPARATORS = ["demucs>=4.1,<5"]  # its weights are the user's
ALIGNERS = ["pocketsphinx>=5.1", "transformers>=4.57"]
EMBEDDERS = ["transformers>=4.57"]
RAY = ["ray>=2.60"]
EIGHT_BIT = ["bitsandbytes>=0.50"]
RELEASED = ["unidecode>=1.3"]  # lyrics that are not ASCII, for models released by OpenAI

setup(
    name="jukebox_pl",
    version="0.1.0",
    description="Train and sample a Jukebox hierarchy on your own songs",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["jukebox_pl*", "datamodules*"]), "jukebox_pl.recipes"],
    package_dir={"jukebox_pl.recipes": "recipes"},
    package_data={
        "jukebox_pl": ["report/templates/*.html", "inference/*.cpp"],
        "jukebox_pl.recipes": ["*.yaml", "**/*.yaml"],
    },
    install_requires=CORE,
    extras_require={
        "app": APP,
        "tensorboard": TENSORBOARD,
        "trackio": TRACKIO,
        "sep": SEPARATORS,
        "align": ALIGNERS,
        "embed": EMBEDDERS,
        "ray": RAY,
        "8bit": EIGHT_BIT,
        "released": RELEASED,
        "oracle": ORACLE,
        "dev": [*CHECKS, *TESTS, *RELEASED, *APP, *SEPARATORS, *ALIGNERS, *RAY],
    },
)
