"""Where a machine lacks something: one sentence, the same for every command, or none of its lines at all."""

import importlib.util
import os
import signal
from pathlib import Path
from subprocess import PIPE, CompletedProcess

import pytest
from support import fakes
from support.hub_server import Fault
from support.hub_user import Place
from support.processes import PATIENCE, finish, start, terminal, wait_for
from support.skipping import skip_without

pytestmark = pytest.mark.usefixtures("cat_folder")

ONE = ("matte", "cat.png", "--trimap", "cat_trimap.png")
COMMANDS = ("matte a.png", "check a.png", "trimap a.png -o b.png", "review .", "weights list", "weights verify")
COMMANDS += ("weights import vits x.pth", "bench", "evaluate a.png b.png --trimap c.png", "train x.toml -o run")


def _program(*arguments: str, before: str = "", **settings: object) -> CompletedProcess[str]:
    code = f"import os, sys\n{before}\nfrom diffmatte_cli.commands.app import main\nmain()"
    return finish("-c", code, *arguments, **settings)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_gone(command: str, tmp_path: Path) -> None:
    before = f"os.mkdir({str(tmp_path / 'gone')!r}); os.chdir({str(tmp_path / 'gone')!r}); os.rmdir(os.getcwd())"
    done = _program(*command.split(), before=before)
    sentence = "error: the current folder does not exist any more: change to another one\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)
    for word in ("--version", "--help"):
        assert _program(word, before=before).returncode == 0


NOWHERE = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere']"


def test_no_folder_for_temporary_files_is_no_matter_where_none_is_needed() -> None:
    done = _program(*ONE, "--steps", "1", "--device", "cpu", before=NOWHERE)
    assert done.returncode == 0, done.stderr


def test_no_folder_for_temporary_files_ends_a_run() -> None:
    fakes.make_photos("abc")
    code = f"""
{NOWHERE}
import sys, tempfile
from support import fakes
from diffmatte_cli.batch import stages
sys.modules["diffmatte_cli.inference.matter"] = fakes.fake_matting(fakes.FakeMatter())
stages.write_images = lambda *_, **__: tempfile.mkdtemp()
"""
    done = _program("matte", "photos", "--trimap", "trimaps", "-o", "out", before=code)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: no folder takes temporary files: set TMPDIR to one that does"
    assert "cannot write" not in done.stderr


@pytest.mark.parametrize("home", ["~nosuchuser", "~nosuchuser/cache"])
def test_a_user_who_is_unknown(home: str) -> None:
    """Named by an option he is an error, named by a variable only where his folder is needed."""
    for command in (("weights", "list"), ("weights", "pull", "tiny"), ("weights", "remove", "vits"), ONE):
        done = finish("-m", "diffmatte_cli", *command, "--cache-dir", home)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: the folder {home} cannot be found (")
        assert done.stderr.endswith("): name another one (--cache-dir)\n")
    done = finish("-m", "diffmatte_cli", *ONE, "--steps", "1", env={"HF_HOME": home})
    assert done.returncode == 0, done.stderr
    assert not list(Path().glob("~*"))


def test_nobodys_home() -> None:
    """As for a number without a name in a container; what is bundled needs none."""
    before = (
        "import os.path; os.environ.pop('HOME', 0); os.environ.pop('HF_HOME', 0); import pwd; pwd.getpwuid = {}.pop"
    )
    done = _program("matte", *ONE[1:], "--steps", "1", before=before)
    assert done.returncode == 0, done.stderr
    done = _program("weights", "import", "tiny", "cat.png", before=before)
    assert done.stderr.startswith("error: the folder ~")
    assert not list(Path().glob("~*"))


NOISE = """
import ctypes, logging, warnings
from diffmatte_cli.commands import weights
def noisy(*_):
    warnings.warn("will create 8 workers")
    logging.getLogger("matplotlib").warning("made a temporary cache")
    os.write(2, b"TIFFReadDirectory: Warning, unknown field\\n")
    ctypes.CDLL(None).perror(b"libpng warning")
    weights.say("our own line")
weights.print_tables = noisy
"""


@pytest.mark.skipif(os.name == "nt", reason="writes as a POSIX library does")
@pytest.mark.parametrize("asked", [False, True])
def test_no_line_of_a_library_reaches_stderr_unasked(asked: bool) -> None:
    done = _program("weights", "list", *["--verbose"] * asked, before=NOISE)
    assert done.returncode == 0
    assert (done.stderr == "our own line\n") != asked
    assert all(word in done.stderr for word in ("TIFF", "libpng", "temporary cache", "8 workers")) == asked


def test_warnings_are_shown_to_whoever_asks_python_for_them() -> None:
    done = _program("weights", "list", before=NOISE, env={"PYTHONWARNINGS": "default"})
    assert "will create 8 workers" in done.stderr


@skip_without(importlib.util.find_spec("pymatting"), "needs the extra ml")
@pytest.mark.parametrize("has_temporary", [True, False])
def test_compiled_code_without_a_folder_to_keep_it_in(has_temporary: bool) -> None:
    fakes.make_photos("ab")
    nothing_else = "from numba.core import caching as c; c.CacheImpl._locator_classes = [c.UserProvidedCacheLocator]"
    code = f"""
from support import fakes
{nothing_else}
sys.modules["diffmatte_cli.inference.matter"] = fakes.fake_matting(fakes.FakeMatter())
{"" if has_temporary else NOWHERE}
"""
    arguments = ("matte", "photos", "--trimap", "trimaps", "-o", "out", "--cutout", "--foreground", "ml")
    done = _program(*arguments, before=code, env={"NUMBA_CACHE_DIR": "", "NUMBA_DISABLE_JIT": "0"})
    if has_temporary:
        assert done.returncode == 0, done.stderr
        assert len(os.listdir("out")) == 2
    else:
        assert done.returncode == 2
        assert "set NUMBA_CACHE_DIR or TMPDIR" in done.stderr
        assert done.stderr.count("error: ") == 1


DRIVER = """
from support import fakes
module = fakes.fake_matting(fakes.FakeMatter())
def load_file(*_):
    raise RuntimeError("CUDA error: no kernel image is available")
module.load_file = load_file
sys.modules["diffmatte_cli.inference.matter"] = module
"""


def test_a_model_that_cannot_be_loaded_ends_the_run() -> None:
    fakes.make_photos("abc")
    done = _program("matte", "photos", "--trimap", "trimaps", "-o", "out", before=DRIVER)
    assert done.returncode == 2
    assert done.stderr.count("no kernel image") == 1
    assert "the model tiny cannot be loaded" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("again", [False, True])
def test_a_signal_ends_a_run_that_pulls(again: bool, number: signal.Signals, place: Place) -> None:
    """The first once the store's silence is over, the second at once."""
    place.hub.fault = Fault(stall="body", cuts=[1000] * 99)
    patience = str(PATIENCE if again else 1)
    run = place.start(*ONE, "--model", "ours", env={"HF_HUB_DOWNLOAD_TIMEOUT": patience})
    with run as process:
        wait_for(lambda: place.hub.asked("GET"), process)
        process.send_signal(number)
        assert process.stderr is not None
        while "stopping" not in (line := process.stderr.readline()):
            assert line
        if again:
            process.send_signal(number)
        _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert "Traceback" not in text
    assert again or place.left() == []


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_any_command(number: signal.Signals) -> None:
    """Also one that tidies up for ever."""
    stuck = """
import time
from diffmatte_cli.commands import weights
def never(*_):
    try:
        print("begun", flush=True)
        time.sleep(999)
    finally:
        print("tidying", flush=True)
        time.sleep(999)
weights.print_tables = never
"""
    code = f"import os, sys\n{stuck}\nfrom diffmatte_cli.commands.app import main\nmain()"
    with start("-c", code, "weights", "list", stdout=PIPE, stderr=PIPE) as process:
        assert process.stdout is not None
        for word in ("begun", "tidying"):
            assert process.stdout.readline() == f"{word}\n"
            process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number


def test_a_bar_is_shown_on_a_terminal_all_the_same() -> None:
    with terminal() as (stderr, shown), start(*fakes.PROGRAM, "0", *ONE, stderr=stderr) as process:
        assert b"matting" in shown()
        assert process.wait(PATIENCE) == 0
