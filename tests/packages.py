"""Debian packages that tests need the files of, without installing them.

Downloaded and unpacked once, below the build directory, before the private
host cuts us off from the network.
"""
import glob
import os
import shutil
import subprocess


def unpack(build, *names):
    """{name: directory or None} for each package."""
    top = os.path.join(build, "packages")
    found = {}
    for name in names:
        directory = os.path.join(top, name)
        if not os.path.isdir(directory):
            _fetch(top, name, directory)
        found[name] = directory if os.path.isdir(directory) else None
    return found


def _fetch(top, name, directory):
    work = directory + ".part"
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    try:
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root",
                        "download", name], cwd=work, check=True, timeout=300,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        package, = glob.glob(work + "/*.deb")
        subprocess.run(["dpkg-deb", "-x", package, work + "/root"], check=True)
        os.rename(work + "/root", directory)
    except (OSError, subprocess.SubprocessError, ValueError):
        pass
    finally:
        shutil.rmtree(work, ignore_errors=True)
