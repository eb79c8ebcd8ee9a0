"""A package that is absent, or whose import is blocked."""

import sys

import pytest

from planner.installed import is_installed


class Blocking:
    """A finder that refuses one name."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "colorsys":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_absent_and_blocked_packages_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_installed("colorsys")
    assert not is_installed("no_such_package")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Blocking(), *sys.meta_path])
    assert not is_installed("colorsys")
