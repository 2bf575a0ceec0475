"""python -P -m kmzportal.server: gunicorn with its own arguments, but not with modules of the working directory."""

from gunicorn.app.wsgiapp import WSGIApplication


class Gunicorn(WSGIApplication):  # type: ignore[misc]
    def chdir(self) -> None:
        """Stay here. gunicorn would put this folder first on sys.path, and import a json.py that lies in it."""


Gunicorn("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()
