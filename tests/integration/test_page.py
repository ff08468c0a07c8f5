"""The page in real Chromium: every command it shows solves, from disk and from nginx."""

from __future__ import annotations

import json
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import expect, sync_playwright
from ruamel.yaml import YAML

from generator.channel import LocalChannel
from generator.commands import cli
from generator.datafiles import subdirs
from generator.errors import StorageError
from generator.explaining.answering import Reach, compare_channels
from generator.page.content import PackagePage
from generator.page.gathering import page_content, solvability, write_page
from generator.rendering import render, tree_records
from generator.testing import Machine, solve, write_record_channel
from tests import servers
from tests.conftest import ROOT, missing
from tests.forge import standins
from tests.trains import CANDIDATE, NIGHTLY, project_with_trains

pytestmark = pytest.mark.integration

#: where screenshots are left for a person to look at
ARTIFACTS = ROOT / "output" / "page"
SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True},
}
MOVING = {"nightly": NIGHTLY, "rc": CANDIDATE}
GROUPS = ("machine", "accelerator", "train", "python")
#: milliseconds after which the browser hangs, on however busy a machine
PATIENCE = 300_000


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """A feedstock with an rc and a nightly train."""
    return project_with_trains(tmp_path_factory.mktemp("feedstock"))


@pytest.fixture(scope="module")
def site(moving, tmp_path_factory, recorded_alias):
    """A channel of every variant's record, its page, and what it is solved against."""
    folder = tmp_path_factory.mktemp("page")
    channel = folder / "channel"
    feedstock = moving.declared()
    source = LocalChannel(channel)
    tree = render(feedstock, moving.locked())
    records = tree_records(tree)
    for label in ("", "rc", "nightly"):
        own = [each.id for each in tree.variants if feedstock.label(each.train) == label]
        write_record_channel([records[each] for each in own], source.labelled(label).root)
    url = source.url
    base = standins.write(folder / "base")
    check = solvability(feedstock, source, [base])
    others = compare_channels(moving, ["conda-forge", "pytorch"], Reach(alias=recorded_alias))
    content = write_page(moving, source, channel / "page", url, check, others)
    return channel, content, {"conda-forge": base}


@pytest.fixture(scope="module")
def browser(site):
    """Chromium; after the site, since playwright keeps an event loop running in this thread."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        if program is None and not Path(playwright.chromium.executable_path).exists():
            missing("Chromium is not installed: apt-get install chromium, or playwright install")
        launched = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def served(site, tmp_path_factory):
    channel, _, _ = site
    try:
        with servers.nginx(channel, tmp_path_factory.mktemp("nginx")) as url:
            yield {"disk": (channel / "page").as_uri(), "nginx": f"{url}/page"}
    except servers.MissingServerError as error:
        missing(str(error))


def opened(browser, url, **options):
    """Open a page; everything the console says, and every request, is kept."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(PATIENCE)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if away(request.url) else None)
    page.goto(url)
    return page, said


def away(url):
    return not url.startswith(("file:", "http://127.0.0.1", "data:"))


def requested(tool: str, text: str) -> tuple[list[str], list[str]]:
    """Return the channels and specs of a shown command."""
    if tool == "environment.yml":
        content = YAML(typ="safe").load(text)
        channels = [name for name in content["channels"] if name != "nodefaults"]
        return channels, list(content["dependencies"])
    lines = [shlex.split(line) for line in text.splitlines()]
    head = lines[0]
    channels = [head[i + 1] for i, word in enumerate(head) if word == "-c"]
    if tool == "pixi":
        assert lines[1] == ["cd", "torch"]
        assert lines[2][:2] == ["pixi", "add"]
        return channels, lines[2][2:]
    assert head[:4] == [tool, "create", "-n", "torch"]
    return channels, head[head.index(channels[-1]) + 1 :]


def named(content, train: str) -> list[str]:
    """Return the channels that a command for a train names: a release never meets another train."""
    own = [f"{content.channel}/label/{train}"] if train in MOVING else []
    return [*own, content.channel, "conda-forge"]


def test_the_page_says_what_others_have_and_where_a_package_dies(site):
    channel, content, _ = site
    rows = {(row.machine, row.line): row.elsewhere for row in content.coverage}
    arm = rows["linux-aarch64", "2.10"]
    assert arm["pytorch"] == "nothing"
    assert arm["conda-forge"].startswith("2.13.0")
    assert "days after upstream" in arm["conda-forge"]
    text = (channel / "page" / "index.html").read_text(encoding="utf-8")
    assert arm["conda-forge"] in text
    assert "pytorch 2.10.0 dies with SIGILL on ARMv8.0 CPUs" in text


@pytest.mark.parametrize("how", ["disk", "nginx"])
def test_every_combinations_command_solves(site, browser, served, how):
    _, content, base = site
    page, said = opened(browser, f"{served[how]}/index.html")
    shown: dict[tuple[str, ...], dict[str, str]] = {}
    for offer in content.offers:
        for name in GROUPS:
            page.locator(f'input[name="{name}"][value="{getattr(offer, name)}"]').check(force=True)
        commands = {}
        for tool in offer.commands:
            page.locator(f'input[name="tool"][value="{tool}"]').check(force=True)
            commands[tool] = page.locator("#command").inner_text()
        assert commands == offer.commands
        shown[offer.machine, offer.accelerator, offer.train, offer.python] = commands
    assert len(shown) == len(content.offers) > 10
    assert {train for _, _, train, _ in shown} == {"2.8", "2.10", "2.14", "2.15", "rc", "nightly"}
    assert said == []
    if how == "nginx":
        return  # the same commands
    for (machine, accelerator, train, python), commands in shown.items():
        wanted = {tool: requested(tool, text) for tool, text in commands.items()}
        assert len({tuple(map(tuple, each)) for each in wanted.values()}) == 1, "tools disagree"
        channels, specs = wanted["conda"]
        gpu = [f"__cuda={accelerator[4:6]}.{accelerator[6]}"] if accelerator != "cpu" else []
        glibc = ["__glibc=2.39"] if machine.startswith("linux") else []
        # playwright has an event loop in this thread, and the solver wants one of its own
        with ThreadPoolExecutor(1) as pool:
            records = pool.submit(
                solve,
                specs,
                channels=[base.get(name, name) for name in channels],
                machine=Machine.of(subdirs()[machine], native=False, added=[*glibc, *gpu]),
            ).result()
        found = {record.name.normalized: record for record in records}
        version = str(found["pytorch"].version)
        assert version == MOVING[train] if train in MOVING else version.startswith(train)
        assert channels == named(content, train)
        assert str(found["pytorch"].build).startswith(f"{accelerator}_")
        assert f"python={python.removesuffix('t')}" in specs[0]


def test_every_page_says_of_which_train_a_package_is(moving, site, browser, served):
    channel, content, _ = site
    pages: list[PackagePage] = []
    page_content(moving, LocalChannel(channel), each=pages.append)
    assert {each.line for each in pages} == set(content.packages)
    rows = {(row.machine, row.train, row.version): row for row in content.coverage}
    nightly = rows["linux-aarch64", "nightly", NIGHTLY]
    assert {cell.state for cell in nightly.cells.values()} == {"here", "blocked"}
    assert {row.train for row in content.coverage} == {"stable", "rc", "nightly"}
    page, said = opened(browser, f"{served['disk']}/index.html")
    titles = page.locator("#coverage h3").all_inner_texts()
    assert "linux-aarch64 CPU · Nightly" in [" ".join(each.split()) for each in titles]
    chosen = page.locator('input[name="train"]:checked').get_attribute("value")
    assert chosen == content.offers[content.first].train == "2.10", "releases are offered first"
    (pytorch,) = (each for each in pages if each.name == "pytorch")
    (built,) = (b for b in pytorch.builds if b.train == "nightly" and "_py311_" in b.build)
    assert NIGHTLY in built.sources[0].purl
    page.goto(f"{served['disk']}/packages/pytorch.html")
    build = page.locator("article.build", has=page.get_by_text(built.build, exact=True))
    assert build.locator(".train").inner_text() == "Nightly"
    assert said == []


def test_a_candidate_is_told_from_the_release_of_its_name(moving, site, tmp_path):
    """Upstream's candidates are called 2.16.0, too: the sub-channel says what they are."""
    channel, content, _ = site
    shutil.copytree(channel / "label" / "rc", tmp_path / "channel")
    released = LocalChannel(tmp_path / "channel")
    shutil.copytree(channel / "label" / "rc", released.labelled("rc").root)
    both = page_content(moving, released, "here")
    channels = {offer.train: offer.label for offer in both.offers}
    assert channels == {"2.16": "", "rc": "rc"}
    shown = {(row.train, row.version): row for row in both.coverage}
    assert any(cell.state == "here" for cell in shown["rc", CANDIDATE].cells.values())
    (release,) = (
        each
        for each in both.offers
        if each.train == "2.16" and each.python == "3.13" and each.machine == "osx-arm64"
    )
    assert "label" not in release.commands["conda"]
    assert content.sub_channels == {
        train: f"{content.channel}/label/{train}" for train in ("rc", "nightly")
    }


def test_what_the_base_channel_lacks_is_said_and_not_offered(site):
    _, content, _ = site
    offered = {(offer.machine, offer.accelerator, offer.python) for offer in content.offers}
    blocked = [
        (row, python, cell.reason)
        for row in content.coverage
        for python, cell in row.cells.items()
        if cell.state == "blocked"
    ]
    assert {python for _, python, _ in blocked} == {"3.13t", "3.15", "3.15t"}
    assert {reason for _, _, reason in blocked} == {
        f"blocked by base: no base channel has a Python {python} for {row.machine}"
        for row, python, _ in blocked
    }
    assert not {("linux-aarch64", "cpu", "3.13t")} & offered


def test_the_choice_is_kept_in_the_address(site, browser, served):
    _, content, _ = site
    offer = content.offers[0]
    page, _ = opened(browser, f"{served['disk']}/index.html")
    for name in GROUPS:
        page.locator(f'input[name="{name}"][value="{getattr(offer, name)}"]').check(force=True)
    page.locator('input[name="tool"][value="pixi"]').check(force=True)
    again, said = opened(browser, page.evaluate("location.href"))
    assert said == []
    assert again.locator("#command").inner_text() == offer.commands["pixi"]
    strange, said = opened(browser, f"{served['disk']}/index.html#machine=x&python=%3Cb%3E")
    assert strange.locator("#command").inner_text()
    assert said == []
    for odd in ("#1%zz<b>", "#coverage", "#machine"):
        section, said = opened(browser, f"{served['disk']}/index.html{odd}")
        assert section.locator("#command").inner_text()
        assert said == []


def test_the_copy_button_copies(site, browser, served):
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    page, _ = opened(browser, f"{served['nginx']}/index.html", **options)
    page.locator("#copy").click()
    expect(page.locator("#note")).to_have_text("Copied.", timeout=PATIENCE)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#command").inner_text()


def test_a_keyboard_is_enough(browser, served):
    page, _ = opened(browser, f"{served['disk']}/index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(20):
        if page.evaluate("document.activeElement.name") == "python":
            break
        page.keyboard.press("Tab")
    before = page.locator("#command").inner_text()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#command").inner_text() != before


def test_without_javascript_every_command_and_the_tables_are_there(site, browser, served):
    _, content, _ = site
    page, said = opened(browser, f"{served['disk']}/index.html", java_script_enabled=False)
    assert not page.locator("#selector").is_visible()
    text = page.locator("#all").inner_text()
    assert all(offer.commands["conda"] in text for offer in content.offers)
    assert page.locator("#coverage article").count() == len(content.coverage)
    assert said == []


@pytest.mark.parametrize("screen", SCREENS)
def test_it_fits_the_screen_and_is_readable(site, browser, served, screen):
    _, content, _ = site
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for name, place in (("index", "index.html"), ("pytorch", "packages/pytorch.html")):
        page, said = opened(browser, f"{served['nginx']}/{place}", **SCREENS[screen])
        page.evaluate("document.querySelectorAll('.build details').forEach(d => d.open = true)")
        page.screenshot(path=ARTIFACTS / f"{name}-{screen}.png", full_page=True)
        wide, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= seen, "scrolls sideways"
        assert page.evaluate(CONTRAST) == []
        assert said == []
    assert {each.name for each in content.packages} >= {"pytorch", "libtorch"}


#: texts whose colour has less than 4.5:1 against what is behind them (WCAG 2.2, 1.4.3)
CONTRAST = """() => {
  const parse = (text) => {
    const [r, g, b, alpha] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, alpha ?? 1];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    const layers = [];
    for (let each = node; each; each = each.parentElement) {
      const style = getComputedStyle(each).backgroundColor;
      if (!style.startsWith("rgb")) continue;
      const colour = parse(style);
      if (colour[3]) layers.push(colour);
      if (colour[3] === 1) break;
    }
    const mix = (under, over) => under.map((v, i) => v * (1 - over[3]) + over[i] * over[3]);
    return layers.reverse().reduce(mix, [255, 255, 255]);
  };
  const weak = [];
  for (const node of document.querySelectorAll("main *, footer *")) {
    const own = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    const style = getComputedStyle(node);
    if (!own || style.visibility === "hidden" || !node.getClientRects().length) continue;
    const [a, b] = [light(parse(style.color)), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) weak.push(node.textContent.trim().slice(0, 40));
  }
  return weak;
}"""


def test_names_from_outside_are_text(project, tmp_path):
    """A hotfix's reason and a record's fields are shown, never run."""
    channel = tmp_path / "channel" / "linux-aarch64"
    channel.mkdir(parents=True)
    row = {
        "name": "pytorch",
        "version": "2.10.0",
        "build": "cpu_generic_py311_h0_0",
        "build_number": 0,
        "subdir": "linux-aarch64",
        "size": 1,
        "sha256": "0" * 64,
        "license": "</script><script>alert(1)</script>",
        "depends": ["python_abi 3.11.* *_cp311", "<script>alert(3)</script>"],
    }
    document = {"packages.conda": {"pytorch-2.10.0-x.conda": row}}
    (channel / "repodata.json").write_text(json.dumps(document))
    out = tmp_path / "site"
    hostile = "https://example.org/'\"><script>alert(2)</script>"
    write_page(project, LocalChannel(channel.parent), out, hostile)
    for path in out.rglob("*.html"):
        text = path.read_text()
        assert "<script>alert" not in text, path.name
        assert text.count("<script") == (2 if path.name == "index.html" else 0)


def test_it_writes_only_into_its_own_folder(project, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="other files"):
        write_page(project, LocalChannel(tmp_path / "none"), tmp_path / "site")
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["thesis.txt"]
    out = tmp_path / "empty"
    write_page(project, LocalChannel(tmp_path / "none"), out)
    assert "no pytorch yet" in (out / "index.html").read_text()
    assert Path(out / "style.css").is_file()


def test_it_says_when_upstream_was_looked_at_and_that_no_gpu_was_there(project, site, tmp_path):
    """GitHub is asked when the page is made; who reads it asks nobody."""
    feedstock = tmp_path / "feedstock.yaml"
    text = project.feedstock.read_text(encoding="utf-8")
    feedstock.write_text(f"{text}\nrepository: https://github.com/me/torch\n", encoding="utf-8")
    shutil.copy(project.lock, tmp_path)
    run = {"workflow_runs": [{"run_started_at": "2026-11-22T11:23:00Z"}]}
    path = "/repos/me/torch/actions/workflows/update.yml/runs?status=success&per_page=1"
    arguments = ["--feedstock", str(feedstock), "page", "--from", str(site[0]), "--looked"]
    with servers.recorder(lambda *_: (200, json.dumps(run).encode())) as server:
        out = str(tmp_path / "site")
        done = CliRunner().invoke(cli, [*arguments, server.url, "--url", "x", "--out", out])
    assert done.exit_code == 0, done.output
    assert [asked for _, asked, _, _ in server.asked] == [path]
    page = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert 'datetime="2026-11-22T11:23+00:00"' in page
    assert "not run on a GPU" in page
