"""The closed form: what a training run needs, every byte a named term. Imports no torch, transformers, streamlit."""

#: The version of the product; pyproject.toml reads it here.
__version__ = "0.1.0"
