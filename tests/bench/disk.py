"""Homes and spools on a real file system instead of one in memory."""
import contextlib
import os
import shutil
import tempfile

import postern
import private


@contextlib.contextmanager
def on(directory):
    """In the private host, before servers.prepare(); None: in memory."""
    if directory is None:
        yield
        return
    top = tempfile.mkdtemp(prefix="postern-bench-", dir=directory)
    os.chmod(top, 0o755)
    try:
        for name in (private.HOMES, postern.BASE, private.ROOT + "/postfix",
                     private.ROOT + "/opensmtpd"):
            place = top + "/" + os.path.basename(name)
            os.mkdir(place, 0o755)
            os.makedirs(name, 0o755, exist_ok=True)
            private.mount(place, name, None, private.MS_BIND)
        yield
    finally:
        shutil.rmtree(top, ignore_errors=True)
