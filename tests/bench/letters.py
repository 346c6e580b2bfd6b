"""What is sent."""


def letter(size):
    head = (b"From: Sender <sender@example.test>\r\nTo: you@example.test\r\n"
            b"Subject: a letter of some length\r\n"
            b"Message-ID: <1@example.test>\r\n"
            b"Date: Mon, 01 Jan 2024 00:00:00 +0000\r\n\r\n")
    line = b"The quick brown fox jumps over the lazy dog, again and again.\r\n"
    return head + line * ((size - len(head)) // len(line)) + b".\r\n"
