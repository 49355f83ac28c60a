"""A real mail server for tests: aiosmtpd, which prints each mail that it takes as a line of JSON. Ends with its standard input.

Mail to never@… is refused for good (550), mail to later@… once for the moment (451).
"""

import json
import sys

from aiosmtpd.controller import Controller


class Mailbox:
    def __init__(self):
        self.seen = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never@"):
            return "550 no such mailbox"
        if address.startswith("later@") and address not in self.seen:
            self.seen.add(address)
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, session, envelope):
        mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "data": envelope.content.decode()}
        print(json.dumps(mail), flush=True)
        return "250 taken"


controller = Controller(Mailbox(), hostname="127.0.0.1", port=int(sys.argv[1]))
controller.start()
print(json.dumps("ready"), flush=True)
sys.stdin.read()
controller.stop()
