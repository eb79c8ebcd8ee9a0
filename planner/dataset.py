"""What is trained on: the section of the request that turns a step's time into hours and money."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_TOKENS = 10**15
MAX_EPOCHS = 10**4


class DatasetSettings(BaseModel):
    """The tokens of one epoch, counted or as examples of a mean length, and the epochs."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    num_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = Field(
        None, description="tokens of one epoch; or give num_examples and mean_length"
    )
    num_examples: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = Field(None, description="examples of one epoch")
    mean_length: Annotated[float, Field(ge=1, le=MAX_TOKENS, allow_inf_nan=False)] | None = Field(
        None, description="mean tokens of an example"
    )
    num_train_epochs: Annotated[float, Field(ge=1e-6, le=MAX_EPOCHS, allow_inf_nan=False)] = 1

    @model_validator(mode="after")
    def _one_size(self) -> "DatasetSettings":
        examples = self.num_examples, self.mean_length
        if self.num_tokens is not None and examples != (None, None):
            raise ValueError("dataset: num_tokens beside num_examples or mean_length: give the one or the other two")
        if self.num_tokens is None and None in examples:
            raise ValueError("dataset: give num_tokens, or num_examples and mean_length")
        return self

    @property
    def epoch_tokens(self) -> float:
        """Tokens of one epoch."""
        if self.num_tokens is not None:
            return self.num_tokens
        assert self.num_examples is not None and self.mean_length is not None
        return self.num_examples * self.mean_length

    @property
    def trained_tokens(self) -> float:
        """Tokens that the whole run passes through the model."""
        return self.epoch_tokens * self.num_train_epochs
