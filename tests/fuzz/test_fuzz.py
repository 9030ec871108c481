"""Do a few hundred random programs mean the same in every way, and would it be seen if one did not?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.errors import NonFiniteError
from funcgrad.ir.interpret import interpret
from funcgrad.lower import plan
from funcgrad.simplify import identities
from tests.effort import EFFORT
from tests.fuzz import campaign, gradients
from tests.fuzz.checks import Given, Invalid, Mismatch, Subject
from tests.fuzz.conditioning import yardsticks
from tests.fuzz.generator import draw
from tests.fuzz.programs import Case
from tests.fuzz.report import Report, Tally
from tests.fuzz.variants import LIMITS, LOWERED, OFF, variant


def few(programs: int) -> int:
    """So many, times the effort that is asked for."""
    return round(programs * EFFORT)


def test_the_same_in_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "NATIVE", 0.05)
    monkeypatch.setattr(campaign, "IN_JAX", 0.0)
    told: list[str] = []
    report = campaign.campaign(2026, 0, few(80), tell=told.append)
    assert not told, "\n".join(told)
    assert report.decided > 0.9 * few(80)
    assert len(report.primitives) > 80


@pytest.mark.slow
def test_the_same_in_jax_and_in_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "IN_JAX", 1.0)
    monkeypatch.setattr(campaign, "NATIVE", 1.0)
    told: list[str] = []
    campaign.campaign(2027, 0, few(40), tell=told.append)
    assert not told, "\n".join(told)


def test_programs_are_the_same_in_every_run() -> None:
    assert [draw(5, k).text() for k in range(4)] == [draw(5, k).text() for k in range(4)]


def test_runs_add_up(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "tally")
    first = Report(3, 2, ways=Counter(jit=3), found=[("a", "b")], seconds=0.5)
    tally.note(1, 3, first)
    tally.note(2, 9, Report(9, 9, 1, ways=Counter(jit=2, jax=1)))
    assert (tally.end(1), tally.end(2), tally.end(3)) == (3, 9, 0)
    assert tally.total() == first + Report(9, 9, 1, ways=Counter(jit=2, jax=1))
    assert tally.total().ways == {"jit": 5, "jax": 1}


def test_a_run_that_ends_early_has_told_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(campaign, "examine", lambda case, rng, report, tell: seen.append(case.label))
    parts: list[int] = []
    campaign.campaign(0, 4, 400, lambda: len(seen) == 2, note_part=lambda end, part: parts.append(end))
    assert parts == [12]


# Would a mistake be seen? --------------------------------------------------------------------------------------------


def test_a_wrong_identity_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(identities.IDENTITIES, "tanh", lambda r, inputs, params, source: inputs[0])
    report, told = Report(), []
    for number in range(40):
        case = Case((draw(11, number),))
        try:
            Subject(case).verify(("simplified",))
        except Mismatch as mismatch:
            campaign.note(case, mismatch, report, told.append)
            break
        except Invalid:
            continue
    ((_, script),) = report.found
    body = script.split("def main")[0].split("def f0")[1]
    assert len(body.splitlines()) < 14, script
    assert "simplified: values" in told[0]


def test_a_wrong_plan_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(Given(lambda x: (np.sin(x) + 1,), np.linspace(0.0, 1.0, 5)))
    subject.verify(("printed",))
    monkeypatch.setattr(plan, "expand", lambda program: fg.make_jaxpr(lambda x: (np.sin(x) + 1.0000001,))(np.ones(5)))
    with pytest.raises(Mismatch, match="printed: values"):
        subject.verify(("printed",))


def test_yardsticks_know_what_is_ill_conditioned() -> None:
    def f(x: Any) -> Any:
        return x * 2, (1 + x) - 1, np.floor(x * 3), x > 1 / 3

    x = np.array([1 / 3, 1e-15, 2.1])
    program = fg.make_jaxpr(f)(x)
    doubled, cancelled, whole, _ = yardsticks(program, [x], interpret(program, [x]), 0)
    assert not doubled.misses(x * 2).any()
    assert doubled.misses(x * 2 * (1 + 1e-14)).all()
    assert cancelled.decided.tolist() == [True, False, True] or not cancelled.misses((1 + x) - 1).any()
    assert not whole.decided[0]
    assert whole.decided[2]


def test_variants_leave_everything_as_it_was() -> None:
    places = [place[:2] for table in (OFF, LIMITS) for patches in table.values() for place in patches]
    before = [getattr(where, name) for where, name in places]
    with variant(LOWERED):
        assert all(getattr(where, name) is not old for (where, name), old in zip(places, before, strict=True))
    assert [getattr(where, name) for where, name in places] == before


# Gradients -----------------------------------------------------------------------------------------------------------


def test_compositions_have_the_right_gradients() -> None:
    count = gradients.Count()
    for number in range(few(8)):
        gradients.check_composition(gradients.composition(3, number), f"composition {number}", count, 10)
    assert not count.wrong, "\n".join(count.wrong)
    assert count.points > 5 * count.undecided


def test_primitives_have_the_right_gradients() -> None:
    count = gradients.Count()
    for row in list(gradients.smooth_rows())[:: round(16 / EFFORT) or 1]:
        gradients.check_row(row, count, 1)
    assert not count.wrong, "\n".join(count.wrong)
    assert count.points > 20 * count.undecided


def test_a_wrong_slope_is_found() -> None:
    want, off = gradients.trusted(lambda t: np.sin(np.linspace(0, 1, 5) + t))
    count = gradients.Count()
    gradients.compare("right", np.cos(np.linspace(0, 1, 5)), want, off, count)
    assert (count.points, count.wrong) == (5, [])
    gradients.compare("wrong", np.cos(np.linspace(0, 1, 5)) + 1e-7, want, off, count)
    assert len(count.wrong) == 1


def test_kinks_are_not_decided() -> None:
    want, off = gradients.trusted(lambda t: np.abs(np.array([1e-5, 1.0]) + t))
    count = gradients.Count()
    gradients.compare("abs", np.array([1.0, 1.0]), want, off, count)
    assert (count.points, count.undecided, count.wrong) == (1, 1, [])


# Memory --------------------------------------------------------------------------------------------------------------


def several(x: Any, i: Any) -> Any:
    """Arguments, constants, temporaries of bodies, products, sorts, writes at places."""
    table = np.exp(np.arange(6.0))

    def step(c: Any, v: Any) -> Any:
        return lax.dynamic_update_index_in_dim(c, np.sum(np.sort(c) * v), i, 0), c[::-1] * table

    return lax.scan(step, x, np.outer(x, x) @ np.outer(table, x))


def test_programs_keep_to_their_buffers() -> None:
    subject = Subject(Given(several, np.linspace(0.0, 1.0, 6), np.int64(2)))
    subject.verify(("guarded",))
    subject.verify(("guarded", "small limits: pieces", "without loops in kernels", "two threads"))


def test_other_switches_look_at_guarded_calls_too() -> None:
    with fg.config.check_memory(), fg.config.debug_nans(), pytest.raises(NonFiniteError):
        fg.jit(lambda x: np.log(x))(np.array([-1.0]))
