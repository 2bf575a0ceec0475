"""The work itself: what is asked of each of the four, for how long, and what it took."""

import random
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

from bench.browser import Browser, WrongPage
from bench.systems import HERE, PASSWORD, System

Pair = tuple[float, float]
Pairs = tuple[list[float], list[float]]
fresh = count()  #: each deed takes a customer nobody had before, so that no cap and no cache comes into play


def customer() -> str:
    return f"person{next(fresh)}@schule.example"


def sending(system: System, page: str, path: str = "") -> Callable[..., str]:
    """Open a page; return what sends its form with what is typed, again and again if wanted: see Browser.send()."""
    browser, form = Browser(system.port), system.pages[page]
    opened = browser.open(form, path)
    return lambda *typed: browser.send(form, opened, *typed)


def logging_in(system: System) -> Callable[[], str]:
    send = sending(system, "login")
    return lambda: send(customer(), PASSWORD)


def redeeming(system: System, link: str) -> Callable[[], str]:
    send = sending(system, "redeem", link)
    return lambda: send(*["tafelkreide unterm dach"] * len(system.pages["redeem"]["fields"]))


def pages(system: System, page: str, cookies: str, seconds: int) -> Pair:
    """Let wrk fetch a page for a while; return milliseconds of processor a page, and pages a second."""
    facts, before = system.pages[page], system.cpu()
    wrk = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", f"{HERE}/check.lua", "-H", f"Cookie: {cookies}"]
    asked = [*wrk, f"http://127.0.0.1:{system.port}{facts['path']}", "--", facts["says"]]
    said = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    right, wrong, took = map(float, said.split()[-3:])
    if wrong:
        raise WrongPage(f"{system.name}: {wrong} times at {facts['path']}")
    return (system.cpu() - before) / right * 1000, right / took


def at_once(system: System, deeds: list[Callable[[], str]]) -> Pair:
    """Do all deeds, four at a time; return milliseconds of processor a deed, and deeds a second."""
    cpu, began = system.cpu(), time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(deed) for deed in deeds]:
            done.result()
    return (system.cpu() - cpu) / len(deeds) * 1000, len(deeds) / (time.perf_counter() - began)


def timed(deed: Callable[..., object], *of: object) -> float:
    began = time.perf_counter()
    deed(*of)
    return (time.perf_counter() - began) * 1000


def known_and_unknown(system: System, pairs: int) -> Pairs:
    """Ask for known and unknown addresses in an order left to chance; return the milliseconds of each kind."""
    send, times = sending(system, "forgot"), (list[float](), list[float]())
    for known in random.sample([True, False] * pairs, 2 * pairs):
        times[not known].append(timed(send, customer() if known else customer().replace("person", "nobody")))
    return times


def login_pages(system: System, seconds: float, deed: Callable[[], object], people: int, again: bool) -> list[float]:
    """Open the login page again and again while people do something, once or again and again; return milliseconds."""
    over, times = Event(), list[float]()

    def one() -> None:
        deed()
        while again and not over.is_set():
            deed()

    with ThreadPoolExecutor(people + 1) as pool:
        doing = [pool.submit(one) for _ in range(people)]
        time.sleep(seconds / 2 if people else 0)  # it takes a moment until all are at it
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or not times:
            times.append(timed(Browser(system.port).open, system.pages["login"]))
            time.sleep(0.01)
        over.set()
        for each in doing:
            each.result()
    return times
