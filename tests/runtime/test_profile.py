"""Does a profile say what runs, what it costs, and which lines asked for it?"""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.runtime import profiling
from funcgrad.runtime.profiling import Machine, Profile, Row, roofline, text

RNG = np.random.default_rng(0)
MACHINE = Machine(2, ((1 << 18, 1e11), (1 << 22, 5e10), (3 << 25, 1e10)), {"f4": 1e11, "f8": 5e10})


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on how fast this machine is."""
    monkeypatch.setattr(profiling, "machine", lambda: MACHINE)


def profiled(fun: Any, *args: Any, **kwargs: Any) -> Profile:
    return fg.profile(fun, repetitions=2)(*args, **kwargs)


def line_number(marker: str) -> int:
    """The line of this file that ends with a comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (found,) = [k for k, line in enumerate(lines, 1) if line.endswith(f"# {marker}")]
    return found


def loss(params: Any, x: Any) -> Any:
    hidden = np.tanh(x @ params["w"])  # hidden layer
    return np.sum((hidden @ params["v"]) ** 2)  # output layer


PARAMS = {"w": RNG.normal(size=(32, 64)), "v": RNG.normal(size=(64, 10))}
X = RNG.normal(size=(20, 32))


def test_a_gradient() -> None:
    result = profiled(fg.value_and_grad(loss), PARAMS, X)
    products = [row for row in result.rows if row.name == "product"]
    sizes = ["20×10 @ 10×64", "20×32 @ 32×64", "20×64 @ 64×10", "32×20 @ 20×64", "64×20 @ 20×10"]
    assert sorted(row.computes for row in products) == sizes
    assert products[0].computes == "20×32 @ 32×64"
    assert products[0].flops == 2 * 20 * 32 * 64
    assert products[0].bytes == 8 * (20 * 32 + 32 * 64 + 20 * 64)
    assert {row.lines[0].number for row in products} == {line_number("hidden layer"), line_number("output layer")}
    assert all(Path(row.lines[0].file) == Path(__file__) for row in result.rows)
    assert products[0].lines[0].function == "loss"
    assert products[0].lines[0].text.startswith("hidden = np.tanh(")
    assert any("tanh" in row.computes for row in result.rows if row.name.startswith("kernel_"))


def test_the_sums_are_those_of_cost_analysis() -> None:
    jitted = fg.jit(fg.value_and_grad(loss))
    costs = jitted.lower(PARAMS, X).cost_analysis()
    result = profiled(jitted, PARAMS, X)
    assert sum(row.flops for row in result.rows) == costs["flops"]
    assert sum(row.bytes for row in result.rows) == costs["bytes accessed"]
    assert len(result.rows) == costs["kernels"] + costs["products"] + costs["calls"]


def test_shares_and_rates() -> None:
    result = profiled(fg.value_and_grad(loss), PARAMS, X)
    assert sum(row.share for row in result.rows) == pytest.approx(1.0)
    assert all(row.seconds > 0 and row.runs == 1 and row.depth == 0 for row in result.rows)
    assert result.steps_seconds == pytest.approx(sum(row.seconds for row in result.rows))
    assert result.seconds > 0
    assert result.repetitions == 2
    row = result.rows[0]
    assert row.gigaflops == pytest.approx(row.flops / row.seconds / 1e9)
    assert row.gigabytes_per_second == pytest.approx(row.bytes / row.seconds / 1e9)
    assert row.intensity == pytest.approx(row.flops / row.bytes)
    least = max(row.flops / 5e10, row.bytes / MACHINE.bandwidth(result.footprint))
    assert row.roof == pytest.approx(least / row.seconds)


def test_the_value_is_the_functions() -> None:
    value, grads = profiled(fg.value_and_grad(loss), PARAMS, X).value
    expected, wanted = fg.jit(fg.value_and_grad(loss))(PARAMS, X)
    assert value == expected
    assert np.array_equal(grads["w"], wanted["w"])


def test_names_of_kernels_are_those_of_the_listing() -> None:
    jitted = fg.jit(fg.grad(loss))
    source = jitted.lower(PARAMS, X).as_text("python")
    names = {row.name for row in profiled(jitted, PARAMS, X).rows if row.name != "product"}
    assert names == set(re.findall(r"^def (kernel_\d+)", source, re.MULTILINE))


def test_keywords_static_and_donated_arguments() -> None:
    @fg.jit
    def plain(x: Any, *, scale: Any) -> Any:
        return {"out": np.exp(x) * scale}

    result = profiled(plain, X, scale=2.0)
    np.testing.assert_allclose(result.value["out"], 2 * np.exp(X), rtol=1e-14)
    assert result.name == "plain"
    special = fg.jit(lambda x, n: x * n + 1, static_argnums=1, donate_argnums=0)
    x = fg.jit(lambda: np.ones((600, 600)))()
    np.testing.assert_array_equal(profiled(special, x, 3).value, np.full((600, 600), 4.0))
    np.testing.assert_array_equal(x, 1.0)  # not given away


def test_arguments_that_must_be_copied() -> None:
    result = profiled(lambda x: np.sin(x) + 1, np.ones((40, 30)).T)
    np.testing.assert_allclose(result.value, np.sin(1) + 1)


def test_a_loop_and_the_steps_in_it() -> None:
    def chain(x: Any) -> Any:
        def body(c: Any, a: Any) -> Any:
            return np.tanh(c @ x) + a, np.sort(c[0])  # step

        return lax.scan(body, x, np.ones((7, 50, 1)))

    x = RNG.normal(size=(50, 50))
    result = profiled(chain, x)
    (scan,) = [row for row in result.rows if row.name == "scan"]
    inside = [row for row in result.rows if row.depth == 1]
    assert scan.computes == "scan ×7"
    assert scan.roof is None
    assert scan.flops == scan.bytes == 0
    assert {row.runs for row in inside} == {7}
    assert scan.seconds >= sum(row.seconds for row in inside) * 0.5  # medians of two runs
    (product,) = [row for row in inside if row.name == "product"]
    assert product.flops == 7 * 2 * 50**3
    assert [row.computes for row in inside if row.name == "sort"] == ["sort of 50"]
    assert product.lines[0].number == line_number("step")
    for got, want in zip(fg.tree.leaves(result.value), fg.tree.leaves(fg.jit(chain)(x)), strict=True):
        np.testing.assert_array_equal(got, want)
    assert sum(row.share for row in result.rows if not row.depth) == pytest.approx(1.0)


def test_a_loop_that_is_one_kernel() -> None:
    result = profiled(lambda x: lax.scan(lambda c, a: (np.sin(c) + a, c), 0.0, x), np.ones(100))
    (row,) = result.rows
    assert row.computes == "scan ×100: sin add"
    assert row.flops == 100 * 2


def test_a_loop_of_unknown_length_and_its_gradient() -> None:
    def powers(x: Any) -> Any:
        return lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, np.tanh(c[1] @ c[1])), (0, x))[1].sum()

    result = profiled(fg.grad(powers), RNG.normal(size=(60, 60)))
    assert {row.runs for row in result.rows if row.name == "product"} == {5}
    assert all(row.lines for row in result.rows)


def test_a_branch_runs_one_of_its_bodies() -> None:
    def either(x: Any) -> Any:
        return lax.cond(x[0, 0] > 0, lambda v: v @ v, lambda v: np.linalg.inv(v), x)

    result = profiled(either, np.eye(70))
    assert {row.name: row.runs for row in result.rows if row.depth == 1}["product"] == 1
    assert 0 in {row.runs for row in result.rows if row.depth == 1}
    assert result.rows[-1].seconds >= 0


def test_programs_without_kernels() -> None:
    result = profiled(lambda: None)
    assert result.rows == ()
    assert "no steps" in str(result)
    assert "<svg" not in result._repr_html_()
    assert profiled(lambda x: x, 1.0).value == 1.0


def test_a_call_of_numpy() -> None:
    (row,) = [row for row in profiled(np.linalg.eigvals, np.eye(4)).rows if row.roof is None]
    assert (row.name, row.computes, row.flops) == ("eig", "eig of 4×4", 0)


def test_what_a_step_raises_is_raised() -> None:
    def refuse(value: Any) -> Any:
        raise IndexError("too far")

    with pytest.raises(IndexError, match=r"too far\n  at .*test_profile.py"):
        profiled(lambda x: fg.pure_callback(refuse, fg.ShapeDtypeStruct((), np.float64), x), 1.0)


def test_operations_that_are_written_out_keep_their_line() -> None:
    x = RNG.normal(size=(40, 3, 3))
    rows = profiled(fg.vmap(lambda a: np.linalg.solve(a, a)), x).rows  # solve
    assert {line.number for row in rows for line in row.lines} == {line_number("solve")}


def test_a_copy_is_called_so() -> None:
    def descend(w: Any) -> Any:
        return w - 0.1 * (X.T @ (X @ w))

    rows = profiled(descend, RNG.normal(size=(32, 64))).rows  # a copy of w, to which the second product adds
    assert [row.computes for row in rows if row.name != "product"] == ["copy over 32×64"]


def test_a_scatter() -> None:
    rows = profiled(lambda x, i: x.at[i].add(np.sin(x[:5])), RNG.normal(size=50), np.arange(5)).rows
    assert any("scatter_add" in row.computes and "sin" in row.computes for row in rows)


@pytest.mark.parametrize(("dtype", "peak"), [(np.float32, 1e11), (np.float64, 5e10)])
def test_each_precision_is_held_against_its_own_peak(dtype: Any, peak: float) -> None:
    (row,) = profiled(lambda x: (np.exp(x) * x + np.sin(x) / x).sum(), np.ones(30, dtype)).rows
    assert row.roof is not None
    assert row.roof * row.seconds == pytest.approx(row.flops / peak)


def test_complex_products_count_real_arithmetic() -> None:
    z = X + 1j
    (row,) = [row for row in profiled(lambda z: z @ z.T, z).rows if row.name == "product"]
    assert row.flops == 8 * 20 * 32 * 20


def row_of(**changes: Any) -> Row:
    line = profiling.Line("/home/me/net.py", 12, "step<int>", "layer & co")
    row = Row(
        "kernel_0", "add tanh over 128×512", (line, line._replace(number=13)), 0, 1, 2e-4, 0.25, 524288, 65536, 0.5
    )
    return row._replace(**changes)


def made() -> Profile:
    second = row_of(name="product", computes="128×784 @ 784×512", seconds=6e-4, share=0.75, flops=10**8, roof=0.9)
    scan = row_of(name="scan", computes="scan ×9", lines=(), bytes=0, flops=0, roof=None, seconds=0.0, share=0.0)
    return Profile("step", (row_of(), second, scan), 9e-4, 300, MACHINE, 1 << 22)


def test_the_table() -> None:
    assert str(made()) == (
        "step: 900 µs a call, 800 µs in 3 steps (medians of 300 runs)\n"
        "machine: 2 threads, 50 GB/s on 4.19 MB, products 100 (float32) and 50 (float64) GFLOP/s\n"
        "\n"
        "step      computes               line          runs    time  share   bytes   FLOPs   GB/s  GFLOP/s  roof\n"
        "--------------------------------------------------------------------------------------------------------\n"
        "kernel_0  add tanh over 128×512  net.py:12 +1     1  200 µs  25.0%  524 kB  65.5 k   2.62    0.328   50%\n"
        "product   128×784 @ 784×512      net.py:12 +1     1  600 µs  75.0%  524 kB   100 M  0.874      167   90%\n"
        "scan      scan ×9                                 1    0 ns   0.0%"
    )
    assert repr(made()) == str(made())


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 "), (999, "999 "), (1500, "1.5 k"), (123456, "123 k"), (2.5e9, "2.5 G"), (3e13, "30 T")],
)
def test_counts(number: float, shown: str) -> None:
    assert text.count(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0 ns"), (7e-8, "70 ns"), (1.5e-6, "1.5 µs"), (0.0123, "12.3 ms"), (250, "250 s")]
)
def test_times(seconds: float, shown: str) -> None:
    assert text.time(seconds) == shown


class Page(HTMLParser):
    """Counts tags, and checks that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.texts: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page(tmp_path: Path) -> None:
    made().to_html(tmp_path / "profile.html")
    source = (tmp_path / "profile.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(source)
    assert not page.open
    assert page.counts["tr"] == 1 + 3
    assert page.counts["circle"] == 2  # the scan has no arithmetic of its own
    places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', source)
    assert all(70 < float(x) < 740 and 30 < float(y) < 370 for x, y in places)  # within the axes
    assert page.counts["script"] == 1
    assert not page.links
    assert set(re.findall(r"https?://[^\s\"<]+", source)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    shown = "".join(page.texts)
    assert "/home/me/net.py:13 (in step<int>) [layer & co]" in shown
    assert 'data-v="0.0006"' in source
    assert "--share: 75.0%" in source
    assert "<script" not in made()._repr_html_()


def test_the_page_of_a_real_profile_has_its_lines() -> None:
    page = Page()
    page.feed(profiled(fg.value_and_grad(loss), PARAMS, X)._repr_html_())
    assert "hidden = np.tanh(x @ params" in "".join(page.texts)


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for result, name in ((made(), "made.png"), (profiled(lambda: None), "empty.png")):
        result.to_png(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_picture_needs_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(ModuleNotFoundError, match="pip install matplotlib"):
        made().to_png(tmp_path / "profile.png")


def test_mistakes() -> None:
    with pytest.raises(TypeError, match="profile takes a function, not 3"):
        fg.profile(3)
    with pytest.raises(ValueError, match="repetitions must be at least 1, not 0"):
        fg.profile(loss, repetitions=0)
    with pytest.raises(TypeError, match="known arrays"):
        profiled(loss, PARAMS, fg.ShapeDtypeStruct((20, 32), np.float64))
    with pytest.raises(TypeError, match="known arrays"):
        fg.jit(lambda x: profiled(np.sin, x).value)(1.0)


def test_the_machine_is_measured_once() -> None:
    roofline._measured.cache_clear()
    machine = roofline.machine()
    assert roofline.machine() is machine
    assert machine.threads == fg.get_num_threads()
    assert all(rate > 0 for _, rate in machine.bandwidths)
    assert all(rate > 0 for rate in machine.peaks.values())


def test_bandwidth_by_size() -> None:
    assert MACHINE.bandwidth(1) == pytest.approx(1e11)
    assert MACHINE.bandwidth(1 << 18) == pytest.approx(1e11)
    assert MACHINE.bandwidth(1 << 30) == pytest.approx(1e10)
    assert 5e10 < MACHINE.bandwidth(1 << 20) < 1e11


def test_it_is_imported_when_asked_for() -> None:
    script = "import sys, funcgrad as fg; print('funcgrad.runtime.profiling' in sys.modules, fg.profile.__module__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False funcgrad.runtime.profiling\n"
