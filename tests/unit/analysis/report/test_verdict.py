"""The verdict, one test per way a suite can turn out."""

import pytest

from tests.unit.analysis.report.made_numbers import MS, Interval, Suite, typical
from tracekit.analysis.report.build import build
from tracekit.analysis.report.views import Verdict

ONE: Interval = (1.0, 1.0, 1.0)


def the_verdict(suite: Suite) -> Verdict:
    (found,) = build(suite.tables()).verdicts
    return found


def test_processes_win_and_threads_wait_for_the_gil() -> None:
    found = the_verdict(typical())
    assert found.outcome == "processes"
    assert found.sentence == (
        "On 2 CPUs, 2 processes (fork) run matmul 1.82x as fast as serial (95 % interval 1.74–1.90, n = 5); "
        "2 threads are no faster (0.99x, 0.97–1.02): they wait for the GIL 48–51 % of the time."
    )
    assert found.lead == "On 2 CPUs, 2 processes (fork) run matmul 1.82x as fast as serial"


def test_threads_win_where_tasks_wait() -> None:
    suite = Suite("sleep", "io").cell("serial", speedup=ONE)
    suite.cell("threads", speedup=(1.98, 1.97, 2.0), gil_wait_ms=(0.0, 0.0, 1580.0))
    suite.cell("fork", wall_ms=820, speedup=(1.93, 1.90, 1.96))
    found = the_verdict(suite)
    assert found.outcome == "threads"
    # The range 0 to 98 % says nothing, so nothing is said about the GIL.
    assert found.sentence == (
        "On 2 CPUs, 2 threads run sleep 1.98x as fast as serial (95 % interval 1.97–2.00, n = 5); "
        "2 processes (fork) reach 1.93x (1.90–1.96), detectably behind."
    )


@pytest.mark.parametrize(
    ("fork_ms", "fork", "behind"),
    [
        # In every round 2.5 % slower: what the rounds do to both is in both intervals, and not in the ratio.
        (820, (1.85, 1.80, 1.96), "detectably behind"),
        (800, (1.85, 1.80, 1.96), "not detectably behind"),
        (800, (1.75, 1.72, 1.78), "not detectably behind"),
    ],
)
def test_models_are_ranked_by_their_walls_paired_by_round(fork_ms: float, fork: Interval, behind: str) -> None:
    suite = Suite("hashing", "native").cell("serial", speedup=ONE)
    suite.cell("threads", speedup=(1.90, 1.82, 1.95)).cell("fork", wall_ms=fork_ms, speedup=fork)
    assert the_verdict(suite).rest.endswith(f"), {behind}.")


def test_models_of_different_rounds_are_not_ranked() -> None:
    suite = Suite("hashing", "native").cell("serial", speedup=ONE)
    suite.cell("threads", speedup=(1.90, 1.82, 1.95)).cell("fork", wall_ms=820, speedup=(1.85, 1.80, 1.96))
    tables = suite.tables()
    forked = tables.runs["model"].eq("fork")
    tables.runs.loc[forked, "repeat"] += 3
    (found,) = build(tables).verdicts
    assert found.rest.endswith("; 2 processes (fork) reach 1.85x (1.80–1.96), too few rounds have both to tell.")


@pytest.mark.parametrize(("threads_ms", "order"), [(424, "n = 5)."), (420.1, "n = 5), not detectably slower.")])
def test_walls_without_serial_are_compared_by_round(threads_ms: float, order: str) -> None:
    """The intervals of the two walls overlap in both cases, and 424 is 1 % more in every round."""
    reason = {"speedup": "no serial run of the same work ended ok"}
    suite = Suite().cell("fork", wall_ms=420, lacks=reason).cell("threads", wall_ms=threads_ms, lacks=reason)
    tables = suite.tables()
    slow = tables.runs["repeat"].eq(3) & tables.runs["model"].eq("fork")
    # As an uneven round: 1 ms more for the one of the two.
    tables.runs.loc[slow, "wall_ns"] += int(MS)
    (found,) = build(tables).verdicts
    assert found.rest.partition("; next 2 threads in ")[2].endswith(order)


def test_a_small_gil_wait_is_said_to_be_small() -> None:
    suite = Suite().cell("serial", speedup=ONE).cell("fork", speedup=(1.8, 1.7, 1.9))
    suite.cell("threads", speedup=(1.7, 1.65, 1.75), gil_wait_ms=(10.0, 5.0, 30.0))
    assert "they wait for the GIL less than 2 % of the time" in the_verdict(suite).sentence


def test_nothing_wins() -> None:
    suite = Suite().cell("serial", speedup=ONE)
    suite.cell("threads", speedup=(0.98, 0.95, 1.03)).cell("fork", speedup=(1.1, 0.98, 1.25))
    found = the_verdict(suite)
    assert found.outcome == "level"
    assert found.sentence == (
        "On 2 CPUs, no model runs matmul detectably faster than serial (95 % intervals, n = 5). "
        "2 threads reach 0.98x (0.95–1.03); 2 processes (fork) reach 1.10x (0.98–1.25)."
    )


def test_everything_is_slower() -> None:
    suite = Suite().cell("serial", speedup=ONE)
    suite.cell("threads", speedup=(0.8, 0.75, 0.85)).cell("fork", speedup=(0.2, 0.1, 0.3))
    found = the_verdict(suite)
    assert found.outcome == "slower"
    assert found.lead == "On 2 CPUs, every model runs matmul slower than serial"


def test_an_interval_that_reads_as_1_contains_1() -> None:
    suite = Suite().cell("serial", speedup=ONE).cell("fork", speedup=(1.8, 1.7, 1.9))
    suite.cell("threads", speedup=(0.98, 0.96, 0.998))
    assert "2 threads are no faster (0.98x, 0.96–1.00)" in the_verdict(suite).sentence


def test_a_higher_median_that_proves_nothing_does_not_hide_one_that_does() -> None:
    suite = Suite().cell("serial", speedup=ONE).cell("threads", speedup=(0.98, 0.95, 1.02))
    suite.cell("fork", speedup=(1.75, 0.97, 1.90)).cell("forkserver", speedup=(1.70, 1.66, 1.74))
    found = the_verdict(suite)
    assert found.outcome == "processes"
    assert found.sentence == (
        "On 2 CPUs, 2 processes (forkserver) run matmul 1.70x as fast as serial (95 % interval 1.66–1.74, n = 5); "
        "2 threads are no faster (0.98x, 0.95–1.02)."
    )


def test_the_best_of_a_family_is_detectably_faster_if_one_is() -> None:
    suite = Suite().cell("serial", speedup=ONE).cell("threads", speedup=(1.95, 1.9, 2.0))
    suite.cell("fork", speedup=(1.75, 0.97, 1.90)).cell("forkserver", wall_ms=917, speedup=(1.70, 1.66, 1.74))
    assert the_verdict(suite).rest.endswith("; 2 processes (forkserver) reach 1.70x (1.66–1.74), detectably behind.")


def test_another_family_with_a_higher_median_is_not_called_no_faster() -> None:
    suite = Suite().cell("serial", speedup=ONE).cell("threads", speedup=(1.9, 0.95, 2.5))
    suite.cell("fork", speedup=(1.7, 1.65, 1.75))
    assert the_verdict(suite).rest.endswith("; 2 threads are not detectably faster (1.90x, 0.95–2.50).")


def test_a_best_cell_of_too_few_repeats_does_not_hide_a_usable_one() -> None:
    suite = Suite().cell("serial", speedup=ONE).cell("fork", n=2, failed=3, speedup=(1.9, None, None))
    suite.cell("spawn", speedup=(1.5, 1.4, 1.6)).cell("threads", speedup=(0.98, 0.95, 1.02))
    assert the_verdict(suite).lead == "On 2 CPUs, 2 processes (spawn) run matmul 1.50x as fast as serial"


def test_without_an_interval_nothing_is_said_to_be_slower() -> None:
    suite = Suite().cell("serial", speedup=ONE).cell("fork", n=2, failed=3, speedup=(1.9, None, None))
    suite.cell("threads", speedup=(0.8, 0.75, 0.85))
    found = the_verdict(suite)
    assert found.outcome == "level"
    assert found.sentence == (
        "On 2 CPUs, no model runs matmul detectably faster than serial (95 % intervals, n = 2 and 5). "
        "2 threads reach 0.80x (0.75–0.85); 2 processes (fork) reach 1.90x (n = 2)."
    )


def test_slower_threads_are_called_slower() -> None:
    suite = Suite().cell("serial", speedup=ONE).cell("fork", speedup=(1.8, 1.7, 1.9))
    suite.cell("threads", speedup=(0.8, 0.75, 0.85))
    assert "; 2 threads are slower than serial (0.80x, 0.75–0.85)." in the_verdict(suite).sentence


def test_threads_only() -> None:
    suite = Suite().cell("serial", speedup=ONE)
    suite.cell("threads", speedup=(1.01, 0.97, 1.04), gil_wait_ms=(800.0, 780.0, 830.0))
    assert the_verdict(suite).sentence == (
        "On 2 CPUs, 2 threads run matmul no faster than serial (1.01x, 95 % interval 0.97–1.04, n = 5): "
        "they wait for the GIL 49–52 % of the time."
    )


def test_four_repeats_give_no_interval_and_no_judgement() -> None:
    suite = Suite().cell("serial", n=4, speedup=(1.0, None, None))
    suite.cell("threads", n=4, speedup=(0.98, None, None)).cell("fork", n=4, speedup=(1.8, None, None))
    found = the_verdict(suite)
    assert found.outcome == "unsure"
    assert found.sentence == (
        "On 2 CPUs, 2 processes (fork) ran matmul 1.80x as fast as serial, but 4 repeats are too few for an "
        "interval; 2 threads: 0.98x, without an interval."
    )


def test_no_serial_run() -> None:
    reason = {"speedup": "no serial run of the same work ended ok"}
    found = the_verdict(Suite().cell("threads", lacks=reason).cell("fork", wall_ms=420, lacks=reason))
    assert found.outcome == "no-serial"
    assert found.sentence == (
        "On 2 CPUs, 2 processes (fork) run matmul in 420 ms (95 % interval 412–428 ms, n = 5), but there is no "
        "speed-up to state: serial was not run; next 2 threads in 800 ms (95 % interval 784–816 ms, n = 5)."
    )


def test_serial_only() -> None:
    found = the_verdict(Suite().cell("serial", speedup=ONE))
    assert found.outcome == "serial-only"
    assert found.sentence == (
        "Only serial was run: matmul takes 800 ms (95 % interval 784–816 ms, n = 5); there is no run of another "
        "model to compare it with."
    )


def test_no_usable_run() -> None:
    found = the_verdict(Suite().cell("serial", n=0, failed=5).cell("threads", n=0, failed=5))
    assert (found.outcome, found.sentence) == (
        "none",
        "No run of matmul gives a number: none of its 10 runs is usable.",
    )
    assert the_verdict(Suite()).sentence == "No run of matmul gives a number: none was made."


def test_a_build_without_gil_waits_for_none() -> None:
    suite = Suite().cell("serial", speedup=ONE, gil_enabled=False).cell("fork", speedup=(1.8, 1.75, 1.85))
    no_wait = {"gil_wait_ms": (0.0, 0.0, 0.0), "gil_method": "no-gil", "gil_enabled": False}
    suite.cell("threads", wall_ms=847, speedup=(1.7, 1.6, 1.74), **no_wait)  # type: ignore[arg-type]
    assert "detectably behind (this build runs without a GIL)" in the_verdict(suite).sentence


def test_several_interpreters_get_a_verdict_each_in_the_order_they_were_run() -> None:
    suite = typical().cell("serial", python="3.14t", speedup=ONE)
    suite.cell("threads", python="3.14t", speedup=(1.9, 1.8, 2.0), gil_enabled=False)
    found = build(suite.tables()).verdicts
    assert [(item.label, item.outcome) for item in found] == [
        ("Both", "compared"),
        ("Linux · Python 3.13", "processes"),
        ("Linux · Python 3.14t", "threads"),
    ]


def test_several_systems_get_a_verdict_each() -> None:
    suite = typical().cell("serial", os="Darwin", speedup=ONE).cell("fork", os="Darwin", speedup=(1.9, 1.8, 2.0))
    assert [item.label.split(" · ")[0] for item in build(suite.tables()).verdicts] == ["Linux", "Darwin"]


def add_control(suite: Suite, speedup: Interval, workers: int = 2, *, wall_ms: float = 400) -> Suite:
    suite.cell("serial", workload="spin", wall_ms=wall_ms, speedup=ONE)
    return suite.cell("fork", workers, workload="spin", wall_ms=wall_ms, speedup=speedup)


def waiting_serial(share: float, *, wall_ms: float = 800) -> Suite:
    """Serial in the run queue for that part of its time."""
    waited = wall_ms * share * MS
    numbers = {
        "thread_run_queue_ns": ((waited, waited, waited), "ns"),
        "thread_wall_ns": ((wall_ms * MS, wall_ms * MS, wall_ms * MS), "ns"),
    }
    return Suite().cell("serial", wall_ms=wall_ms, speedup=ONE, numbers=numbers)


def test_a_busy_machine_is_said_first_and_nothing_is_claimed_of_the_work() -> None:
    suite = waiting_serial(0.48).cell("threads", speedup=(0.98, 0.95, 1.03)).cell("fork", speedup=(1.2, 1.1, 1.3))
    found = the_verdict(suite)
    assert (found.outcome, found.lead) == (
        "unsure",
        "The machine was too busy to tell: serial waited for a CPU 48 % of its time",
    )
    assert found.rest == (
        ". On 2 CPUs, matmul measured 0.98x (0.95–1.03) under 2 threads and 1.20x (1.10–1.30) under "
        "2 processes (fork), against serial (95 % intervals, n = 5)."
    )


def test_a_machine_that_was_free_leaves_the_verdict_as_it_is() -> None:
    suite = add_control(waiting_serial(0.04), (1.9, 1.8, 2.0)).cell("fork", speedup=(1.8, 1.7, 1.9))
    assert the_verdict(suite).sentence == (
        "On 2 CPUs, 2 processes (fork) run matmul 1.80x as fast as serial (95 % interval 1.70–1.90, n = 5)."
    )


def test_short_runs_are_said_first() -> None:
    suite = Suite().cell("serial", n=4, wall_ms=40, speedup=(1.0, None, None))
    found = the_verdict(suite.cell("fork", n=4, wall_ms=30, speedup=(1.3, None, None)))
    assert (found.outcome, found.sentence) == (
        "unsure",
        "The runs are too short to tell: serial takes only 40.0 ms. On 2 CPUs, matmul measured 1.30x (n = 4) under "
        "2 processes (fork), against serial.",
    )


@pytest.mark.parametrize(
    ("speedup", "doubt"),
    [
        ((2.25, 1.47, 3.44), "from 1.47x to 3.44x, where 2 CPUs allow 2.00x"),
        ((1.40, 1.10, 1.78), "from 1.10x to 1.78x"),
        ((1.20, 0.90, 1.50), "from 0.90x to 1.50x"),
        ((2.05, 1.90, 2.21), "from 1.90x to 2.21x, where 2 CPUs allow 2.00x"),
    ],
)
def test_an_uneven_machine_is_said_first(speedup: Interval, doubt: str) -> None:
    found = the_verdict(Suite().cell("serial", speedup=ONE).cell("threads", speedup=speedup))
    assert (found.outcome, found.lead) == (
        "unsure",
        f"The machine was too uneven to tell: the speed-up of 2 threads may be anything {doubt}",
    )
    assert found.rest.startswith(f". On 2 CPUs, matmul measured {speedup[0]:.2f}x ({speedup[1]:.2f}–{speedup[2]:.2f})")


@pytest.mark.parametrize(
    ("kind", "cpus", "workers", "speedup", "outcome"),
    [
        ("cpu", 2, 2, (1.60, 1.31, 1.95), "threads"),
        # The spread of a nearly ideal speed-up.
        ("cpu", 2, 2, (1.99, 1.90, 2.09), "threads"),
        # Tasks that wait need no CPU, and of work of unknown kind nothing is known to be impossible.
        ("io", 2, 8, (7.9, 7.8, 8.0), "threads"),
        ("", 2, 8, (7.9, 7.8, 8.0), "threads"),
        ("cpu", None, 8, (7.9, 7.8, 8.0), "threads"),
        # Slower by how much is not known, and slower it is.
        ("cpu", 2, 2, (0.2, 0.1, 0.3), "slower"),
    ],
)
def test_an_interval_that_says_enough_is_no_doubt(
    kind: str, cpus: int | None, workers: int, speedup: Interval, outcome: str
) -> None:
    suite = Suite(kind=kind, cpus=cpus).cell("serial", speedup=ONE).cell("threads", workers, speedup=speedup)
    assert the_verdict(suite).outcome == outcome


def test_of_several_doubts_the_machine_comes_first() -> None:
    suite = add_control(waiting_serial(0.3, wall_ms=40), (1.1, 1.0, 1.2)).cell("fork", speedup=(1.1, 1.0, 1.2))
    sentence = the_verdict(suite).sentence
    assert sentence.startswith("The machine was too busy to tell: serial waited for a CPU 30 % of its time. On 2 CPUs,")
    assert "short" not in sentence
    assert "control" not in sentence


@pytest.mark.parametrize("reached", [1.1, 0.25])
def test_a_low_ceiling_is_said_first(reached: float) -> None:
    """Also of a control that was slower than serial, of which there is no share."""
    suite = add_control(Suite().cell("serial", speedup=ONE), (reached, reached, reached))
    suite.cell("fork", speedup=(0.23, 0.2, 0.26))
    found = the_verdict(suite)
    assert (found.outcome, found.lead) == (
        "unsure",
        "The ceiling of this machine was too low to tell: even the control, whose 2 workers share nothing, "
        f"reached only {reached:.2f}x",
    )
    assert found.rest.startswith(". On 2 CPUs, matmul measured 0.23x (0.20–0.26) under 2 processes (fork)")


def test_a_control_that_a_model_outran_does_not_bound_it() -> None:
    """The control met a bad moment: saying that the machine could show no speed-up would contradict the one shown."""
    suite = add_control(Suite().cell("serial", speedup=ONE), (1.24, 1.1, 1.4)).cell("fork", speedup=(1.86, 1.49, 2.48))
    assert the_verdict(suite).lead == (
        "This machine's CPUs were not free all the time: the control, whose 2 workers share nothing, reached only 1.24x"
    )


def test_a_ceiling_is_of_what_no_gil_holds_back() -> None:
    """Threads that compute are no ceiling, and neither is a control at another worker count or a short one."""
    suite = add_control(Suite().cell("serial", speedup=ONE), (1.9, 1.8, 2.0)).cell("fork", speedup=(1.8, 1.7, 1.9))
    suite.cell("threads", workload="spin", speedup=(0.9, 0.8, 1.0)).cell("fork", 4, workload="spin", speedup=ONE)
    assert the_verdict(suite).outcome == "processes"
    short = add_control(Suite().cell("serial", speedup=ONE), (1.1, 1.0, 1.2), wall_ms=100)
    assert the_verdict(short.cell("fork", speedup=(1.8, 1.7, 1.9))).outcome == "processes"


def test_more_workers_than_cpus_lower_no_ceiling() -> None:
    suite = add_control(Suite(cpus=2).cell("serial", speedup=ONE), (2.0, 1.9, 2.1), 8)
    suite.cell("fork", 8, speedup=(1.8, 1.7, 1.9))
    assert "control" not in the_verdict(suite).sentence


def test_unknown_cpus_are_not_guessed() -> None:
    suite = Suite(cpus=None).cell("serial", speedup=ONE).cell("fork", speedup=(1.8, 1.7, 1.9))
    assert the_verdict(suite).lead == "2 processes (fork) run matmul 1.80x as fast as serial"
