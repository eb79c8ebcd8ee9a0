"""The symbolic autograd on examples small enough to follow by hand: one unit is a float32 tensor of n elements."""

from collections.abc import Callable

import pytest

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.live import Key, Live, Section, Shape
from planner.memory.peaks import Peaks
from planner.memory.tape import Tape

N: Shape = ("n",)
UNIT = 4


def units(live: dict[tuple[str, str, tuple[str, ...]], int], category: str | None = None) -> int:
    """Units live, of one category or of all."""
    total = sum(c for (_, kind, monomial), c in live.items() if monomial == N and category in (None, kind))
    assert total % UNIT == 0
    return total // UNIT


def maxima(t: Tape) -> list[Live]:
    """What was live at each mark."""
    return [t.section.live_at(position) for _, position in t.section.marks]


def highest(t: Tape) -> int:
    """Units at the largest mark."""
    return max(units(live) for live in maxima(t))


def run_backward(t: Tape, out: Value) -> None:
    """Start with a gradient of `out`, which nobody else holds then."""
    node = out.node
    assert node is not None
    out.storage = out.node = None
    buffers = {node: [None] * out.index + [t.allocate(N, "float32", "first grad")]}
    del node
    t.cut()
    t.run_backward(buffers)
    t.mark()


def start() -> tuple[Tape, Value, list[Value | None]]:
    """A tape and an input of one unit that needs a gradient."""
    t = Tape()
    x, received = t.boundary(N, "float32", True, "x")
    return t, x, received


# -- storages --------------------------------------------------------------------------------------------------------


def test_a_storage_lives_as_long_as_python_refers_to_it() -> None:
    t = Tape()
    a = t.allocate(N, "float32", "a")
    b = t.allocate(N, "bfloat16", "b")
    assert t.live == {("a", "workspace", N): 4, ("b", "workspace", N): 2}
    again = b.detach()
    del b
    assert ("b", "workspace", N) in t.live
    del again
    assert t.live == {("a", "workspace", N): 4}
    del a
    assert t.live == {}


def test_a_mark_is_set_where_the_sum_begins_to_fall() -> None:
    t = Tape()
    a, b = t.allocate(N, "float32", "a"), t.allocate(N, "float32", "b")
    assert not maxima(t)
    del a
    assert [units(live) for live in maxima(t)] == [2]
    del b
    assert len(maxima(t)) == 1, "falling on is no new maximum"


def test_numbers_in_a_shape_are_part_of_the_coefficient() -> None:
    t = Tape()
    kept = t.allocate(("S", 3, "B", 2), "bfloat16", "x")
    assert t.live == {("x", "workspace", ("B", "S")): 3 * 2 * 2}
    del kept


def test_an_external_tensor_is_counted_elsewhere() -> None:
    t = Tape()
    weight = t.external(N, "float32", requires_grad=True, leaf="w")
    assert weight.storage is None and t.live == {}


# -- forward ---------------------------------------------------------------------------------------------------------


def test_a_dropped_local_is_freed_at_once_and_a_named_one_is_not() -> None:
    t, x, _ = start()
    nested = ops.scale(t, ops.scale(t, x))
    assert units(t.live) == 2, "x and the outer product"
    del nested
    first = ops.scale(t, x)
    second = ops.scale(t, first)
    assert units(t.live) == 3, "the local keeps the inner product too"
    del first, second


def test_what_backward_needs_is_kept_and_counted_as_activations() -> None:
    t, x, _ = start()
    out = ops.square(t, ops.scale(t, x))
    assert units(t.live, "activations") == 1, "pow saves its input"
    assert units(t.live, "workspace") == 2, "x and the result"
    del out
    assert units(t.live, "activations") == 0, "the graph goes with its last tensor"


def test_nothing_is_saved_where_nothing_needs_a_gradient() -> None:
    t = Tape()
    x = t.allocate(N, "float32", "x")
    out = ops.square(t, ops.scale(t, x))
    assert out.node is None and units(t.live) == 2
    del out


def test_a_product_saves_only_what_the_other_side_needs() -> None:
    t, x, _ = start()
    factor = t.allocate(N, "float32", "factor")
    out = ops.mul(t, x, factor)
    del factor
    assert units(t.live) == 3, "the factor stays for x's gradient; x itself is not saved for anybody"
    del out


def test_a_view_has_no_storage_of_its_own() -> None:
    t, x, _ = start()
    out = ops.view(t, x, ("n",))
    assert units(t.live) == 1 and out.storage is x.storage


# -- backward --------------------------------------------------------------------------------------------------------


def test_gradients_of_two_uses_are_added_in_place_where_the_buffer_is_the_only_owner() -> None:
    t, x, received = start()
    out = ops.add(t, ops.scale(t, x), ops.scale(t, x))
    run_backward(t, out)
    # x, the first grad that add handed to both, and the product that each scale makes of it
    assert highest(t) == 4
    assert not any(" grad sum" in label for live in maxima(t) for label, _, _ in live)
    assert units(t.live) == 2, "x and its gradient"
    assert len(received) == 1


def test_gradients_of_two_uses_are_added_out_of_place_where_they_share_a_storage() -> None:
    t, x, received = start()
    out = ops.add(t, x, x)
    run_backward(t, out)
    # add hands the same tensor to both: the second meets a buffer that it owns itself, and a sum is allocated
    assert highest(t) == 1 + 2
    assert received[0] is not None
    assert [k[0] for k in t.live] == ["x", " grad sum"]


def test_a_gradient_of_another_dtype_is_added_out_of_place() -> None:
    t = Tape()
    old, new = t.allocate(N, "float32", "old"), t.allocate(N, "bfloat16", "new")
    buffer: list[Value | None] = [old]
    del old
    t._accumulate(buffer, 0, new)
    assert buffer[0] is not None and buffer[0].dtype == "float32"
    assert set(t.live) == {(" grad sum", "workspace", N), ("new", "workspace", N)}


def test_the_node_made_last_runs_first() -> None:
    t, x, _ = start()
    order: list[str] = []

    def step(name: str, value: Value) -> Value:
        def backward(grad: Value) -> ops.Grads:
            order.append(name)
            return (ops.same(grad),)

        return t.op(name, N, "float32", [value], backward)

    a, b = step("a", x), step("b", x)
    run_backward(t, ops.add(t, b, a))
    assert order == ["b", "a"]


def test_a_leaf_takes_over_a_gradient_that_nobody_else_holds() -> None:
    t, x, _ = start()
    weight = t.external(N, "float32", True, leaf="w")
    run_backward(t, ops.mul(t, x, weight))
    assert units(t.live, "gradients") == 1
    assert t.gradients["w"].storage is not None


def test_a_leaf_clones_a_gradient_that_is_shared() -> None:
    t, x, received = start()
    weight = t.external(N, "float32", True, leaf="w")
    run_backward(t, ops.add(t, x, weight))
    assert received[0] is not None
    assert received[0].storage is not t.gradients["w"].storage
    assert units(t.live) == 3, "x, its gradient, and a copy of that for the weight"


def test_a_second_gradient_of_a_leaf_is_added_to_the_first() -> None:
    t, x, _ = start()
    weight = t.external(N, "float32", True, leaf="w")
    run_backward(t, ops.mul(t, ops.mul(t, x, weight), weight))
    assert units(t.live, "gradients") == 1


@pytest.mark.parametrize("observed", [False, True])
def test_with_gradients_of_an_earlier_step_new_ones_are_added_in_place_and_freed(observed: bool) -> None:
    t = Tape(gradients_exist=True)
    t.observed = observed
    x, _ = t.boundary(N, "float32", True, "x")
    weight = t.external(N, "float32", True, leaf="w")
    run_backward(t, ops.mul(t, x, weight))
    assert highest(t) == 4, "x, the incoming gradient, and the two products; no sum beside them"
    assert t.gradients == {} and units(t.live, "gradients") == 0


def test_with_gradients_of_an_earlier_step_a_tied_weights_two_are_added_first() -> None:
    for tied, expected in (("", 4), ("w", 5)):
        t = Tape(gradients_exist=True)
        t.tied = tied
        x, _ = t.boundary(N, "float32", True, "x")
        weight = t.external(N, "float32", True, leaf="w")
        run_backward(t, ops.add(t, ops.scale(t, ops.mul(t, x, weight)), weight))
        # at the product's backward: x, the incoming gradient, two outgoing ones; and the first one, which waits
        assert highest(t) == expected
        assert t.gradients == {} and units(t.live) == 2, "x and its gradient"


def test_a_gradient_is_cast_to_its_inputs_dtype() -> None:
    t, x, received = start()

    def backward(grad: Value) -> ops.Grads:
        return (t.allocate(N, "bfloat16", "low"),)

    run_backward(t, t.op("op", N, "float32", [x], backward))
    assert received[0] is not None and received[0].dtype == "float32"
    assert ("low", "workspace", N) not in t.live


def test_a_gradient_is_summed_to_the_shape_of_a_broadcast_input() -> None:
    t = Tape()
    small, received = t.boundary((), "float32", True, "small")
    x = t.allocate(N, "float32", "x")
    run_backward(t, ops.add(t, x, small))
    assert received[0] is not None and received[0].shape == ()


def test_split_fills_missing_gradients_with_zeros() -> None:
    t, x, _ = start()
    first, second = ops.split(t, x, [N, N])
    out = ops.scale(t, first)
    del first, second
    run_backward(t, out)
    # at the split: x, the gradient of the first half, zeros for the second, and the whole
    assert highest(t) == 4


def test_saved_tensors_are_freed_as_their_nodes_run() -> None:
    t, x, _ = start()
    run_backward(t, ops.square(t, ops.square(t, x)))
    assert units(t.live, "activations") <= 1, "x, which its own handle still holds"
    assert units(t.live) == 2


# -- checkpoints -----------------------------------------------------------------------------------------------------


def chain(t: Tape, calls: list[str]) -> Callable[[Value], Value]:
    """Two squares, which save their inputs, and a product by a number, which saves nothing."""

    def run(x: Value) -> Value:
        calls.append("first")
        x = ops.square(t, x)
        calls.append("second")
        x = ops.square(t, x)
        calls.append("tail")
        return ops.scale(t, x)

    return run


@pytest.fixture(name="calls")
def _calls() -> list[str]:
    return []


def test_a_checkpoint_keeps_its_arguments_only(calls: list[str]) -> None:
    t, x, _ = start()
    kept = chain(t, calls)(x)
    assert units(t.live) == 3, "x, the first square and the result"
    del kept
    out = t.checkpoint(chain(t, calls), x)
    assert units(t.live) == 2, "x and the result"
    del out


def test_recomputation_stops_when_the_last_saved_tensor_is_there(calls: list[str]) -> None:
    t, x, received = start()
    out = t.checkpoint(chain(t, calls), x)
    calls.clear()
    run_backward(t, out)
    assert calls == ["first", "second"], "the tail is not run again"
    assert received[0] is not None
    assert units(t.live) == 2, "x and its gradient"


def test_a_recomputation_happens_once(calls: list[str]) -> None:
    t, x, _ = start()
    out = t.checkpoint(chain(t, calls), x)
    run_backward(t, out)
    assert calls.count("first") == 2, "once forward, once again for both nodes that saved"


def test_a_reentrant_checkpoint_runs_all_of_it_again(calls: list[str]) -> None:
    t, x, received = start()
    out = t.checkpoint_reentrant(chain(t, calls), x)
    assert units(t.live) == 2, "x and the result"
    calls.clear()
    run_backward(t, out)
    assert calls == ["first", "second", "tail"]
    assert received[0] is not None
    assert units(t.live) == 2


def test_a_reentrant_checkpoint_without_input_gradient_has_no_graph(calls: list[str]) -> None:
    t = Tape()
    x = t.allocate(N, "float32", "x")
    assert t.checkpoint_reentrant(chain(t, calls), x).node is None


# -- peaks -----------------------------------------------------------------------------------------------------------


def section(*changes: dict[str, int]) -> Section:
    """A section that marks a maximum after each group of changes, of bytes by symbol."""
    made = Section()
    for change in changes:
        made.events += [(key_of(symbol), size) for symbol, size in change.items()]
        made.marks.append(("forward", len(made.events)))
    return made


def key_of(symbol: str) -> Key:
    return ("label", "workspace", (symbol,))


def test_a_maximum_that_its_neighbour_always_exceeds_is_left_out() -> None:
    wide_then_long = section({"a": 1, "b": 1}, {"a": 1}, {"a": -1, "b": 1}, {"b": -1})
    assert Peaks.of(wide_then_long).positions == (3, 5)


def test_which_maximum_is_highest_depends_on_the_sizes() -> None:
    peaks = Peaks.of(section({"a": 2, "b": 1}, {"a": -1, "b": 1}))
    assert peaks.highest({("a",): 10, ("b",): 1}) == (21, 0)
    assert peaks.highest({("a",): 1, ("b",): 10}) == (21, 1)
    assert peaks.live(1) == {key_of("a"): 1, key_of("b"): 2}


def test_maxima_of_one_phase_are_told_from_those_of_another() -> None:
    both = section({"a": 2}, {"a": -1, "b": 1})
    both.marks[1] = ("loss", both.marks[1][1])
    sizes = {("a",): 1, ("b",): 1}
    assert [Peaks.of(both, phase).highest(sizes) for phase in ("forward", "loss")] == [(2, 0), (2, 0)]
    assert Peaks.of(both, "loss").live(0) == {key_of("a"): 1, key_of("b"): 1}


def test_a_section_begins_with_what_is_live() -> None:
    t = Tape()
    kept = t.allocate(N, "float32", "kept")
    t.cut()
    passing = t.allocate(N, "float32", "passing")
    del passing
    assert [units(live) for live in maxima(t)] == [2]
    assert kept is not None and Peaks.of(t.cut()).highest({N: 1}) == (8, 0)
