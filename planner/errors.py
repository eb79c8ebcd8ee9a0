"""Errors that reach a person, each one line: what was given, the rule, what to do.

PlannerError
 +-- RequestError         a field of the request breaks a rule
 +-- UnknownModelError    no such model in the catalogue, no such file
 +-- ArchitectureError    a config.json that cannot be read: unknown model_type, missing or impossible field
 +-- UnknownGpuError      no such card in the catalogue
 +-- CatalogError         a data file of the product is missing or broken
"""


class PlannerError(ValueError):
    """A refusal with one line for a person and the request's field it is about."""

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.message = message
        self.field = field


class RequestError(PlannerError):
    """A field of the request breaks a rule."""


class UnknownModelError(PlannerError):
    """The model is neither in the catalogue nor a readable file."""


class ArchitectureError(PlannerError):
    """The model's config cannot be read as an architecture."""


class UnknownGpuError(PlannerError):
    """The card is not in the catalogue."""


class CatalogError(PlannerError):
    """A data file that ships with the product is missing or broken."""
