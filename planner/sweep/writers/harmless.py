"""Texts that a spreadsheet would take for a formula, made harmless."""

#: How a formula begins in Excel, LibreOffice and Google Sheets (OWASP, CSV injection).
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(text: str) -> str:
    """The text with an apostrophe before what would make it a formula, also behind spaces."""
    return f"'{text}" if text.startswith(_STARTS) or text.lstrip().startswith(_STARTS) else text
