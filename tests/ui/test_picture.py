"""A picture is sent as it was written, and read by Plotly before a test believes it."""

import pytest
import streamlit  # noqa: F401  (puts its template in force, as the server does)
from plotly.io import templates

from ui.picture import Picture

_BAR = {"type": "bar", "x": [1, 2], "y": [3.0, 4.0]}


def test_a_picture_is_sent_as_it_was_written_with_the_template_in_force() -> None:
    sent = Picture([_BAR], {"height": 100}).to_dict()
    assert templates.default == "streamlit"
    assert sent["layout"].pop("template") == templates["streamlit"].to_plotly_json()
    assert sent == {"data": [_BAR], "layout": {"height": 100}}


def test_its_parts_are_read_by_plotly() -> None:
    picture = Picture([_BAR], {"height": 100})
    assert (picture.data[0].y, picture.layout.height) == ((3.0, 4.0), 100)


@pytest.mark.parametrize(("trace", "layout"), [({"type": "bar", "colour": "red"}, {}), (_BAR, {"hight": 100})])
def test_what_plotly_does_not_know_is_an_error(trace: dict[str, object], layout: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Invalid property"):
        assert Picture([trace], layout).data
