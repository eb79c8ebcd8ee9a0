"""A Plotly figure that is sent as it was written.

Plotly checks a figure when it is made and copies it when it is sent: 15 ms of CPU for the Fit page's two, more than
its answer takes. Figures here are plain dicts, and what is wrong in one is found by its test, which reads `data` and
`layout`: these are Plotly's, checked.
"""

from functools import cache, cached_property
from typing import Any

from plotly.basedatatypes import BaseFigure
from plotly.io import templates

Spec = dict[str, Any]


class Picture(BaseFigure):  # type: ignore[misc]
    """Traces and a layout. A BaseFigure in name: what st.plotly_chart asks of one is to_dict alone."""

    def __init__(self, traces: list[Spec], layout: Spec) -> None:
        self._spec = {"data": traces, "layout": layout}

    def to_dict(self) -> Spec:
        """The figure for the page, with the template in force: Streamlit's, whose colours the page fills in."""
        return {**self._spec, "layout": {"template": _template(templates.default), **self._spec["layout"]}}

    @cached_property
    def checked(self) -> Any:
        """The figure as Plotly reads it. Raises ValueError for what Plotly does not know."""
        from plotly.graph_objects import Figure

        return Figure(self._spec)

    @property
    def data(self) -> Any:
        return self.checked.data

    @property
    def layout(self) -> Any:
        return self.checked.layout


@cache
def _template(name: str) -> Spec:
    return dict(templates[name].to_plotly_json())
