"""Many visitors at once: each a session over Streamlit's own websocket, changing the length every second or so.

python -m benchmarks.visitors [--visitors 50] [--seconds 60]
"""

import argparse
import asyncio
import random
import time
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.served import Served, load, served, wait_until_up

_LABEL = "Length in tokens"
_ANSWERS_WITHIN_SECONDS = 60
#: How long a visitor looks at an answer, in seconds.
_LOOKS = (0.5, 1.5)

#: The aims: seconds, MiB.
MEDIAN, MEMORY = 2.0, 1500


@dataclass
class Seen:
    """What all visitors met."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def main() -> None:
    """Print every figure with its aim."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    print(load())
    with served() as server:
        wait_until_up(server)
        seen = asyncio.run(_all(server, options.visitors, options.seconds))
    _report(seen, options.visitors, options.seconds)
    print(load())
    raise SystemExit(bool(seen.errors))


def _report(seen: Seen, visitors: int, seconds: float) -> None:
    print(f"{visitors} visitors, {seconds:g} s: {len(seen.seconds)} changed answers, {len(seen.errors)} errors")
    for error in sorted(set(seen.errors))[:5]:
        print(f"  {error}")
    print(f"median {median(seen.seconds):.2f} s (aim {MEDIAN} s), p95 {quantiles(seen.seconds, n=20)[-1]:.2f} s")
    third = max(len(seen.memory) // 3, 1)
    early, late = median(seen.memory[third : 2 * third]), median(seen.memory[-third:])
    print(f"memory: most {max(seen.memory):.0f} MiB (aim {MEMORY}), middle third {early:.0f}, last third {late:.0f}")


async def _all(server: Served, visitors: int, seconds: float) -> Seen:
    seen, end = Seen(), time.monotonic() + seconds
    watch = asyncio.create_task(_watch(server, seen))
    await asyncio.gather(*(_visitor(server, seen, end, number) for number in range(visitors)))
    watch.cancel()
    return seen


async def _watch(server: Served, seen: Seen) -> None:
    while True:
        seen.memory.append(server.memory_mib())
        await asyncio.sleep(0.5)


async def _visitor(server: Served, seen: Seen, end: float, number: int) -> None:
    draw = random.Random(number)
    try:
        address = f"ws://127.0.0.1:{server.port}/_stcore/stream"
        async with websockets.connect(address, max_size=2**26, subprotocols=["streamlit"]) as socket:  # type: ignore[list-item]
            await socket.send(_rerun({}))
            found = await _finished(socket, seen)
            while time.monotonic() < end:
                await asyncio.sleep(draw.uniform(*_LOOKS))
                start = time.perf_counter()
                await socket.send(_rerun({found: float(draw.randrange(128, 8192))}))
                await _finished(socket, seen)
                seen.seconds.append(time.perf_counter() - start)
    except Exception as error:
        seen.errors.append(f"{type(error).__name__}: {error}")


def _rerun(values: dict[str, float]) -> bytes:
    message = BackMsg()
    message.rerun_script.query_string = ""
    for widget, value in values.items():
        state = message.rerun_script.widget_states.widgets.add()
        state.id, state.double_value = widget, value
    return bytes(message.SerializeToString())


async def _finished(socket: Any, seen: Seen) -> str:
    """Read until the script has run; the id of the input that is changed."""
    found = ""
    while True:
        content = await asyncio.wait_for(socket.recv(), _ANSWERS_WITHIN_SECONDS)
        message = ForwardMsg.FromString(content)
        kind = message.WhichOneof("type")
        if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            if element.WhichOneof("type") == "exception":
                seen.errors.append(element.exception.message)
            if element.WhichOneof("type") == "number_input" and element.number_input.label == _LABEL:
                found = element.number_input.id
        if kind == "script_finished":
            return found


if __name__ == "__main__":
    main()
