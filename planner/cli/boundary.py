"""The edge to the person: every way a command can end becomes an exit code and at most one line on stderr."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Literal

import click

from planner.errors import PlannerError

FITS: Literal[0] = 0
DOES_NOT_FIT: Literal[1] = 1
BAD_INPUT: Literal[2] = 2
INTERRUPTED = 130

#: The disk or its share is full, or a file is as long as it may be.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def exit_code(run: Callable[[], object]) -> int:
    """Run a command; its int result is the exit code, None is 0."""
    try:
        result = run()
        sys.stdout.flush()
    except click.UsageError as error:
        return _refuse(_usage(error))
    except click.ClickException as error:
        return _refuse(error.format_message())
    except PlannerError as error:
        return _refuse(error.message)
    except (KeyboardInterrupt, click.Abort):
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return reader_gone()
    except ModuleNotFoundError as error:
        return _unexpected(error) if _is_ours(error.name) else _refuse(_missing(error))
    except OSError as error:
        return _no_room(error) if error.errno in _NO_ROOM else _unexpected(error)
    except Exception as error:
        return _unexpected(error)
    return result if isinstance(result, int) else FITS


def _refuse(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return BAD_INPUT


def _is_ours(module: str | None) -> bool:
    return module is None or module.partition(".")[0] in ("planner", "profiler", "ui")


def _missing(error: ModuleNotFoundError) -> str:
    return (
        f"the package {error.name} is not installed, and this command needs it: run `pip install -e .` in the "
        "checkout, with .[profiler] to trace and to measure"
    )


def _usage(error: click.UsageError) -> str:
    where = f"; see `{error.ctx.command_path} --help`" if error.ctx else ""
    return error.format_message().rstrip(".") + where


def reader_gone() -> int:
    """The reader of the pipe has seen enough: say nothing, not even at the interpreter's last flush."""
    _drop_the_rest()
    return FITS


def _no_room(error: OSError) -> int:
    _drop_the_rest()
    return _refuse(f"the answer cannot be written: {error.strerror}: make room, or send it elsewhere")


def _drop_the_rest() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unexpected(error: Exception) -> int:
    if os.environ.get("TUNEBUDGET_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    return _refuse(unexpected_text(error))


def unexpected_text(error: Exception) -> str:
    """What to say of an error that no one foresaw."""
    return (
        f"unexpected {type(error).__name__}: {error}: a fault of this program, please report it with what you gave; "
        "TUNEBUDGET_DEBUG=1 shows the traceback"
    )
