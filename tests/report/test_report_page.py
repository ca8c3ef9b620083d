"""The report's page: complete, self-contained, and safe whatever a header says."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from cli_files import run
from phantoms import neural_map, siren
from PIL import Image

from nmap.compare.comparison import Extras
from nmap.compare.measures import Limits
from nmap.compare.sizes import Sizes
from nmap.compare.two_maps import compare_maps
from nmap.container import save
from nmap.errors import MissingPackageError
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.report.build import Report, build_report
from nmap.report.curves import fsc_figure
from nmap.report.slices import slice_figure
from nmap.spectrum import Planes, band_limited

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# What the page itself may not hold: a script that looks at it from within, in the test's own copy.
PROBE = """<script>
window.addEventListener("load", () => {
  const images = [...document.images].map(i => [i.complete, i.naturalWidth]);
  const drawings = [...document.querySelectorAll("svg")].map(s => s.getBoundingClientRect().width);
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  document.body.innerHTML = "<pre id=probe>" + JSON.stringify({images, drawings, wide}) + "</pre>";
});
</script></body>"""


def browse(path, folder):
    """DOM after loading, and what the console said."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"]
    options += ["--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [browser, *options, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


GRID = Grid((24, 28, 32), (1.2, 1.2, 1.2), (3.0, 0.0, 0.0))
EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)> $\\frac{1}{2}$ & "quoted"'


class Page(HTMLParser):
    """Collects what a browser would load or run."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.events, self.open = [], [], [], []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data"):
                self.links.append(value)
            if name.startswith("on"):
                self.events.append(name)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in ("meta", "img", "br"):
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module", name="report")
def make_report():
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in GRID.shape), indexing="ij")
    ball = np.exp(-4 * (x * x + y * y + z * z)) * (1 + 0.5 * np.sin(9 * x) * np.cos(7 * y))
    source = DensityMap(ball, GRID)
    noise = np.random.default_rng(0).standard_normal(GRID.shape, dtype=np.float32)
    decoded = DensityMap(band_limited(ball + 0.03 * noise, GRID, 4.0), GRID)
    soft = DensityMap(np.clip(2 * ball, 0, 1), GRID)
    found = compare_maps(
        decoded,
        source,
        mask=soft,
        mask_name=EVIL,
        limits=Limits(min_fsc=0.999),
        extras=Extras(
            sizes=Sizes(1000, 90000, 40000, True, 45000, GRID.size),
            band_limit=4.0,
            envelope=Planes.of(soft.values),
            half_maps=(source, decoded),
        ),
    )
    return Report(
        found,
        decoded,
        source,
        identity=[("map", EVIL)],
        details=[("labels " + EVIL, [("label", EVIL)])],
        loss=([1, 10, 100], [1.0, 0.1, 0.01]),
        version="9.9",
    )


@pytest.fixture(scope="module", name="html")
def make_html(report):
    return build_report(report)


def test_nothing_is_fetched_and_nothing_runs(html):
    page = Page(html)
    assert not {"script", "iframe", "object", "embed", "link", "form", "base"} & set(page.tags)
    assert page.events == []
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert "http" not in re.sub(r'xmlns(:\w+)?="http[^"]*"|http-equiv', "", html)
    assert "url(http" not in html and "@import" not in html
    assert "default-src 'none'" in html
    assert page.open == []


def test_header_text_is_shown_as_text(html):
    assert "<script" not in html and "<img src=x" not in html
    assert Page(html).text.count(EVIL) >= 3


def test_identity_and_sizes_come_first_and_every_figure_is_there(html):
    page = Page(html)
    titles = [re.sub("<.*?>", "", t) for t in re.findall(r"<h2>.*?</h2>", html)]
    assert titles[0] == "What it is"
    assert page.tags.count("svg") == 5  # FSC, power, half maps, histogram, loss
    assert page.tags.count("img") == 4  # slices, local error, two surfaces
    assert page.tags.count("figure") == page.tags.count("figcaption") == 9
    for words in (
        "90 times smaller than the raw map",
        "finest detail kept",
        "fidelity FSC",
        "resolution (Å)",
        "1/Å",
        "0.143",
    ):
        assert words in page.text
    assert "falls short" in page.text and "every shell" in page.text


def test_pictures_decode_and_are_not_blank(html):
    for data in re.findall(r'src="data:image/png;base64,([^"]+)"', html):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))
        assert min(pixels.shape) > 400
        assert pixels.std() > 5


def test_no_id_occurs_twice_on_the_page(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_same_input_gives_the_same_drawings(report):
    assert fsc_figure(report.findings) == fsc_figure(report.findings)
    maps = report.decoded.values, report.source.values, GRID
    assert slice_figure(*maps) == slice_figure(*maps)


@pytest.mark.parametrize("package", ["matplotlib", "jinja2", "skimage"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(report, monkeypatch, package):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "nmap.machine.packages.find_spec", lambda name: None if name == package else found(name)
    )
    with pytest.raises(MissingPackageError, match=r"pip install '.\[report\]'"):
        build_report(report)


@pytest.fixture(scope="module", name="page")
def make_page(tmp_path_factory):
    """A report as the command writes it."""
    folder = tmp_path_factory.mktemp("browser")
    record = {"fit": {"loss": np.array([1.0, 0.5, 0.2]), "loss_step": np.arange(3)}}
    neural = neural_map(siren(omega=8.0), GRID, resolution=4.5, record=record)
    save(neural, folder / "a.nmap")
    write_map(DensityMap(neural.as_array() + 0.01, GRID), folder / "a.mrc", label=EVIL[:70])
    ran = run("report", folder / "a.nmap", folder / "a.mrc", "-o", folder / "report.html")
    assert ran.code == 0, ran.err
    return folder / "report.html"


def test_command_writes_one_small_page_and_keeps_an_existing_file(page):
    text = page.read_text()
    assert page.stat().st_size < 3_000_000
    assert "&lt;script&gt;alert" in text and "Loss of the fit" in text and "siren" in text
    again = run("report", page.parent / "a.nmap", page.parent / "a.mrc", "-o", page)
    assert again.code == 2 and "exists already" in again.err


def test_the_page_loads_without_a_word_on_the_console(page, tmp_path):
    dom, console = browse(page, tmp_path)
    assert console == []
    assert dom.count("<figure>") == 8


def test_every_figure_is_drawn_and_nothing_sticks_out(page, tmp_path):
    copy = tmp_path / "probed.html"
    text = re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text()).replace("</body>", PROBE)
    copy.write_text(text)
    dom, console = browse(copy, tmp_path)
    assert console == []
    found = json.loads(re.search(r'<pre id="probe">(.*?)</pre>', dom)[1])
    assert len(found["images"]) == 4 and all(done and width > 400 for done, width in found["images"])
    assert len(found["drawings"]) == 4 and min(found["drawings"]) > 300
    assert found["wide"] <= 0
