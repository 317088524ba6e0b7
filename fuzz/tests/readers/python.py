"""The readers of Python's email package, asked about one header section a line.

A line of input is a header section in hexadecimal; the line of output has every address that any reader
sees in a field of authors, in hexadecimal with commas between. Nothing is judged here.
"""
import re
import sys
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.utils import getaddresses, parseaddr

NAMES = ("From", "Sender", "Resent-From", "Resent-Sender")
LOWER_NAMES = {name.lower() for name in NAMES}
# What the package itself trips over tells nothing about an address.
TROUBLE = (MessageError, ValueError, LookupError, IndexError, AttributeError, TypeError, RecursionError)


def decoded(text):
    """The text with its encoded words decoded. decode_header writes letters beyond Latin-1 as escapes."""
    text = str(make_header(decode_header(text)))
    return re.sub(r"\\u([0-9a-f]{4})", lambda escape: chr(int(escape[1], 16)), text)


def big_endian(text):
    """The text with its words of UTF-16 and its older names as they are read where there is no byte order mark."""
    return re.sub(r"=\?(utf-?16|ucs-?2|unicode)(?=[?*])", "=?utf-16be", text, flags=re.IGNORECASE)


def of_today(section):
    """policy.default, which parses a field when it is looked at."""
    message = message_from_bytes(section, policy=policy.default)
    for name in NAMES:
        for number in range(len(message.get_all(name, []))):
            try:
                field = message.get_all(name)[number]
                for address in field.addresses:
                    yield address.addr_spec
            except TROUBLE:
                pass


def of_before(section):
    """compat32 with email.utils: the text as it was written, on one line, and after decoding."""
    message = message_from_bytes(section)
    for name, raw in message.raw_items():
        if name.lower() not in LOWER_NAMES:
            continue
        # As a Header, a field beyond ASCII has lost what its octets were; as raw text it has not.
        written = str(raw).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
        texts = [written, written.replace("\r\n", ""), " ".join(written.splitlines())]
        for text in texts + [big_endian(text) for text in texts]:
            try:
                texts.append(decoded(text))
            except TROUBLE:
                pass
        for text in texts:
            try:
                for _, address in getaddresses([text]):
                    yield address
                yield parseaddr(text)[1]
            except TROUBLE:
                pass


def seen(section):
    for reader in (of_today, of_before):
        try:
            yield from reader(section)
        except TROUBLE:
            pass


for line in sys.stdin:
    found = {address for address in seen(bytes.fromhex(line) + b"\r\n") if address and "@" in address}
    print(",".join(sorted(address.encode("utf-8", "surrogateescape").hex() for address in found)), flush=False)
