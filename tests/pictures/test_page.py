"""Does the page work in a browser?  Search, tooltips, zoom, folding, themes, and a telephone's width.

The browser runs without a window and without a network; where there is none, the tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pictures.browser import Browser, found
from tests.pictures.cases import CASES, picture

pytestmark = pytest.mark.skipif(found() is None, reason="no Chromium is installed")

BOX = "document.querySelector('section:not([hidden]) > svg').getAttribute('viewBox').split(' ').map(Number)"
TIP = "(() => { const t = document.getElementById('tip'); return t.hidden ? null : t.innerText; })()"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page of each case."""
    folder = tmp_path_factory.mktemp("pages")
    for name in CASES:
        picture(name).save(folder / f"{name}.html")
    return folder


@pytest.fixture(scope="module")
def desk() -> Iterator[Browser]:
    """A browser of a desk's size."""
    with Browser(1200, 800) as browser:
        yield browser


@pytest.fixture(scope="module")
def telephone() -> Iterator[Browser]:
    """A browser of a telephone's size, with fingers."""
    with Browser(390, 780, mobile=True) as browser:
        yield browser


def node(browser: Browser, title: str, view: str = "program") -> dict[str, Any]:
    """Where the first node of this title is in the window, and its classes."""
    found: dict[str, Any] = browser.run(
        f"""(() => {{
          for (const g of document.querySelectorAll('#view-{view} .node')) {{
            const text = g.querySelector(':scope > text');
            if (!text || text.textContent !== {title!r}) continue;
            const r = g.querySelector('rect').getBoundingClientRect();
            return {{ x: r.x, y: r.y, w: r.width, h: r.height, classes: [...g.classList], n: g.dataset.n }};
          }}
        }})()"""
    )
    return found


def search(browser: Browser, text: str) -> str:
    """Type into the field; what stands beside it then."""
    browser.run("document.getElementById('search').focus(), document.getElementById('search').select()")
    if text:
        browser.send("Input.insertText", text=text)
    else:
        press(browser, "Backspace")
    return str(browser.run("document.getElementById('found').textContent"))


def press(browser: Browser, key: str, text: str = "") -> None:
    codes = {"Backspace": 8, "Enter": 13, "Escape": 27}
    more = {"text": text} if text else {}
    for kind in ("keyDown", "keyUp"):
        browser.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes.get(key, 0), **more)


def test_search_hover_zoom_and_fold(tmp_path: Path) -> None:
    """The quick one: everything once, in one small page."""
    picture("branches").save(tmp_path / "page.html")
    with Browser() as browser:
        browser.open(tmp_path / "page.html")
        assert search(browser, "goes on") == "1 found"
        assert "hit" in node(browser, "goes on")["classes"]
        at = node(browser, "sin")
        browser.move(at["x"] + 5, at["y"] + 5)
        assert "f64[5]" in browser.run(TIP)
        before = browser.run(BOX)
        browser.wheel(600, 400, -200)
        assert browser.run(BOX)[2] < before[2]
        head = node(browser, "cond")
        browser.click(head["x"] + 12, head["y"] + 12)
        assert "closed" in node(browser, "cond")["classes"]
        assert browser.problems == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_pages_load_without_complaints(desk: Browser, pages: Path, name: str) -> None:
    desk.open(pages / f"{name}.html")
    for view in ("kernels", "memory", "program"):
        desk.run(f"document.getElementById('tab-{view}').click()")
        shown = desk.run("[...document.querySelectorAll('section')].filter(s => !s.hidden).map(s => s.id)")
        assert shown == [f"view-{view}"]
        box = desk.run(BOX)
        assert all(isinstance(v, int | float) for v in box)
        assert box[2] > 0
        assert box[3] > 0
    assert desk.problems == []


@pytest.mark.slow
def test_search(desk: Browser, pages: Path) -> None:
    desk.open(pages / "mlp.html")
    assert search(desk, "tanh").endswith(" found")
    hits = desk.run("[...document.querySelectorAll('#view-program .hit')].length")
    assert search(desk, "tanh") == f"{hits} found"
    press(desk, "Enter", "\r")
    assert desk.run("document.getElementById('found').textContent") == f"1 of {hits}"
    now = node(desk, "tanh")
    assert "now" in now["classes"], "names come first"
    middle = (now["x"] + now["w"] / 2, now["y"] + now["h"] / 2)
    assert middle == pytest.approx((600, 415), abs=60), "it is brought to the middle"
    press(desk, "Enter", "\r")
    assert desk.run("document.getElementById('found').textContent") == f"2 of {hits}"
    assert search(desk, "f64[784,512]") != "0 found"
    assert search(desk, "mean y) ** 2") != "0 found", "words of the user's lines"
    assert search(desk, "no such thing") == "0 found"
    assert search(desk, "") == ""
    assert desk.run("document.querySelectorAll('.hit').length") == 0
    assert desk.problems == []


@pytest.mark.slow
def test_search_opens_what_is_folded(desk: Browser, pages: Path) -> None:
    desk.open(pages / "rnn.html")
    desk.run("document.getElementById('fold').click()")
    assert "closed" in node(desk, "scan")["classes"]
    search(desk, "tanh")
    assert "closed" not in node(desk, "scan")["classes"]


@pytest.mark.slow
def test_tooltips(desk: Browser, pages: Path) -> None:
    desk.open(pages / "mlp_gradient.html")
    at = node(desk, "tanh")
    desk.move(at["x"] + 8, at["y"] + 8)
    told = desk.run(TIP)
    for part in ("tanh", "f64[128,512]", "524 kB", "kernel_0", "cases.py:", "in loss", "x = np.tanh(x @ w + b)"):
        assert part in told
    same = desk.all("#view-program .same", "e.querySelector('text').textContent")
    assert same.count("tanh") == 2, "the gradient's operations of the same line are marked"
    assert "sub" in same
    edges = desk.run("document.querySelectorAll('#view-program path.over').length")
    assert edges == 2
    tip = desk.box("#tip")
    assert tip["right"] <= 1200
    assert tip["bottom"] <= 800
    desk.move(3, 790)
    assert desk.run(TIP) is None
    assert desk.run("document.querySelectorAll('.over, .same').length") == 0
    desk.click(at["x"] + 8, at["y"] + 8)
    assert "np.tanh" in desk.run("document.getElementById('more').innerText")
    press(desk, "Escape")
    assert desk.run("document.getElementById('more').hidden")
    assert desk.problems == []


@pytest.mark.slow
def test_zoom_and_pan(desk: Browser, pages: Path) -> None:
    desk.open(pages / "rnn.html")
    first = desk.run(BOX)
    area = desk.box("#view-program > svg")
    x, y = area["x"], area["y"]
    desk.wheel(x + 300, y + 200, -400)
    nearer = desk.run(BOX)
    assert nearer[2] < 0.8 * first[2]
    scale = first[2] / 1200, nearer[2] / 1200
    assert nearer[0] + 300 * scale[1] == pytest.approx(first[0] + 300 * scale[0], abs=0.5), "the pointer's place stays"
    assert nearer[1] + 200 * scale[1] == pytest.approx(first[1] + 200 * scale[0], abs=0.5)
    desk.drag((600, 500), (700, 450))
    moved = desk.run(BOX)
    assert moved[0] == pytest.approx(nearer[0] - 100 * scale[1], abs=0.5)
    assert moved[1] == pytest.approx(nearer[1] + 50 * scale[1], abs=0.5)
    desk.run("document.getElementById('in').click()")
    assert desk.run(BOX)[2] == pytest.approx(moved[2] / 1.3, rel=1e-3)
    desk.run("document.getElementById('fit').click()")
    whole = desk.run(BOX)
    size = desk.run("document.querySelector('#view-program .s-background').getBBox().height")
    assert whole[1] <= 0
    assert whole[1] + whole[3] >= size - 0.5
    press(desk, "+", "+")
    assert desk.run(BOX)[2] < whole[2]
    assert desk.problems == []


OVERLAPS = """(() => {
  const found = [];
  for (const graph of document.querySelectorAll('#view-KEY .graph')) {
    if (!graph.getClientRects().length) continue;
    const boxes = [...graph.children].filter(e => e.classList.contains('node'))
      .map(e => e.querySelector('rect').getBoundingClientRect());
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
      const across = a.left < b.right - 1 && b.left < a.right - 1;
      if (across && a.top < b.bottom - 1 && b.top < a.bottom - 1) found.push([a, b]);
    }));
  }
  return found.length;
})()"""


ENDS = """function ends(path, view) { // whether an edge ends at the upper or lower side of its node, if it is seen
  if (!path.getClientRects().length) return true;
  const r = document.querySelector(`${view} .node[data-n="${path.dataset.t}"] > rect`).getBoundingClientRect();
  const m = path.getScreenCTM(), q = path.getPointAtLength(path.getTotalLength());
  const x = m.a * q.x + m.e, y = m.d * q.y + m.f;
  return x >= r.left - 2 && x <= r.right + 2 && Math.min(Math.abs(y - r.top), Math.abs(y - r.bottom)) < 2;
}"""


@pytest.mark.slow
@pytest.mark.parametrize("view", ["program", "kernels"])
def test_folding(desk: Browser, pages: Path, view: str) -> None:
    desk.open(pages / "rnn.html")
    desk.run(f"document.getElementById('tab-{view}').click()")
    desk.run(ENDS)
    edges, back = f"#view-{view} path[data-s]", f"#view-{view} .s-background"
    before = desk.all(edges, "e.getAttribute('d')")
    (height,) = desk.all(back, "e.getBBox().height")
    assert desk.run(OVERLAPS.replace("KEY", view)) == 0
    head = node(desk, "scan", view)
    desk.click(head["x"] + 10, head["y"] + 8)
    (one,) = desk.all(back, "e.getBBox().height")
    assert "closed" in node(desk, "scan", view)["classes"]
    assert desk.run(OVERLAPS.replace("KEY", view)) == 0
    desk.run("document.getElementById('fold').click()")
    assert desk.all(f"#view-{view} .node[data-fw]:not(.closed)", "1") == []
    (folded,) = desk.all(back, "e.getBBox().height")
    assert folded < one <= height
    assert folded < 0.6 * height
    assert desk.run(OVERLAPS.replace("KEY", view)) == 0
    ends = desk.all(edges, f"ends(e, '#view-{view}')")
    assert ends
    assert all(ends), "edges end at their nodes"
    desk.run("document.getElementById('fold').click()")
    again = desk.all(edges, "e.getAttribute('d')")
    assert numbers(again) == pytest.approx(numbers(before), abs=0.15), "unfolded, everything is where it was"
    assert desk.problems == []


def numbers(paths: list[str]) -> list[float]:
    return [float(v) for text in paths for v in text.replace("M", " ").replace("C", " ").split()]


@pytest.mark.slow
def test_themes(desk: Browser, pages: Path) -> None:
    desk.open(pages / "one.html")
    colour = "getComputedStyle(document.querySelector('#view-program .s-elementwise')).fill"
    light = desk.run(colour)
    assert light == "rgb(222, 236, 251)"
    desk.run("document.getElementById('theme').click()")
    assert desk.run(colour) == "rgb(23, 54, 84)"
    desk.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    try:
        desk.open(pages / "one.html")
        assert desk.run(colour) == "rgb(23, 54, 84)"
        desk.run("document.getElementById('theme').click()")
        assert desk.run(colour) == light
    finally:
        desk.send("Emulation.setEmulatedMedia", features=[])


@pytest.mark.slow
@pytest.mark.parametrize("view", ["program", "kernels", "memory"])
def test_letters_stay_inside(desk: Browser, pages: Path, view: str) -> None:
    """As this browser draws them, not as our table of widths has it."""
    for name in CASES:
        desk.open(pages / f"{name}.html")
        desk.run(f"document.getElementById('tab-{view}').click()")
        out = desk.run(
            f"""[...document.querySelectorAll('#view-{view} .node > text')].filter(t => {{
              const a = t.getBoundingClientRect(), b = t.parentNode.querySelector('rect').getBoundingClientRect();
              const left = a.left < b.left - 0.5, right = a.right > b.right + 0.5;
              return left && a.right > b.left || right && a.left < b.right; // beside it is fine
            }}).map(t => t.textContent)"""
        )
        assert out == [], name


@pytest.mark.slow
def test_a_telephone(telephone: Browser, pages: Path) -> None:
    telephone.open(pages / "rnn.html")
    assert telephone.run("document.documentElement.scrollWidth") <= 390
    outside = telephone.run(
        """[...document.querySelectorAll('header button, header input')].filter(e => {
          const r = e.getBoundingClientRect();
          return r.left < 0 || r.right > innerWidth || r.height < 30;
        }).map(e => e.id)"""
    )
    assert outside == []
    height = telephone.run("document.querySelector('#view-program > svg').getBoundingClientRect().height")
    assert height > 0.6 * 780, "most of the window is the drawing"
    first = telephone.run(BOX)
    telephone.touch("touchStart", (150, 400), (250, 400))
    telephone.touch("touchMove", (100, 400), (300, 400))
    telephone.touch("touchEnd")
    nearer = telephone.run(BOX)
    assert nearer[2] < 0.8 * first[2], "two fingers zoom"
    telephone.touch("touchStart", (200, 500))
    telephone.touch("touchMove", (150, 500))
    telephone.touch("touchMove", (100, 500))
    telephone.touch("touchEnd")
    assert telephone.run(BOX)[0] > nearer[0], "one moves"
    telephone.run("document.getElementById('search').value = 'tanh'")
    telephone.run("document.getElementById('search').dispatchEvent(new Event('input'))")
    press(telephone, "Escape")
    telephone.run("document.getElementById('fit').click()")
    at = node(telephone, "params[0]")
    telephone.touch("touchStart", (at["x"] + 4, at["y"] + 4))
    telephone.touch("touchEnd")
    more = telephone.run(
        "(() => { const e = document.getElementById('more'), r = e.getBoundingClientRect();"
        " return e.hidden ? null : [r.left, r.right, r.bottom, e.innerText]; })()"
    )
    assert more is not None, "a touch shows the details"
    assert more[0] >= 0
    assert more[1] <= 390
    assert more[2] <= 780
    assert "f64[16,16]" in more[3]
    assert telephone.problems == []


@pytest.mark.slow
def test_a_frame_in_a_notebook(desk: Browser, tmp_path: Path) -> None:
    path = tmp_path / "notebook.html"
    frames = picture("one")._repr_html_() + picture("same")._repr_html_()
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8><link rel=icon href=data:,><body>{frames}", encoding="utf-8")
    desk.open(path)
    texts = desk.all("iframe", "e.contentDocument.querySelector('h1').textContent")
    assert texts == ["sin", "same"]
    assert desk.problems == []
