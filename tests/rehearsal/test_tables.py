"""Tables for people."""

from rehearsal.tables import lines


def test_rows_are_printed_as_a_table_and_lists_below_it() -> None:
    printed = lines("kills", [{"run": 1, "lag": {"table": 5}, "ids": []}, {"run": 2, "lag": {"table": 6}, "ids": [
        {"id": "x", "ms": 3}, {"id": "y", "ms": 4}]}])
    assert printed[0].strip() == "kills"
    assert printed[1].split() == ["run", "lag"]
    assert [line.split() for line in printed[3:5]] == [["1", "table", "5"], ["2", "table", "6"]]
    assert printed[5:] == ["  run 2, ids: id x ms 3, id y ms 4"]
    assert lines("kills", []) == []
