"""A real mail server: python -m bench.post_office PORT FOLDER, where its `delay` stands and its `letters` go."""

import asyncio
import sys
import threading
from email import message_from_bytes
from email.policy import default
from pathlib import Path

from aiosmtpd.controller import Controller

FOLDER = Path(sys.argv[-1])


class Clerk:
    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  the name is aiosmtpd's
        await asyncio.sleep(float((FOLDER / "delay").read_text() or 0))
        letter = message_from_bytes(envelope.content, policy=default).get_body(("plain",))
        with (FOLDER / "letters").open("a", encoding="utf-8") as letters:
            letters.write(letter.get_content())
        return "250 OK"


if __name__ == "__main__":
    Controller(Clerk(), hostname="127.0.0.1", port=int(sys.argv[1])).start()
    threading.Event().wait()
