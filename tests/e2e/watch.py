"""Watches all pages of one browser: what must be true of each of them, whatever the test is about."""

from playwright.sync_api import BrowserContext, Page, Request

STORED = "Object.entries(localStorage).concat(Object.entries(sessionStorage)).map(String)"


class Watch:
    def __init__(self, context: BrowserContext, site: str, elsewhere: str = "-"):
        self.context = context
        self.origins = (f"{site}/", f"{elsewhere}/")
        self.faults: list[str] = []
        self.sent: list[str] = []  #: the path of every POST
        context.on("request", self._note)
        context.on("console", lambda message: self._blame("Content Security Policy" in message.text, message.text))
        context.on("weberror", lambda error: self._blame(True, f"{error.page and error.page.url}: {error.error}"))

    def _note(self, request: Request) -> None:
        self._blame(not request.url.startswith(self.origins), f"asks elsewhere: {request.url}")
        if request.method == "POST":
            self.sent.append(request.url.removeprefix(self.origins[0].rstrip("/")))

    def _blame(self, guilty: bool, words: str) -> None:
        if guilty:
            self.faults.append(words)

    def check(self) -> None:
        """Fail if anything was seen that must not be: see standards R130, R131, R133, R252, R253."""
        for page in self.context.pages:
            self._look_into(page)
        assert not self.faults, self.faults
        cookies = [cookie for cookie in self.context.cookies() if cookie.pop("value")]
        assert len(cookies) <= 1, cookies
        for cookie in cookies:
            name = "__Host-kmzportal" if cookie["secure"] else "kmzportal"
            kind = cookie["name"], cookie["httpOnly"], cookie["sameSite"], cookie["path"], cookie["expires"]
            assert kind == (name, True, "Lax", "/", -1)

    def _look_into(self, page: Page) -> None:
        if page.url.startswith(self.origins):
            self._blame(bool(stored := page.evaluate(STORED)), f"stored in the browser: {stored}")
