"""Drives the pages in Debian's Chromium, as a person would: `page.py ADDRESS FOLDER [TOKEN [stale]]`.

Without a token the service shows its demo people; `stale` says that the latest check-in is of long ago. Screenshots go into the folder. Anything that the browser complains of, any request to
another host, and any finding of axe ends it.
"""

import json
import os
import pathlib
import shutil
import sys
from datetime import date

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect, sync_playwright

ADDRESS, FOLDER, *TOKEN = sys.argv[1:]
BASE = f"http://{ADDRESS}"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
CARD = "#cards article"
# How many prediction types are served.
TYPES = int(os.environ["TYPES"])


def watch(page: Page) -> list[str]:
    """What a page may not do: complain, fail, or ask anyone but the service."""
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith((BASE, "data:")) else wrong.append(request.url))
    return wrong


def accessible(page: Page, what: str) -> None:
    found = Axe().run(page).response["violations"]
    told = [(rule["id"], [node["html"][:120] + " " + node["failureSummary"] for node in rule["nodes"][:3]]) for rule in found]
    assert not told, f"{what}: {json.dumps(told, indent=1)}"


def fits(page: Page, what: str) -> None:
    wide, window = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    assert wide <= window, f"{what}: {wide} pixels wide in a window of {window}"


def answered(page: Page) -> None:
    expect(page.locator("#call")).to_contain_text("ms")
    expect(page.locator("#trouble")).to_be_empty()
    expect(page.locator(CARD)).to_have_count(TYPES)


def show(page: Page, view: str) -> None:
    page.locator(f'.views a[href="#{view}"]').click()
    expect(page.locator(f"#{view}")).to_be_visible()
    for other in {"me", "clinician", "developer"} - {view}:
        expect(page.locator(f"#{other}")).to_be_hidden()


def screenshot(page: Page, name: str) -> None:
    page.screenshot(path=pathlib.Path(FOLDER) / f"{name}.png", full_page=True)


def looks(browser) -> None:
    """Light and dark, on a desk and on a phone, in both languages."""
    for scheme, size, locale, heading in [
        ("light", DESK, "en-GB", "How you have been"),
        ("dark", DESK, "pt-BR", "Como você tem passado"),
        ("light", PHONE, "pt-PT", "Como você tem passado"),
        ("dark", PHONE, "de-DE", "How you have been"),
    ]:
        page = browser.new_page(color_scheme=scheme, viewport=size, locale=locale)
        wrong = watch(page)
        page.goto(BASE)
        answered(page)
        expect(page.locator("h2").first).to_have_text(heading)
        for view in ["me", "clinician", "developer"]:
            what = f"page-{view}-{scheme}-{size['width']}-{locale}"
            show(page, view)
            accessible(page, what)
            fits(page, what)
            screenshot(page, what)
        show(page, "clinician")
        page.evaluate("document.querySelectorAll('#clinician details').forEach((details) => { details.open = true; })")
        expect(page.locator("#card figure circle").first).to_be_visible()
        what = f"page-clinician-open-{scheme}-{size['width']}-{locale}"
        accessible(page, what)
        fits(page, what)
        screenshot(page, what)
        assert not wrong, f"{what}: {wrong}"
        page.close()


def person(browser) -> None:
    """What a person sees: from when it is, how they have been, and where help is; no probability, and nothing of suicidality."""
    for locale, percents, today in [("en-GB", ["%", "uicidal"], "today"), ("pt-BR", ["%", "uicida"], "hoje")]:
        page = browser.new_page(viewport=PHONE, locale=locale)
        page.goto(BASE)
        answered(page)
        seen = page.locator("main").inner_text()
        assert not [word for word in percents if word in seen], seen
        # The day of the latest check-in comes first, and how long ago that is.
        first = page.locator("main").inner_text().strip().splitlines()[0]
        assert str(date.today().year) in first and today in first, first
        expect(page.locator("#me .help li").first).to_contain_text("188")
        expect(page.locator("#words dd")).to_have_count(6)
        expect(page.locator("#picture svg")).to_have_count(6)
        assert page.locator("#tips li").count() >= 3
        page.close()


def use(browser) -> None:
    """What it shows of people, what if, and of models."""
    page = browser.new_page(viewport=DESK, locale="en-GB")
    wrong = watch(page)
    page.goto(f"{BASE}#clinician")
    answered(page)
    # Crisis lines stand before the first number.
    order = page.evaluate("document.getElementById('help').compareDocumentPosition(document.getElementById('cards'))")
    assert order & 4, "the crisis lines come after the predictions"
    expect(page.locator("#help li").first).to_contain_text("188")
    suicidality = page.locator(CARD).filter(has_text="Suicidality").first
    assert "not a diagnosis" in suicidality.evaluate("(card) => card.textContent")
    # How sure: the answer's own words and the card's own bin.
    mood = page.locator(CARD).first
    expect(mood.locator(".why")).to_contain_text("which speaks most for")
    expect(mood.locator(".observed")).to_contain_text("states given such a probability")
    expect(suicidality.locator(".observed")).to_contain_text("cases given such a probability")
    # From when it is stands beside each number, and what the models say of themselves above all of them.
    for card in page.locator(CARD).all():
        expect(card.locator(".facts")).to_be_visible()
        expect(card.locator(".facts")).to_contain_text(str(date.today().year))
    expect(page.locator(".caution")).to_contain_text("synthetic")

    # Each person of the cohort is in the state that they were made for, and all of it by keyboard.
    page.locator("#people").focus()
    for state in ["no check-ins", "mixed state", "depression", "mania", "euthymia"]:
        while not page.locator("#people option:checked").inner_text().startswith(state):
            before = page.locator("#people").input_value()
            page.keyboard.press("ArrowDown" if state == "no check-ins" else "ArrowUp")
            assert page.locator("#people").input_value() != before, f"nobody is in {state}"
        mood = page.locator(CARD).first
        if state == "no check-ins":
            expect(mood).to_contain_text("There are no check-ins to predict from")
            expect(page.locator("#latest")).to_have_text("There are no check-ins yet.")
            expect(page.locator("#course")).to_be_hidden()
        else:
            expect(mood.locator("p").first).to_contain_text(state)
            expect(page.locator("#multiples svg")).to_have_count(6)
            # A state under every day of the last thirty that has a check-in, by its initial, which the legend explains.
            states = [letter for letter in page.locator("#multiples .letters span").all_text_contents() if letter]
            assert len(states) >= 20 and states[-1] == state[0].upper(), states
            expect(page.locator("#legend")).to_contain_text(state)
            assert set(states) <= {"E", "M", "D", "–"}, states
        answered(page)

    # The second time it comes from the cache, and the developer's view says so, with the request and the whole answer.
    page.reload()
    answered(page)
    show(page, "developer")
    expect(page.locator("#call")).to_contain_text("HIT")
    expect(page.locator("#curl")).to_contain_text(f"curl '{BASE}/data/predictions/")
    raw = json.loads(page.locator("#raw").inner_text())
    assert [prediction["type"] for prediction in raw["predictions"]][0] == "mood_state"
    show(page, "clinician")
    page.locator("#what-if summary").first.click()

    # What if: by the slider's keys; the numbers are those of the service.
    slider = page.get_by_role("slider", name="hours slept")
    slider.focus()
    with page.expect_response("**/data/predictions/batch") as sent:
        page.keyboard.press("Home")
    expect(page.locator("#what-if-call")).to_contain_text("29 answers")
    predictions = sent.value.json()[0]["predictions"]
    place = [prediction["type"] for prediction in predictions].index("sleep_disturbance_risk")
    risk = predictions[place]["probability"]
    shown = page.locator("#compared tbody tr").nth(place).locator("td").nth(1)
    expect(shown).to_contain_text(f"{risk * 100:.1f}".rstrip("0").rstrip(".") + "%")
    # A drag across the slider needs no further question.
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    box = slider.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] / 2, steps=20)
    page.mouse.up()
    assert float(slider.input_value()) > 12 and not asked, (slider.input_value(), asked)
    screenshot(page, "what-if")
    page.get_by_role("button", name="As it was").click()
    for row in page.locator("#compared tbody tr").all():
        cells = row.locator("td").all_inner_texts()
        assert cells[1].startswith(cells[0]), cells

    # Every model's card.
    page.locator("#models > summary").click()
    for model in page.locator("#model option").all():
        page.locator("#model").select_option(model.get_attribute("value"))
        expect(page.locator("#card dd").first).to_have_text(f"{model.get_attribute('value')}_v1")
        assert page.locator("#card figure circle").count() >= 3
    # With all that it says of its use and limits, each under a name in words, and its figures by group.
    limits = page.locator("#card details").filter(has_text="What it is for")
    limits.locator("summary").click()
    expect(limits.locator("dd").first).to_contain_text("In development, demonstrations and tests")
    names = page.evaluate("fetch('/models/sleep_disturbance_risk').then((answer) => answer.json()).then((model) => Object.keys(model.source_attributes).filter((key) => !ATTRIBUTES[key]))")
    assert not names, f"without a name in words: {names}"
    expect(limits.locator("dt")).to_have_count(page.evaluate("Object.keys(ATTRIBUTES).length"))
    by_group = page.locator("#card details").filter(has=page.get_by_text("By group", exact=True))
    by_group.locator("summary").click()
    expect(by_group.locator("tbody tr").first).to_contain_text("mood state")
    accessible(page, "after use")
    fits(page, "after use")

    # In the other language no word of the first is left.
    page.get_by_role("button", name="Português").click()
    assert page.locator("html").get_attribute("lang") == "pt-BR"
    expect(page.locator("#what-if-title")).to_contain_text("E se o check-in de")
    expect(page.locator(CARD).first.locator(".why")).to_contain_text("o que mais indica")
    same = page.evaluate("Object.keys(WORDS.en).filter((key) => !WORDS['pt-BR'][key])")
    more = page.evaluate("Object.keys(WORDS['pt-BR']).filter((key) => !WORDS.en[key])")
    assert not same + more, (same, more)
    features = page.evaluate("fetch('/models/mood_state').then((answer) => answer.json()).then(({ features }) => features.filter((one) => name(one) === one.replaceAll('_', ' ') && !FIELDS[one]))")
    assert not features, f"without a name in words: {features}"

    # Its first Tab leads past everything to the predictions.
    page.goto(BASE)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert not wrong, wrong
    page.close()


def trouble(browser) -> None:
    """A service that is away, and a limit that is reached, are said."""
    page = browser.new_page(locale="en-GB")
    page.goto(BASE)
    answered(page)
    page.route("**/data/**", lambda route: route.abort())
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_have_text("The service could not be reached.")
    page.unroute("**/data/**")
    problem = {"title": "Too many requests", "detail": "Later.", "status": 429}
    page.route("**/data/**", lambda route: route.fulfill(status=429, content_type="application/problem+json", body=json.dumps(problem)))
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_have_text("Too many requests Later.")
    page.close()


def docs(browser) -> None:
    for scheme, size in [("light", DESK), ("dark", PHONE)]:
        what = f"docs-{scheme}-{size['width']}"
        page = browser.new_page(color_scheme=scheme, viewport=size)
        wrong = watch(page)
        page.goto(f"{BASE}/docs#getPredictions")
        described = page.evaluate("fetch('/openapi.json').then((answer) => answer.json())")
        operations = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
        expect(page.locator("#operations details .method")).to_have_count(len(operations))
        expect(page.locator("#getPredictions")).to_have_attribute("open", "")
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        accessible(page, what)
        fits(page, what)
        screenshot(page, what)
        # Every operation can be tried: the line that does it, and its answer.
        expect(page.locator("form.try")).to_have_count(len(operations))
        form = page.locator("#getPredictions form.try")
        form.get_by_label("lang (query)").select_option("pt-BR")
        expect(form.locator("pre").first).to_contain_text("curl '")
        expect(form.locator("pre").first).to_contain_text("lang=pt-BR")
        form.get_by_role("button", name="Send").click()
        expect(form.get_by_role("status")).to_contain_text("200 in")
        expect(form.locator("pre").last).to_contain_text("o que mais indica")
        posted = page.locator("#postPredictions form.try")
        posted.get_by_role("button", name="Send").click()
        expect(posted.get_by_role("status")).to_contain_text("200 in")
        assert not wrong, f"{what}: {wrong}"
        page.close()


def signed_in(browser, token: str) -> None:
    """A person with a token sees themselves, and nobody sees anything before."""
    page = browser.new_page(locale="en-GB", viewport=DESK)
    # The answer before signing in is a 401, which the browser tells its console.
    wrong = watch(page)
    page.goto(f"{BASE}#clinician")
    expect(page.locator("#card")).to_contain_text("Sign in")
    expect(page.locator("#people")).to_be_hidden()
    wrong.clear()
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Show").click()
    answered(page)
    expect(page.locator("#course")).to_be_visible()
    page.locator("#models > summary").click()
    expect(page.locator("#card figure circle").first).to_be_visible()
    accessible(page, "signed in")
    screenshot(page, "signed-in")
    kept = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie.length]")
    assert kept == [0, 0, 0], "the page keeps something"
    assert not wrong, wrong
    page.close()


def stale(browser, token: str) -> None:
    """A check-in of long ago is said to be one before anything else, and nothing is predicted from it."""
    for locale, name, ask, ago, too_long in [
        ("en-GB", "Access token", "Show", "days ago", "That is too long ago to say how things are now."),
        ("pt-BR", "Token de acesso", "Mostrar", "há ", "Já faz muito tempo: não dá para dizer como as coisas estão agora."),
    ]:
        page = browser.new_page(locale=locale, viewport=PHONE)
        page.goto(BASE)
        page.get_by_label(name).fill(token)
        page.get_by_role("button", name=ask).click()
        expect(page.locator("#latest .stale")).to_have_text(too_long)
        first = page.locator("main").inner_text().strip().splitlines()[0]
        assert ago in first and too_long in first, first
        expect(page.locator("#tips li").first).to_contain_text("check-in")
        page.locator('.views a[href="#clinician"]').click()
        expect(page.locator(CARD)).to_have_count(TYPES)
        assert "%" not in page.locator("#cards").inner_text(), page.locator("#cards").inner_text()
        expect(page.locator(CARD).first.locator(".facts")).to_contain_text("2026")
        # No slider makes a number of it either, and what the days were is not said as if it were so now.
        expect(page.locator("#what-if")).to_be_hidden()
        assert page.locator("#tips li").count() == 3
        accessible(page, f"stale-{locale}")
        screenshot(page, f"stale-{locale}")
        page.close()


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    print(f"Chromium {browser.version}")
    if TOKEN[1:] == ["stale"]:
        stale(browser, TOKEN[0])
    elif TOKEN:
        signed_in(browser, TOKEN[0])
    else:
        looks(browser)
        person(browser)
        use(browser)
        trouble(browser)
        docs(browser)
    browser.close()
