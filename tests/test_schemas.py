import pytest
from schemas import FOLDER, RECORDS, to_schema


@pytest.mark.parametrize("name", RECORDS)
def test_schemas_say_what_the_records_say(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == to_schema(RECORDS[name]), "write them: python -m tests.schemas"


def test_no_schema_is_left_of_a_file_that_is_no_more():
    assert {path.name for path in FOLDER.iterdir()} == set(RECORDS)
