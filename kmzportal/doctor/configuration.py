"""Settings, keys and the office's own texts."""

from kmzportal import settings
from kmzportal.doctor.check import Checks, Finding, Skip, fail, listed, warn
from kmzportal.services import office_pages
from kmzportal.settings import BY_NAME, KEYS, MIN_KEY_LENGTH

CALW = "kmz-calw"  #: in the address of the office whose data are the defaults


class Configuration(Checks):
    def settings_faults(self) -> Finding | None:
        return listed(fail, [*self.faults, *settings.faults(self.config)])

    def settings_unknown(self) -> Finding | None:
        return listed(warn, self.warnings)

    def keys_present(self) -> Finding | None:
        short = [name for name in KEYS if len(self.config[name]) < MIN_KEY_LENGTH]
        return fail(found=", ".join(short), needed=MIN_KEY_LENGTH) if short else None

    def fallbacks(self) -> Finding | None:
        older = [name for name in BY_NAME if name.endswith("_KEY_FALLBACKS") and self.config[name]]
        return warn(found=", ".join(older), session=self.config["SESSION_LIFETIME"] // 3600) if older else None

    def office(self) -> Finding | None:
        if CALW in (self.url.hostname or ""):
            raise Skip
        names = [name for name in BY_NAME if name.startswith("OFFICE_")]
        same = [name for name in names if BY_NAME[name].default and self.config[name] == BY_NAME[name].default]
        return warn(found=", ".join(same)) if same else None

    def pages(self) -> Finding | None:
        return listed(warn, office_pages.lacking(self.instance, self.config, self.now.date()))
