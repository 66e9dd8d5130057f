"""The program as a real process: start-up, streams, signals, exit codes."""

import os
import re
import signal
from pathlib import Path
from subprocess import PIPE

import pytest
from support import fakes
from support.processes import PATIENCE, finish, read_rest, read_until, start, terminal, wait_for

import diffmatte_cli

pytestmark = pytest.mark.usefixtures("cat_folder")


_IMPORTS = """
import sys
from diffmatte_cli.commands.app import main
try:
    main()
finally:
    print(sorted({"torch", "numpy", "PIL", "huggingface_hub.hf_api", "tqdm"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["--version"], ["matte", "--help"], ["evaluate", "--help"], ["matte", "none.png"], []),
        *(["weights"], ["weights", "list", "--json"], ["weights", "--help"], ["weights", "pull", "--help"]),
    ],
)
def test_help_version_and_usage_errors_import_nothing_heavy(arguments: list[str]) -> None:
    done = finish("-c", _IMPORTS, *arguments)
    assert done.stderr.splitlines()[-1] == "[]"
    assert done.returncode == (2 if "none.png" in arguments else 0)


def test_version_and_module_entry() -> None:
    done = finish("-m", "diffmatte_cli", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"diffmatte {diffmatte_cli.__version__}\n", "")


def test_help_names_every_command() -> None:
    done = finish("-m", "diffmatte_cli", "--help")
    for name in ("matte", "evaluate", "train", "weights"):
        assert name in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["matte", "none.png"], ["matte", "--steps", "x", "y"], ["nonsense"], ["weights", "nonsense"], ["weights", "path"]],
)
def test_usage_errors_of_the_process(arguments: list[str]) -> None:
    done = finish("-m", "diffmatte_cli", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_colour_follows_no_color() -> None:
    forced = finish("-m", "diffmatte_cli", "matte", "none.png", env={"FORCE_COLOR": "1", "TERM": "xterm"})
    assert re.search(r"\x1b\[[\d;]*3[0-7]m", forced.stderr)
    plain = finish(
        "-m", "diffmatte_cli", "matte", "none.png", env={"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": "1"}
    )
    assert not re.search(r"\x1b\[[\d;]*3[0-7]m", plain.stderr)


def test_no_progress_bar_without_a_terminal() -> None:
    done = finish(*fakes.PROGRAM, "0", "matte", "cat.png", "--trimap", "cat_trimap.png")
    assert done.returncode == 0, done.stderr
    assert "matting" not in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.skipif(os.name == "nt", reason="closes a stream as a POSIX shell does")
def test_closed_streams_are_no_reason_to_fail() -> None:
    done = finish(
        *(*fakes.PROGRAM, "0", "matte", "cat.png", "--trimap", "cat_trimap.png"),
        preexec_fn=lambda: (os.close(1), os.close(2)),
    )
    assert done.returncode == 0
    assert Path("cat_alpha.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")
@pytest.mark.parametrize(("arguments", "bar"), [([], True), (["--quiet"], False)])
def test_a_progress_bar_on_a_terminal(arguments: list[str], bar: bool) -> None:
    command_line = ["0", "matte", "cat.png", "--trimap", "cat_trimap.png", *arguments]
    with terminal() as (stderr, shown), start(*fakes.PROGRAM, *command_line, stderr=stderr) as process:
        content = shown()
        assert (b"encoding" in content and b"matting" in content) == bar
        assert process.wait(PATIENCE) == 0


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(number: signal.Signals) -> None:
    command_line = ["@1", "matte", "cat.png", "--trimap", "cat_trimap.png", "--dump-steps", "steps"]
    with start(*fakes.PROGRAM, *command_line, stderr=PIPE) as process:
        wait_for(lambda: list(Path().glob("steps/.*/step_*.png")), process)
        process.send_signal(number)
        text = read_until("stopping", process)
        Path(fakes.GO).touch()
        text += read_rest(process)
    assert process.returncode == 128 + number
    assert (text.splitlines()[-1] == "interrupted") == (number == signal.SIGINT)
    assert "Traceback" not in text
    Path(fakes.GO).unlink()
    assert sorted(os.listdir()) == ["cat.png", "cat_trimap.png"]


def test_nobody_reading_stderr_does_not_stop_the_work() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = finish(*fakes.PROGRAM, "0", "matte", "cat.png", "--trimap", "cat_trimap.png", stderr=writing)
    os.close(writing)
    assert done.returncode == 0
    assert Path("cat_alpha.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_room_for_a_listing() -> None:
    with Path("/dev/full").open("w") as full:
        done = finish("-m", "diffmatte_cli", "weights", "list", stdout=full)
    assert (done.returncode, done.stderr) == (1, "error: no space left for standard output: redirect it elsewhere\n")
