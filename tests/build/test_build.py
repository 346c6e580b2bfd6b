"""What holds of the tree and of each part alone: units, fuzz targets, lint."""
import glob
import os
import subprocess
import tempfile

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("POSTERN_BUILD", os.path.join(TOP, "build"))
# In a private host that is no disk: what is synced is synced at once.
PLACE = None if "POSTERN_NO_PRIVATE_HOST" in os.environ else "/run"
FUZZ_SECONDS = os.environ.get("POSTERN_FUZZ_SECONDS", "3")
UNITS = sorted(glob.glob(os.path.join(BUILD, "unit", "test_*")))
TARGETS = sorted(glob.glob(os.path.join(BUILD, "fuzz", "fuzz_*")))


def programs(folder):
    return [p for p in folder if os.access(p, os.X_OK) and os.path.isfile(p)]


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True,
                          errors="replace", **options)
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def test_there_are_units_and_targets():
    sources = glob.glob(os.path.join(TOP, "tests", "unit", "test_*.c"))
    assert len(programs(UNITS)) == len(sources) > 0
    sources = glob.glob(os.path.join(TOP, "tests", "fuzz", "fuzz_*.c"))
    assert len(programs(TARGETS)) == len(sources) > 0


@pytest.mark.parametrize("program", programs(UNITS), ids=os.path.basename)
def test_unit(program):
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        os.chmod(folder, 0o755)	# some tests go on as another user
        environment = dict(os.environ, TMPDIR=folder,
                           ASAN_OPTIONS="detect_leaks=0")
        run(program, env=environment, cwd=TOP, timeout=900)


@pytest.mark.parametrize("program", programs(TARGETS), ids=os.path.basename)
def test_fuzz_C13(program, tmp_path):
    name = os.path.basename(program)[len("fuzz_"):]
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    seeds = os.path.join(TOP, "tests", "fuzz", "seeds", name)
    assert os.listdir(seeds), "no seeds"
    run(program, "-max_total_time=" + FUZZ_SECONDS, "-max_len=16384",
        "-timeout=60", "-rss_limit_mb=2048", "-verbosity=0",
        "-artifact_prefix=%s/" % tmp_path, str(corpus), seeds, timeout=900)


def test_lint_C4_C17_C25():
    run(os.path.join(TOP, "tests", "lint"), BUILD)
