"""The web page: the only importer of streamlit. Pages are flat scripts; what they show is built by pure functions."""
