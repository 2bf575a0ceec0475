"""Settings, keys and the office's own texts."""

from kmzportal import settings
from kmzportal.doctor.check import Finding, Portal, Skip, check, fail, listed, warn
from kmzportal.services import office_pages
from kmzportal.settings import BY_NAME, KEYS, MIN_KEY_LENGTH

CALW = "kmz-calw"  #: in the address of the office whose data are the defaults


@check
def settings_faults(portal: Portal) -> Finding | None:
    return listed(fail, [*portal.faults, *settings.faults(portal.config)])


@check
def settings_unknown(portal: Portal) -> Finding | None:
    return listed(warn, portal.warnings)


@check
def keys_present(portal: Portal) -> Finding | None:
    short = [name for name in KEYS if len(portal.config[name]) < MIN_KEY_LENGTH]
    return fail(found=", ".join(short), needed=MIN_KEY_LENGTH) if short else None


@check
def fallbacks(portal: Portal) -> Finding | None:
    older = [name for name in BY_NAME if name.endswith("_KEY_FALLBACKS") and portal.config[name]]
    return warn(found=", ".join(older), session=portal.config["SESSION_LIFETIME"] // 3600) if older else None


@check
def office(portal: Portal) -> Finding | None:
    if CALW in (portal.url.hostname or ""):
        raise Skip
    names = [name for name in BY_NAME if name.startswith("OFFICE_")]
    same = [name for name in names if BY_NAME[name].default and portal.config[name] == BY_NAME[name].default]
    return warn(found=", ".join(same)) if same else None


@check
def pages(portal: Portal) -> Finding | None:
    return listed(warn, office_pages.lacking(portal.instance, portal.config, portal.now.date()))
