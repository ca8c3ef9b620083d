"""What the shell gets back: one line on stderr and a stable exit code for each kind of failure."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import mrcfile
import numpy as np
import pytest
from cli_files import run, write_siren

from nmap import errors
from nmap_cli import main
from nmap_cli.interrupt import Terminated

NETWORK = ("--omega", "10", "--shape", "8", "--voxel-size", "2")


@pytest.fixture
def neural(tmp_path: Path) -> Path:
    weights = tmp_path / "w.npz"
    write_siren(weights)
    out = tmp_path / "a.nmap"
    assert run("import-weights", weights, *NETWORK, "-o", out).code == 0
    return out


def one_line(text: str) -> str:
    assert text.startswith("nmap: error: ")
    assert text.count("\n") == 1 and text.endswith("\n")
    return text.removeprefix("nmap: error: ").rstrip("\n")


def test_success_is_0_and_says_nothing_on_stderr(neural: Path) -> None:
    ran = run("inspect", neural)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out


def test_an_unknown_command_is_2(tmp_path: Path) -> None:
    ran = run("frobnicate")
    assert ran.code == 2
    assert "frobnicate" in one_line(ran.err)


def test_a_missing_option_is_2_and_names_the_help(neural: Path) -> None:
    ran = run("decode", neural)
    assert ran.code == 2
    assert "--output" in one_line(ran.err) and "nmap decode --help" in ran.err


def test_an_output_that_exists_is_2_and_stays_as_it_was(neural: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.mrc"
    taken.write_bytes(b"mine")
    ran = run("decode", neural, "-o", taken)
    assert ran.code == 2
    assert "--overwrite" in one_line(ran.err)
    assert taken.read_bytes() == b"mine"
    assert run("decode", neural, "-o", taken, "--overwrite").code == 0
    assert taken.read_bytes() != b"mine"


def test_an_output_that_is_the_input_is_2_even_with_overwrite(neural: Path) -> None:
    before = neural.read_bytes()
    assert run("strip", neural, "-o", neural, "--overwrite").code == 2
    assert neural.read_bytes() == before


def test_an_output_in_no_folder_is_2(neural: Path, tmp_path: Path) -> None:
    ran = run("decode", neural, "-o", tmp_path / "none" / "a.mrc")
    assert ran.code == 2
    assert "folder" in one_line(ran.err)


@pytest.mark.parametrize("command", ["inspect", "strip", "decode", "repair"])
def test_a_missing_input_is_3(command: str, tmp_path: Path) -> None:
    tail = () if command == "inspect" else ("-o", tmp_path / "out")
    ran = run(command, tmp_path / "none.nmap", *tail)
    assert ran.code == 3
    assert "none.nmap" in one_line(ran.err)


@pytest.mark.parametrize("data", [b"", b"no such thing", bytes(4096)])
def test_a_file_that_is_no_nmap_is_3(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.nmap"
    path.write_bytes(data)
    ran = run("inspect", path)
    assert ran.code == 3
    assert "bad.nmap" in one_line(ran.err)


def test_a_folder_as_input_is_3(tmp_path: Path) -> None:
    assert run("inspect", tmp_path).code == 3


def failing(error: BaseException) -> click.Group:
    group = main._Commands(name="nmap")

    @click.command("inspect")
    def command() -> None:
        raise error

    group.get_command = lambda ctx, name: command  # type: ignore[method-assign]
    return group


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.QualityError("short"), 1),
        (errors.OptionError("bad option"), 2),
        (errors.GridError("grids differ"), 2),
        (errors.OutputExistsError("taken"), 2),
        (errors.MapError("no map"), 3),
        (errors.FormatError("no nmap"), 3),
        (errors.LimitError("too large"), 4),
        (errors.MissingPackageError("install it"), 4),
        (OSError(28, "No space left on device", "out.mrc"), 4),
        (MemoryError(), 4),
        (KeyError("a fault"), 4),
        (KeyboardInterrupt(), 130),
        (Terminated(signal.SIGTERM), 143),
        (Terminated(signal.SIGHUP), 129),
    ],
)
def test_each_failure_has_its_exit_code_and_one_line(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        failing(error).main(["inspect"])
    assert left.value.code == code
    text = capsys.readouterr().err
    assert "Traceback" not in text
    one_line(text.lstrip("\n"))


def test_a_message_with_line_breaks_becomes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        failing(errors.MapError("a\nforged: line")).main(["inspect"])
    assert one_line(capsys.readouterr().err) == "a forged: line"


def test_a_message_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        failing(errors.MapError("a\x1b[2Jb\x07")).main(["inspect"])
    assert one_line(capsys.readouterr().err) == "a?[2Jb?"


def test_verbose_shows_where_a_fault_happened(capsys: pytest.CaptureFixture[str]) -> None:
    group = failing(ZeroDivisionError("x"))
    group.get_command(None, "").params.append(click.Option(["--verbose"], is_flag=True, expose_value=False))  # type: ignore[arg-type, union-attr]
    with pytest.raises(SystemExit) as left:
        group.main(["inspect", "--verbose"])
    assert left.value.code == 4
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("program", [["nmap"], ["nmap-em"], ["python", "-m", "nmap"]])
def test_all_three_names_are_the_same_program(program: list[str]) -> None:
    if program[0] == "python":
        words = [sys.executable, *program[1:]]
    else:
        words = [str(Path(sys.executable).with_name(program[0]))]
    done = subprocess.run([*words, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"nmap {__import__('nmap').__version__}\n"


def test_help_lists_every_command_and_the_exit_codes() -> None:
    ran = run("--help")
    assert ran.code == 0
    for name in ("encode", "decode", "inspect", "validate", "import-weights", "strip", "repair"):
        assert f"  {name} " in ran.out
    assert "130, 143 or 129 interrupted" in ran.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_end_leaves_no_half_written_file(
    neural: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    words = [sys.executable, "-m", "nmap", "decode", neural, "-o", folder / "large.mrc", "--shape", "600"]
    # Whatever ran the tests may ignore the signal (nohup does), and a child would take that over.
    before = signal.signal(number, signal.SIG_DFL)
    process = subprocess.Popen([str(w) for w in words], stderr=subprocess.PIPE, text=True)
    signal.signal(number, before)
    begun = time.monotonic()
    while not list(folder.iterdir()) and process.poll() is None and time.monotonic() - begun < 60:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be told to"
    process.send_signal(number)
    assert number.name in one_line(process.communicate(timeout=60)[1])
    assert process.returncode == code
    assert list(folder.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored(neural: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run("inspect", neural).code == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_input_that_is_refused_is_named_by_its_path(neural: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mrc"
    bad.write_bytes(b"no map")
    for words in (("encode", bad, tmp_path / "o.nmap"), ("fsc", bad, bad), ("validate", neural, bad)):
        assert one_line(run(*words).err).startswith(f"{bad}: ")
    assert one_line(run("encode", "/dev/zero", tmp_path / "o.nmap").err).startswith("/dev/zero: ")


def test_a_full_disk_is_told_with_the_output_that_it_cannot_hold(neural: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        ran = run("decode", neural, "-o", tmp_path / "a.mrc", "--shape", 32)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ran.code == 4
    assert one_line(ran.err).startswith(f"{tmp_path / 'a.mrc'}: ")
    assert not (tmp_path / "a.mrc").exists()


def test_a_network_without_finite_values_is_refused_by_name_and_without_warnings_of_numpy(
    tmp_path: Path,
) -> None:
    layers = [("0.linear", 3, 8), ("1.linear", 8, 8), ("2", 8, 1)]
    arrays = {f"net.{n}.weight": np.full((outs, ins), 3e38, np.float32) for n, ins, outs in layers}
    arrays |= {f"net.{n}.bias": np.full(outs, 3e38, np.float32) for n, _, outs in layers}
    np.savez(tmp_path / "w.npz", **arrays)
    file = tmp_path / "odd.nmap"
    assert run("import-weights", tmp_path / "w.npz", *NETWORK, "-o", file).code == 0
    words = [sys.executable, "-m", "nmap", "decode", str(file), "-o", str(tmp_path / "o.mrc")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert one_line(done.stderr).startswith(f"{file}: ") and "NaN" in done.stderr


def test_a_name_cannot_write_to_the_terminal(neural: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a\x1b[31m\nforged"
    for words in (("strip", neural, "-o", odd), ("decode", neural, "-o", odd, "--overwrite")):
        ran = run(*words)
        assert ran.code == 0
        assert "\x1b" not in ran.out and ran.out.count("\n") == 1 and "a?[31m forged" in ran.out


def test_encode_prints_the_name_of_its_output_safely(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(12, 12, 12)).astype(np.float32)
    with mrcfile.new(tmp_path / "m.mrc", values) as mrc:
        mrc.voxel_size = 2
    words = ("--arch", "radial-basis", "--resolution", 8, "--mask", "none")
    ran = run("encode", tmp_path / "m.mrc", tmp_path / "a\x1b[31m", *words)
    assert ran.code == 0, ran.err
    assert "\x1b" not in ran.out and "a?[31m" in ran.out.splitlines()[0]


def test_a_dash_is_no_output(neural: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("decode", neural, "-o", "-")
    assert ran.code == 2
    assert "stdout" in one_line(ran.err) and not Path("-").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--min-fsc", "nan"),
        ("--min-fsc", "2"),
        ("--min-correlation", "-1.5"),
        ("--min-psnr", "nan"),
        ("--max-rmse", "inf"),
        ("--max-bytes", "0"),
        ("--resolution", "inf"),
    ],
)
def test_a_limit_that_means_nothing_is_a_usage_error(neural: Path, option: str, value: str) -> None:
    ran = run("validate", neural, neural, option, value)
    assert ran.code == 2
    assert one_line(ran.err).startswith(f"{option} {value}: wanted a finite number")


def test_overwrite_replaces_the_file_that_a_link_leads_to_and_the_help_says_so(
    neural: Path, tmp_path: Path
) -> None:
    target, link = tmp_path / "target.nmap", tmp_path / "link.nmap"
    target.write_bytes(b"old")
    link.symlink_to(target)
    assert run("strip", neural, "-o", link, "--overwrite").code == 0
    assert link.is_symlink() and target.read_bytes() != b"old"
    assert "symbolic link" in run("strip", "--help").out


def test_a_signal_that_a_package_hides_while_it_is_loaded_is_named_all_the_same() -> None:
    from nmap_cli.interrupt import wish_to_end

    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise ImportError("initialization failed") from interrupt
    except ImportError as error:
        assert isinstance(wish_to_end(error), KeyboardInterrupt)
    assert isinstance(wish_to_end(ImportError("else")), ImportError)
