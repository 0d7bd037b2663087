import pytest
from small_run import sample

from jukebox_pl.errors import UserError


def test_no_songs_are_no_tree(context):
    with pytest.raises(UserError, match="songs holds no songs: give session=FOLDER"):
        sample(context, "show")


def test_a_line_a_node_under_the_one_that_it_was_made_of(context, songs, capsys):
    sample(context, "extend", node="whole", name="longer", seconds=2.4)
    sample(
        context,
        "regenerate",
        node="longer",
        name="other",
        seed=5,
        artist={"Anna": 0.5, "Ben": 0.5},
        **{"from": 1, "to": 1.5},
    )
    sample(context, "pick", node="other", name="other")
    capsys.readouterr()
    sample(context, "show", name="other")
    assert capsys.readouterr().out.splitlines() == [
        str(context.session.folder),
        "├── top: new, seed 2, Anna; 1.6 of 1.6 s at levels 2",
        "└── whole: new, seed 1, Anna; 1.6, 1.6, 1.6 of 1.6 s at levels 0, 1, 2",
        "    └── longer: extend, seed 1, Anna; 2.4, 2.4, 2.4 of 2.4 s at levels 0, 1, 2",
        "        └── other (picked): regenerate from 1 to 1.5, seed 5, 0.5 Anna, 0.5 Ben; "
        "2.4, 2.4, 2.4 of 2.4 s at levels 0, 1, 2",
    ]
