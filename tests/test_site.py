"""Does the built site work in a browser?  Every page at a desk's and a telephone's width, links, search; no network.

Where Sphinx or a browser is not installed, the tests are skipped. ``FUNCGRAD_SITE`` names a site that is built already.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pictures.browser import Browser, found

ROOT = Path(__file__).parents[1]
SIZES = {"desk": (1200, 800, False), "telephone": (390, 780, True)}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(found() is None, reason="no Chromium is installed")]

WIDER = """(() => {  // what reaches beyond the window, and is not inside of something that scrolls by itself
  const scrolls = e => e && e !== document.body
    && (['auto', 'scroll', 'hidden'].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  return [...document.querySelectorAll('main *')].filter(e => {
    const r = e.getBoundingClientRect();
    return r.width && r.right > innerWidth + 1 && !scrolls(e.parentElement) && !scrolls(e);
  }).slice(0, 3).map(e => e.outerHTML.slice(0, 120));
})()"""

# pictures that are drawn much smaller than they are, so that nobody can read what is in them
SMALL = "[...document.querySelectorAll('article p > img')].filter(e => e.width < 0.4 * e.naturalWidth).map(e => e.src)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    if built := os.environ.get("FUNCGRAD_SITE"):
        return Path(built)
    pytest.importorskip("sphinx", reason="the site is built with it")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "docs", str(folder / "html")]
    done = subprocess.run(
        [*command, "-d", str(folder / "trees")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module", params=SIZES)
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A browser of each size."""
    width, height, mobile = SIZES[request.param]
    with Browser(width, height, mobile) as opened:
        opened.send("Network.enable")
        cut = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        opened.send("Network.emulateNetworkConditions", **cut)
        yield opened


def pages(site: Path) -> list[Path]:
    """All pages but Sphinx's own."""
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def test_every_page_fits_its_window_and_every_link_leads_somewhere(site: Path, browser: Browser) -> None:
    anchors: dict[str, set[str]] = {}
    links: set[tuple[str, str]] = set()
    for page in pages(site):
        browser.open(page)
        name = str(page.relative_to(site))
        assert browser.run("document.documentElement.scrollWidth") <= browser.size["width"], (name, browser.run(WIDER))
        assert browser.run(WIDER) == [], name
        assert browser.run("[...document.images].filter(e => !e.naturalWidth).map(e => e.src)") == [], name
        assert browser.run(SMALL) == [], name
        assert browser.run("document.querySelector('header.bd-header').offsetHeight") < 90, name  # a line
        anchors[page.as_uri()] = set(browser.all("[id]", "e.id"))
        links |= {(name, link) for link in browser.all("a[href^='#'], a.internal", "e.href")}
    assert len(anchors) > 80
    assert browser.problems == []
    assert [(name, link) for name, link in links if not there(link, anchors)] == []


def there(link: str, anchors: dict[str, set[str]]) -> bool:
    """Whether a link leads to a place on one of the pages."""
    address, _, anchor = link.partition("#")
    return address in anchors and (not anchor or anchor in anchors[address])


@pytest.mark.parametrize(("words", "title"), [("while_loop", "while_loop"), ("debug_nans", "Debugging")])
def test_the_search_needs_no_network(site: Path, browser: Browser, words: str, title: str) -> None:
    browser.open(site / "search.html", f"q={words}")
    told = browser.run(
        """new Promise(done => {
          const look = () => {
            const results = document.getElementById('search-results');
            if (results?.querySelector('h2')?.innerText === 'Search Results') done(results.innerText);
            else setTimeout(look, 50);
          };
          look();
        })"""
    )
    assert title in told
