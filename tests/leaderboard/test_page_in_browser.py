"""The page in a real browser: it loads from the disk, sorts, filters, draws, and serves hands, eyes and ears alike."""

import re
from dataclasses import replace
from pathlib import Path

import browser
import made_up
import pytest
from PIL import Image

from lidar2d.leaderboard.board import tables
from lidar2d.leaderboard.page import write_page

pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install lidar2d[dev]")
if browser.installed() is None:
    pytest.skip("there is no Chromium on this machine: apt-get install chromium", allow_module_level=True)

DESKTOP, PHONE = (1400, 1000), (390, 844)
CHECKS = (Path(__file__).parent / "checks.js").read_text(encoding="utf-8")
CONTROLS = {"button", "combobox", "searchbox", "checkbox", "link", "image", "table", "region", "dialog"}
HOSTILE = "</script><img src=x onerror=window.harmed=1>"
PICTURES = """<!doctype html><title>collab: seg2d-lin/town@1</title><p>Columns: the image; the truth.</p>
<p class="key"><span><i style="background:rgb(0, 90, 200)"></i>car</span></p>
<figure><figcaption>day: one</figcaption><img src="day-0.png" alt="day"></figure>
<figure><figcaption>fog: two</figcaption><img src="fog-0.png" alt="fog"></figure>"""


@pytest.fixture(scope="module")
def chromium():
    with browser.opened(browser.installed()) as found:
        yield found


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    (folder / "index.html").write_text(PICTURES)
    for name in ("day-0.png", "fog-0.png"):
        Image.new("RGB", (80, 40), "teal").save(folder / name)
    return write_page(tables(made_up.everything(), against=made_up.AGAINST), tmp_path_factory.mktemp("site"), [folder])


@pytest.fixture
def visit(chromium, path):
    """Open the page at an address; whatever it complains of fails the test."""
    contexts, complaints = [], []

    def opened(address="", size=DESKTOP, page=path, whole=True, **settings):
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, **settings)
        contexts.append(context)
        found = context.new_page()
        found.on("console", lambda message: complaints.append(message.text))
        found.on("pageerror", lambda error: complaints.append(str(error)))
        found.on("requestfailed", lambda request: complaints.append(request.url))
        found.goto(page.as_uri() + address)
        if whole:  # what is far off is not laid out, and so has no text to be read
            found.add_style_tag(content=".card { content-visibility: visible }")
        return found

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def card(page, title="2D segmentation, linear probe", weather="weather-v1@1"):
    found = page.locator("article.card", has=page.get_by_role("heading", name=title, exact=True))
    return found.filter(has_text=weather)


def numbers(found, place):
    """Read a column of a table, counted from the first one of numbers."""
    texts = found.locator(f"tbody tr td:nth-of-type({place + 1}) > a").all_inner_texts()
    return [float(text.replace("−", "-")) for text in texts]


def names(found):
    return found.locator("tbody th .method").all_inner_texts()


def heads(found):
    return found.locator("thead tr:last-child th").all_inner_texts()


def settle(page):
    """Wait until what a press has caused is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def until(page, expression):
    """Wait for something to be true, for ten seconds at most; the page's policy lets no library do so in it."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")


# what is there


def test_it_loads_from_the_disk_and_says_what_it_shows(visit):
    page = visit()
    assert page.title() == "lidar2d leaderboard"
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("#tally").inner_text() == "2,007 records · 15 methods · 7 tables · 1 failed"
    assert page.locator("#count").inner_text() == "7 tables of 7, 59 rows"
    assert page.locator("main h2").all_inner_texts() == ["Measured", "From papers", "Gallery"]
    assert page.locator(".part.paper article.card").count() == 2
    assert page.locator(".part.measured .card.paper").count() == 0


def test_the_best_of_a_column_is_marked_in_type_and_in_words(visit):
    found = card(visit())
    for place in range(len(heads(found))):
        best = found.locator(f"tbody tr td:nth-of-type({place + 1}).best")
        values = numbers(found, place)
        if re.search("gap|mRR", heads(found)[place]):  # who knows nothing loses nothing
            assert best.count() == 0
            continue
        wanted = max(values)
        assert [float(each.locator("a").inner_text()) for each in best.all()] == [wanted] * values.count(wanted)
        assert best.first.locator(".unseen").text_content() == " best"
        assert best.first.locator("a").evaluate("each => getComputedStyle(each).fontWeight") == "750"


def test_which_way_is_better_is_said_in_words(visit):
    page = visit()
    text = card(page, "Depth, linear probe").locator("thead").text_content()
    assert "lower is better:  AbsRel" in re.sub(r"[↑↓]", "", text)
    assert "higher is better:  mRR" in re.sub(r"[↑↓]", "", text)


def test_a_failed_evaluation_says_that_it_failed_and_why(visit):
    page = visit()
    found = card(page, "3D detection, linear probe")
    said = found.locator(".failures").inner_text()
    assert said.startswith("Failed: 1 evaluation\nhvdistill, seed 2: CUDA out of memory")
    found.get_by_role("link", name="1 failed").click()
    assert "CUDA out of memory" in page.get_by_role("dialog").inner_text()


def test_without_records_the_page_says_so(visit, tmp_path):
    page = visit(page=write_page([], tmp_path))
    assert page.locator("main").inner_text().startswith("There are no records yet. lidar2d bench")
    assert page.locator("#count").inner_text() == ""


def test_a_table_where_everything_failed_says_so(visit, tmp_path):
    failed = [record for record in made_up.weather() if record.error]
    page = visit(page=write_page(tables(failed), tmp_path))
    assert "No evaluation succeeded." in page.locator("main").inner_text()
    assert "CUDA out of memory" in page.locator(".failures").inner_text()


def test_names_are_shown_as_they_are_and_never_run(visit, tmp_path):
    records = made_up.weather(("teacher", "collab"), ("seg2d-lin/town@1",))
    names_of = {"method": HOSTILE, "teacher": HOSTILE, "shown": HOSTILE, "data": HOSTILE}
    failed = replace(records[-1], metrics={}, draws=[], condition="all", severity=0, weather="", error=HOSTILE)
    found = [replace(record, **names_of) for record in [*records[:-1], replace(failed, seed=9)]]
    page = visit(page=write_page(tables(found), tmp_path))
    assert HOSTILE in page.locator("tbody").inner_text()
    assert HOSTILE in page.locator(".failures").inner_text()
    page.locator("tbody td a").first.click()
    page.locator("dialog td a").first.click()
    assert HOSTILE in page.get_by_role("dialog").inner_text()
    assert page.locator("img").count() == 0
    assert page.evaluate("window.harmed") is None


# sorting


def test_pressing_a_head_sorts_best_first_then_worst_first_then_as_it_was(visit):
    page = visit()
    found = card(page)
    place = heads(found).index("fog")
    before = names(found)
    head = found.locator("thead tr:last-child th").nth(place)
    assert head.get_attribute("aria-sort") is None
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert numbers(found, place) == sorted(numbers(found, place), reverse=True)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert numbers(found, place) == sorted(numbers(found, place))
    assert names(found) != before
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert names(found) == before


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_keys_sort_too_and_focus_stays_where_it_was(visit, key):
    page = visit()
    found = card(page, "Depth, linear probe")
    place = heads(found).index("snow")
    button = found.locator("thead tr:last-child th").nth(place).get_by_role("button")
    button.focus()
    page.keyboard.press(key)
    assert found.locator("[aria-sort]").get_attribute("aria-sort") == "ascending"  # an error: the best is the lowest
    assert numbers(found, place) == sorted(numbers(found, place))
    assert button.evaluate("each => each === document.activeElement")
    page.keyboard.press(key)
    assert numbers(found, place) == sorted(numbers(found, place), reverse=True)


def test_methods_sort_by_name(visit):
    page = visit()
    found = card(page)
    found.get_by_role("button", name="Method").click()
    assert names(found) == sorted(names(found))


def test_what_has_no_number_stands_last_either_way(visit, tmp_path):
    gone = [
        r for r in made_up.weather(protocols=("seg2d-lin/town@1",)) if (r.method, r.condition) != ("collab", "rain")
    ]
    page = visit(page=write_page(tables(gone), tmp_path))
    found = page.locator("article.card").first
    head = found.locator("thead [data-column=rain] button")
    for _ in range(2):
        head.click()
        assert names(found)[-1] == "collab"
    row = found.locator("tbody tr").last
    assert row.locator("td.none").count() == 5  # rain, and four numbers of all weather
    assert row.locator("td.none").first.text_content() == "–no number"


def test_sorting_one_table_leaves_the_others(visit):
    page = visit()
    before = names(card(page, "3D detection, linear probe"))
    card(page).get_by_role("button", name="Method").click()
    assert names(card(page, "3D detection, linear probe")) == before


# filters


@pytest.mark.parametrize(
    ("label", "choice", "count"),
    [
        ("Numbers", "From papers", "2 tables of 7"),
        ("Suite", "clean", "1 table of 7"),
        ("Task", "3D segmentation", "3 tables of 7"),
        ("Data", "nuscenes", "2 tables of 7"),
        ("Condition", "dusk", "1 table of 7"),
        ("Teacher", "ViT-S/14 DINOv2", "2 tables of 7"),
    ],
)
def test_filters_leave_what_fits(visit, label, choice, count):
    page = visit()
    page.get_by_label(label, exact=True).select_option(choice)
    assert page.locator("#count").inner_text().startswith(count)
    assert page.locator("main article.card:not(.gallery *)").count() == int(count[0])
    page.get_by_role("button", name="Show all").click()
    assert page.locator("#count").inner_text() == "7 tables of 7, 59 rows"


def test_a_condition_leaves_its_columns_and_clear_air(visit):
    page = visit()
    page.get_by_label("Condition", exact=True).select_option("fog")
    assert heads(card(page)) == ["clear", "fog", "fog 1", "fog 3", "fog 5"]
    clean = page.locator("article.card", has_text="suite clean")
    assert heads(clean) == ["fog"]
    assert page.locator(".gallery figcaption").all_inner_texts() == ["fog: two"]


def test_a_teacher_and_part_of_a_name_leave_their_rows(visit):
    page = visit()
    page.get_by_label("Method contains").fill("DIST")
    assert names(card(page)) == ["selfdistill", "hvdistill"]
    page.get_by_label("Method contains").fill("")
    page.get_by_label("Teacher", exact=True).select_option("SmallConv town-supervised")
    assert "random" not in names(card(page))
    assert len(names(card(page))) == 8
    assert page.locator(".part.paper").count() == 0


def test_nothing_that_fits_is_said(visit):
    page = visit()
    page.get_by_label("Method contains").fill("no such method")
    assert page.locator("main").inner_text().startswith("No table fits all of these filters.")


def test_each_severity_has_its_column(visit):
    page = visit()
    page.get_by_label("Each severity").check()
    shown = heads(card(page))
    assert [name for name in shown if "snow" in name] == ["snow 1", "snow 3", "snow 5"]
    assert "fog" not in shown


def test_another_metric_takes_the_place_of_the_first(visit):
    page = visit()
    found = card(page)
    place = heads(found).index("clear")
    before = numbers(found, place)
    found.get_by_label("Metric", exact=True).select_option("IoU car")
    assert numbers(found, place) != before
    assert "IoU car, %" in found.locator("thead").inner_text()
    found.locator("tbody td:nth-of-type(5) a").first.click()
    assert "IoU car" in page.get_by_role("dialog").inner_text()


def test_rows_are_compared_with_another(visit):
    page = visit()
    page.get_by_label("Compare with").select_option("teacher")
    found = card(page)
    place = heads(found).index("fog")
    values, rows = numbers(found, place), names(found)
    other = values[rows.index("teacher")]
    cells = found.locator(f"tbody tr td:nth-of-type({place + 1})")
    for row, value in enumerate(values):
        said = cells.nth(row).locator(".less")
        if rows[row] == "teacher":
            assert said.count() == 0
            continue
        text = said.text_content()
        assert float(re.match(r"[+−]?[\d.]+", text)[0].replace("−", "-")) == pytest.approx(value - other, abs=0.11)
        assert text.endswith("better" if value > other else "worse")
    assert "[" in found.locator("tbody tr").first.locator("td .less").first.text_content()
    errors = card(page, "Depth, linear probe")  # of errors, less is better
    said = errors.locator("tbody tr").first.locator("td .less").nth(heads(errors).index("fog")).text_content()
    assert said.startswith("−")
    assert said.endswith("better")


# the address


def test_a_view_is_restored_from_its_address(visit):
    page = visit()
    page.get_by_label("Task").select_option("2D segmentation")
    page.get_by_label("Suite").select_option("weather")
    page.get_by_label("Compare with").select_option("random")
    page.get_by_label("Each severity").check()
    found = card(page)
    found.get_by_label("Metric", exact=True).select_option("accuracy")
    found.locator("thead tr:last-child th").nth(heads(found).index("rain 3")).get_by_role("button").click()
    found.get_by_role("checkbox", name="slidr").check()
    again = visit(page.url[page.url.index("#") :])
    assert again.locator("main table").first.inner_text() == page.locator("main table").first.inner_text()
    assert again.locator("[aria-sort]").get_attribute("data-column") == "rain-3"
    assert again.get_by_label("Task").input_value() == "2D segmentation"
    ticked = "fieldset input:checked"
    assert [each.input_value() for each in again.locator(ticked).all()] == [
        each.input_value() for each in page.locator(ticked).all()
    ]
    assert again.locator("#count").inner_text() == "1 table of 7, 9 rows"


@pytest.mark.parametrize("address", ["#", "#%E0%A4%A", "#task=none&sort=|||&record=nothing&metric=x", "#plot=&table=x"])
def test_an_address_that_means_nothing_shows_everything(visit, address):
    page = visit(address)
    assert page.locator("#count").inner_text() == "7 tables of 7, 59 rows"


def test_a_table_has_an_address(visit):
    page = visit()
    link = card(page, "3D detection, linear probe").get_by_role("link", name="link to this table: 3D detection")
    again = visit(link.get_attribute("href"), whole=False)
    assert again.evaluate("document.activeElement.textContent") == "3D detection, linear probe"
    until(again, "Math.abs(document.activeElement.getBoundingClientRect().top) < innerHeight / 2")


def test_contents_lead_to_tables(visit):
    page = visit()
    page.get_by_text("Contents, 7 tables").click()
    page.locator("nav a").nth(3).click()
    assert page.evaluate("document.activeElement.tagName") == "H3"


# records


def test_a_number_opens_its_records_by_keyboard_and_escape_goes_back(visit):
    page = visit()
    found = card(page)
    place = heads(found).index("night")
    link = found.locator("tbody tr").first.locator(f"td:nth-of-type({place + 1}) a")
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("heading").first.inner_text() == "collab, night"
    assert "made of 9 records" in dialog.inner_text()
    assert dialog.locator("tbody tr").count() == 9
    assert "record=" in page.url
    dialog.locator("tbody a").nth(4).focus()
    page.keyboard.press("Enter")
    text = dialog.inner_text()
    for said in ("collab, night 3, seed 1", "recipe", "commit", "made up", "GiB", "weather-v1@1", "fingerprint"):
        assert said in text
    page.go_back()
    assert "made of 9 records" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    assert "record=" not in page.url
    assert link.evaluate("each => each === document.activeElement")


def test_tab_stays_inside_of_the_dialog(visit):
    page = visit()
    page.locator("tbody td a").first.click()
    for _ in range(80):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main, header.masthead, form, nav') === null")
    page.get_by_role("button", name="Close").focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").count() == 0


def test_a_record_has_an_address(visit):
    page = visit()
    page.get_by_label("Numbers").select_option("From papers")
    page.locator(".part.paper tbody td a").first.click()
    text = page.get_by_role("dialog").inner_text()
    assert "made up, in no paper: table 0" in text
    assert "seed" not in text
    again = visit(page.url[page.url.index("#") :])
    assert again.get_by_role("dialog").inner_text() == text
    assert again.locator("#count").inner_text().startswith("2 tables")


def test_what_rounds_to_nothing_has_no_sign(visit, tmp_path):
    record = replace(made_up.clean()[0], condition="all", metrics={"cosine": -0.0001}, draws=[])
    page = visit(page=write_page(tables([record]), tmp_path))
    assert page.locator("tbody td a").inner_text() == "0.000"


def test_citations_are_links(visit, tmp_path):
    citation = "arXiv:2304.07193, github.com/facebookresearch/dinov2@b8931f7, MODEL_CARD.md: results"
    records = [replace(record, citation=citation) for record in made_up.papers()[:2]]
    page = visit(page=write_page(tables(records), tmp_path))
    page.locator("tbody td a").first.click()
    found = page.locator("dialog dd a")
    assert [(each.inner_text(), each.get_attribute("href")) for each in found.all()] == [
        ("arXiv:2304.07193", "https://arxiv.org/abs/2304.07193"),
        (
            "github.com/facebookresearch/dinov2@b8931f7",
            "https://github.com/facebookresearch/dinov2/tree/b8931f7",
        ),
    ]
    assert citation in page.get_by_role("dialog").inner_text()


def test_columns_of_a_published_table_are_in_sight_on_a_small_desk(visit, tmp_path):
    names_of = {"slidr": "second", "seal": "centerpoint"}
    weather = [*list(made_up.HARM)[:10], "corrupted"]
    found = [
        replace(r, method=names_of[r.method], teacher="", backbone="", uses_text_supervision=False)
        for r in made_up.papers()
        if r.method in names_of and (r.condition in weather or r.condition == "all")
    ]
    page = visit(size=(1280, 900), page=write_page(tables(found), tmp_path))
    boxes = page.locator("article.card .box")
    assert boxes.count() == 2
    assert [each.evaluate("box => box.scrollWidth - box.clientWidth") for each in boxes.all()] == [0, 0]


def test_a_record_that_is_gone_is_said(visit):
    page = visit("#record=0123456789")
    assert "the record is gone" in page.get_by_role("dialog").inner_text()


# plots


def shown_plots(found):
    found.locator(".stage").scroll_into_view_if_needed()
    found.locator(".stage figure").first.wait_for()
    return found.locator(".stage figure")


def test_weather_is_drawn_as_a_radar_and_as_curves(visit):
    found = card(visit())
    figures = shown_plots(found)
    titles = figures.locator("figcaption b").all_inner_texts()
    assert titles == ["All corruptions", "fog", "rain", "snow", "wet ground", "night"]
    for figure in figures.all():
        paths = figure.locator("path.line")
        assert paths.count() == 4
        assert all(re.fullmatch(r"[MLZ\d. -]+", path.get_attribute("d")) for path in paths.all())
        boxes = [path.bounding_box() for path in paths.all()]
        assert all(box["width"] > 20 and box["height"] > 3 for box in boxes)
    fog = figures.nth(1).get_by_role("img").first.get_attribute("aria-label")
    assert fog.startswith("mIoU over severity in fog: collab 50.9 at 0, 47.7 at 1, ")
    assert figures.nth(1).locator("text.label").all_text_contents() == ["collab", "photometric", "olivine", "teacher"]


def test_a_curve_starts_in_clear_air_and_a_higher_number_stands_higher(visit):
    found = card(visit())
    marks = shown_plots(found).nth(1).locator("path.mark.c0")
    said = [mark.locator("title").text_content() for mark in marks.all()]
    places = [mark.evaluate("each => each.transform.baseVal[0].matrix.f") for mark in marks.all()]
    assert said[0].startswith("collab, clear: ")
    values = [float(text.rpartition(" ")[2]) for text in said]
    steps = [(one - other) / (b - a) for one, other, a, b in zip(values, values[1:], places, places[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * 3, rel=0.05)
    assert steps[0] > 0


def test_of_an_error_the_best_lies_outside_of_the_radar(visit):
    found = card(visit(), "Depth, linear probe")
    radar = shown_plots(found).first
    assert "less is better, and lies outside" in radar.inner_text()
    away = {}
    for mark in radar.locator("path.mark").all():
        matrix = mark.evaluate("each => [each.transform.baseVal[0].matrix.e, each.transform.baseVal[0].matrix.f]")
        method, _, rest = mark.locator("title").text_content().partition(", ")
        away[method, rest.partition(":")[0]] = (matrix[0] ** 2 + matrix[1] ** 2) ** 0.5
    assert away["collab", "fog"] > away["photometric", "fog"] > away["teacher", "fog"]


def test_methods_are_drawn_and_taken_away_in_all_plots(visit):
    page = visit()
    found = card(page)
    figures = shown_plots(found)
    box = found.get_by_role("checkbox", name="random")
    box.focus()
    page.keyboard.press("Space")
    assert figures.nth(2).locator("path.line").count() == 5
    assert card(page, "Depth, linear probe").get_by_role("checkbox", name="random").is_checked()
    page.keyboard.press("Space")
    assert figures.nth(2).locator("path.line").count() == 4


def test_plots_are_there_in_numbers(visit):
    page = visit()
    found = card(page)
    found.get_by_text("The same in numbers").click()
    table = found.locator("details table")
    table.wait_for()
    head = table.locator("thead th").all_inner_texts()
    place = head.index("fog 3")
    row = table.locator("tbody tr", has_text="collab")
    value = row.locator("td").nth(place - 1).inner_text()
    assert f"{value} at 3" in shown_plots(found).nth(1).get_by_role("img").first.get_attribute("aria-label")


def test_frames_that_have_conditions_of_their_own_are_drawn_as_a_radar(visit):
    page = visit()
    figures = shown_plots(page.locator("article.card", has_text="suite clean"))
    assert figures.locator("figcaption b").all_inner_texts() == ["All conditions"]


# gallery


def test_pictures_are_read_when_they_come_into_sight_and_have_words(visit):
    page = visit()
    pictures = page.locator(".gallery img")
    assert [each.get_attribute("loading") for each in pictures.all()] == ["lazy", "lazy"]
    pictures.first.scroll_into_view_if_needed()
    until(page, "[...document.images].every((each) => each.complete && each.naturalWidth === 80)")
    assert pictures.first.get_attribute("alt") == "day: one, of collab: seg2d-lin/town@1"
    assert "Columns: the image" in page.locator(".gallery").inner_text()


# hands, eyes and ears


@pytest.mark.parametrize("address", ["", "#against=teacher&each=1", "#task=none", "#condition=fog"])
def test_a_phone_scrolls_tables_and_not_the_page(visit, address):
    page = visit(address, PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    page.locator("summary", has_text="Filters").click()
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for element in page.locator(".stage").all():
        element.scroll_into_view_if_needed()
    assert page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]") == [390] * 3


def test_the_methods_and_the_head_stay_in_sight(visit):
    page = visit("#each=1", PHONE, has_touch=True, is_mobile=True)
    found = card(page)
    box = found.locator(".box").first
    box.evaluate("each => { each.scrollLeft = 400; each.scrollTop = 80; }")
    settle(page)
    assert box.evaluate("each => [each.scrollLeft, each.scrollTop > 0]")[0] == 400
    left = box.bounding_box()["x"]
    assert found.locator("tbody th").first.bounding_box()["x"] == pytest.approx(left, abs=1)
    assert found.locator("thead th").first.bounding_box()["y"] == pytest.approx(box.bounding_box()["y"] + 1, abs=1)


def test_dark_follows_the_system_and_the_switch(visit):
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = visit(color_scheme="light"), visit(color_scheme="dark")
    assert light.evaluate(ground) != dark.evaluate(ground)
    light.get_by_label("Colours", exact=True).select_option("dark")
    assert light.evaluate(ground) == dark.evaluate(ground)
    light.reload()
    assert light.get_by_label("Colours", exact=True).input_value() == "dark"
    assert light.evaluate(ground) == dark.evaluate(ground)
    light.get_by_label("Colours", exact=True).select_option("system")
    assert light.evaluate(ground) != dark.evaluate(ground)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_lies_behind_it(visit, scheme, size):
    page = visit("#against=teacher", size, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")  # draws every plot
    assert page.locator("text.label").count() > 50
    assert page.evaluate(f"{CHECKS}.texts()") > 1000
    assert page.evaluate(f"{CHECKS}.contrast()") == []
    page.locator("tbody tr").first.hover()
    assert page.evaluate(f"{CHECKS}.contrast()") == []
    page.locator("tbody td a").first.click()
    assert page.evaluate(f"{CHECKS}.contrast()") == []


def test_the_check_of_contrast_finds_what_is_too_faint(visit):
    page = visit()
    page.evaluate("document.querySelector('.lead').style.color = '#999'")
    assert len(page.evaluate(f"{CHECKS}.contrast()")) == 1


@pytest.mark.parametrize("address", ["", "#task=none", "#source=paper"])
def test_audits_find_nothing(visit, address):
    page = visit(address)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for check in ("headings", "pictures", "ids", "landmarks", "references", "targets"):
        assert (check, page.evaluate(f"{CHECKS}.{check}()")) == (check, [])


def test_everything_that_can_be_used_has_a_name(visit):
    page = visit()
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")

    def named():
        tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        found = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
        return [each for each in found if each[0] in CONTROLS]

    whole = named()
    assert {role for role, _ in whole} == CONTROLS - {"dialog"}
    assert [each for each in whole if not each[1].strip()] == []
    page.locator("tbody td a").first.click()
    page.locator("dialog td a").first.click()
    assert [each for each in named() if each[0] != "region" and not each[1].strip()] == []
    assert "dialog" in {role for role, _ in named()}


def test_focus_can_be_seen(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate("getComputedStyle(document.activeElement).outline")
        assert style.endswith("solid 2px")


def test_nothing_moves_by_itself(visit):
    page = visit()
    page.get_by_role("button", name="Method").first.click()
    page.locator("tbody td a").first.click()
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_paper_shows_tables_and_plots_whole(visit):
    page = visit()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator(".filters").is_hidden()
    assert page.locator(".box").first.evaluate("each => getComputedStyle(each).overflowY") == "visible"
    assert all(each.locator("figure").count() for each in page.locator(".stage").all())


# size


def test_a_long_table_shows_a_hundred_rows_and_more_when_asked(visit, tmp_path):
    page = visit(page=write_page(tables(made_up.long(1500)), tmp_path))
    assert page.locator("#count").inner_text() == "1 table of 1, 1,500 rows"
    page.get_by_role("button", name="Method").click()
    first = names(page)
    assert len(first) == 100
    assert first == sorted(first, key=lambda name: (name.partition("-")[0], int(name.partition("-")[2])))
    page.get_by_role("button", name="Show 1,000 more of 1,500 rows").click()
    assert page.locator("tbody tr").count() == 1100
    page.get_by_role("button", name="Show all 1,500 rows").click()
    assert page.locator("tbody tr").count() == 1500
    assert names(page)[:100] == first
    assert page.locator(".all").is_hidden()
    assert page.evaluate("document.activeElement.className") == "box"
