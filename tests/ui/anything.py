"""Any setting of any page: widgets of an AppTest are given values that a visitor could choose or type, from a seed."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from streamlit.testing.v1 import AppTest

#: What stands in links that were cut, changed or guessed, and what people type where names are asked for.
BROKEN: tuple[str | list[str], ...] = (
    *("", " ", "abc", "-1", "0", "-5", "1e30", "1e999", "nan", "inf", "99999999999999999999999", "0.0000001", "1,024"),
    *("null", "None", "true", "[]", "{}", "a" * 3000, "../../etc/passwd", "<script>alert(1)</script>", "';--", "%00"),
    *("模型", "ﬁt 🙂", "\u202egpu", "٣", "²", "own/none", "own:usable_gib=1", "own:usable_gib=nan", "trl@9999"),
    *("q_proj,,v_proj", "org/no-such-model", "x\ny", "\x00"),
    *(["1", "2"], ["lora", "qlora"], ["abc", ""], []),
)
TYPED = tuple(text for text in BROKEN if isinstance(text, str))


def shake(app: AppTest, random: Random, most: int = 6) -> list[tuple[str, Any]]:
    """Give up to `most` widgets of the page another value and press at most one button; what was done."""
    _offer_what_was_typed(app)
    found = [widget for widget in _widgets(app) if not widget.disabled]
    done = []
    for widget in random.sample(found, min(random.randint(1, most), len(found))):
        value = _VALUES[widget.type](widget, random)
        widget.set_value(value)
        done.append((widget.key or widget.label, value))
    done += _choose_a_row(app, random)
    buttons = [button for button in app.button if not button.disabled]
    if buttons and random.random() < 0.3:
        button = random.choice(buttons).click()
        done.append((button.label, "pressed"))
    return done


def _offer_what_was_typed(app: AppTest) -> None:
    """AppTest sends only options: a value that was typed, or stands in the address, is added to them."""
    for box in app.selectbox:
        if box.value is not None and box.value not in box.options:
            box.options.append(box.value)


def _widgets(app: AppTest) -> Iterator[Any]:
    for kind in _VALUES:
        yield from app.get(kind)


def _choose_a_row(app: AppTest, random: Random) -> list[tuple[str, Any]]:
    """Choose a row of one of the tables that can be chosen from."""
    tables = [table for table in app.dataframe if table.key and table.proto.selection_mode]
    if not tables or random.random() < 0.5:
        return []
    table = random.choice(tables)
    rows = [random.randrange(len(table.value) + 2)]
    app.session_state[table.key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    return [(table.key, rows)]


def _option(widget: Any, random: Random) -> Any:
    """One of the options; where others can be typed, sometimes one of those."""
    if getattr(widget.proto, "accept_new_options", False) and random.random() < 0.3:
        typed = random.choice([text for text in TYPED if text.strip()])
        widget.options.append(typed)
        return typed
    return random.choice(widget.options)


def _options(widget: Any, random: Random) -> Any:
    some = random.sample(widget.options, min(random.randint(0, 3), len(widget.options)))
    if getattr(widget.proto, "accept_new_options", False) and random.random() < 0.2:
        some.append(random.choice([text for text in TYPED if text.strip()]))
    return some


def _group(widget: Any, random: Random) -> Any:
    if not widget._is_single_select:
        return random.sample(widget.options, random.randint(0, len(widget.options)))
    return random.choice(widget.options)


def _number(widget: Any, random: Random) -> Any:
    """Within the input's own limits, which the browser keeps; often at them, and far beyond what anybody means."""
    whole = widget.proto.data_type == widget.proto.INT
    least = widget.min if widget.min is not None else -1e300
    most = widget.max if widget.max is not None else (2**53 - 1 if whole else 1e300)
    wanted = random.choice([least, most, least + 1, 2, 7, 64, 1000, 4096, 10**6, 10**9, 10**12, 0.3, 1.5])
    value = min(max(wanted, least), most)
    return int(value) if whole else float(value)


def _text(widget: Any, random: Random) -> str:
    return random.choice(TYPED)[: widget.proto.max_chars or None]


_VALUES: dict[str, Callable[[Any, Random], Any]] = {
    "selectbox": _option,
    "multiselect": _options,
    "button_group": _group,
    "radio": lambda widget, random: random.choice(widget.options),
    "number_input": _number,
    "slider": lambda widget, random: random.choice([widget.min, widget.max, (widget.min + widget.max) // 2]),
    "select_slider": lambda widget, random: random.choice(widget.options),
    "toggle": lambda widget, random: random.random() < 0.5,
    "checkbox": lambda widget, random: random.random() < 0.5,
    "text_input": _text,
    "text_area": _text,
}


def random_address(app: AppTest, random: Random) -> dict[str, str | list[str]]:
    """Parameters of an address for the inputs of this page: options, numbers, and what no input can hold."""
    widgets = {widget.key: widget for widget in _widgets(app) if widget.key}
    chosen = random.sample(sorted(widgets), min(random.randint(1, 8), len(widgets)))
    address = {key: _in_address(widgets[key], random) for key in chosen}
    if random.random() < 0.3:
        address[random.choice(["no_such_key", "", "模型", "model ", "MODEL"])] = random.choice(BROKEN)
    return address


def _in_address(widget: Any, random: Random) -> str | list[str]:
    if random.random() < 0.4:
        return random.choice(BROKEN)
    value = _VALUES[widget.type](widget, random)
    if isinstance(value, list):
        return [str(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
