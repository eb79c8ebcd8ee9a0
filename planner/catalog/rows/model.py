"""The rows of data/models/index.csv."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from planner.catalog.rows import Names, Row, Text


class ModelRow(Row):
    """One architecture of data/models/index.csv; its config is read by load_config."""

    id: Text = Field(description="Hub id")
    aliases: Names = Field((), description="other names, among them repositories of the same architecture")
    model_type: Text
    family: Text
    released: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$", description="YYYY-MM, recalled")]
    license: Text = Field(description="of the weights, recalled: the model card decides")
    gated: bool = Field(description="the Hub asks for consent before a download, recalled")
    params: PositiveInt = Field(description="unique parameters, tied weights once, buffers not counted")
    params_check: Literal["exact", "explained", "rounded", "built"] = Field(
        description="against a published count: equal, different for a known reason, equal when rounded, none found"
    )
    params_source: str = Field("", description="where the published count was seen")
    source: Text = Field(description="where the config's values were seen")
    checked: date
    config_file: Text = Field(description="file in data/models/configs/")
    stand_in: bool = Field(description="model_type may be a stand-in of equal shape for a remote-code model")
    notes: str = ""

    @property
    def url(self) -> str:
        """The model's page on the Hub."""
        return f"https://huggingface.co/{self.id}"
