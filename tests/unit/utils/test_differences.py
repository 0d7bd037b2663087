from jukebox_pl.utils.differences import differences


def test_differences_name_added_and_removed_settings():
    found = differences({"a": 1, "b": {"c": 2}}, {"b": {"c": 3}, "d": 4})
    assert list(found) == ["a: 1 -> None", "b.c: 2 -> 3", "d: None -> 4"]


def test_a_tuple_is_the_list_that_it_becomes_on_disk():
    assert list(differences({"downs": (3, 2)}, {"downs": [3, 2]})) == []
