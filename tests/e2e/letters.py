"""Letters, and how they look stored, collected and delivered."""
from postern import split_trace, wait_messages

# As a file has it, and as a client sends it.
SHORT = b"Subject: one\nFrom: a@example.test\n\nHello.\n"
LETTER = (b"From: Sender <sender@example.test>\r\nTo: you@example.test\r\n"
          b"Subject: a letter\r\n\r\nHello.\r\n")


def as_sent(content):
    """A stored message as RETR must give it (lines that end in LF)."""
    text = content.replace(b"\n", b"\r\n")
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    if text and b"\r\n\r\n" not in b"\r\n" + text:
        text += b"\r\n"		# a header without its end gets one
    return text


def as_stored(content):
    return content.replace(b"\r\n", b"\n")


def delivered(user, count=1):
    """The contents delivered to a user, without what the server added."""
    return [split_trace(message, b"\n")[1]
            for message in wait_messages(user, count)]
