"""Where a request comes from: the address block it is counted for, and the browser it names."""

import ipaddress
import re

from flask import request

WITH_PORT = re.compile(r"^(\[.+\]|[\d.]+):\d+$")  # some proxies hand the port on


def source() -> str | None:
    """Return the address block a request comes from: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(WITH_PORT.sub(r"\1", request.remote_addr or "").strip("[]"))
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def device() -> str:
    """Return a coarse name of the browser, such as "Firefox unter Windows"."""
    agent = request.user_agent.string
    browsers = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
    systems = {"Android": "Android", "iPhone": "iOS", "iPad": "iOS", "Windows": "Windows", "Mac OS": "macOS"}
    browser = next((name for sign, name in browsers.items() if sign in agent), "Browser")
    system = next((name for sign, name in {**systems, "Linux": "Linux"}.items() if sign in agent), None)
    return f"{browser} unter {system}" if system else browser
