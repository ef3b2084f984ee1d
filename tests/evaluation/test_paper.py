"""The paper's own values."""

from vividface.evaluation.paper import paper_tables


def test_the_papers_own_values_by_their_headings():
    tables = paper_tables()
    times = tables[3].values("Time (s)", "IDS")
    assert times["VividFace"] == (7.43, 0.912)
    assert len(times) == 6
    assert tables[7].values("FVD") == {"VividFace": (79.14,)}, "methods without the value are left out"


def test_every_row_has_a_value_per_column():
    for table in paper_tables().values():
        assert {len(values) for values in table.rows.values()} == {len(table.columns)}
