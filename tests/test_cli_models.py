"""`napari-sam models download | verify | list | show`, as real processes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location(
    "weights_server", Path(__file__).parent / "models" / "weights_server.py"
)
weights_server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(weights_server)

DATA = bytes(range(256)) * 8192  # 2 MiB
NAME, FILE = "sam2.1-tiny", "sam2.1_hiera_tiny.pt"
COMMAND = [sys.executable, "-m", "napari_sam.cli", "models"]


@pytest.fixture
def site():
    with weights_server.serving(DATA) as site:
        yield site


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "models"


@pytest.fixture
def environment(site, tmp_path):
    return os.environ | {
        "NAPARI_SAM_HOME": str(tmp_path / "home"),
        "NAPARI_SAM_MIRROR": site.url,
        "no_proxy": "127.0.0.1",
    }


@pytest.fixture
def run(environment):
    def run(*arguments, code=0, **extra):
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            **extra,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def test_without_a_terminal_it_refuses_and_says_so(run, site, folder):
    done = run("download", NAME, code=2)
    assert "--yes" in done.stderr and done.stderr.count("\n") == 1
    assert site.asked == []
    assert not (folder / FILE).exists()


def test_it_is_downloaded_listed_shown_and_verified(run, site, folder):
    assert "remembered, not verified" in run("download", NAME, "--yes").stdout
    assert (folder / FILE).read_bytes() == DATA
    assert [path for path, _ in site.asked] == [f"/{FILE}"]
    line = next(x for x in run("list").stdout.splitlines() if x.startswith(NAME))
    assert "on this computer" in line
    shown = run("show", NAME).stdout
    assert str(folder / FILE) in shown and "Apache-2.0" in shown
    said = run("verify").stdout
    assert f"{NAME}: {folder / FILE} is remembered, not verified" in said
    assert "pocket" in said and "intact" in said
    (folder / FILE).write_bytes(b"changed")
    done = run("verify", NAME, code=2)
    assert "wrong" in done.stderr and str(folder / FILE) in done.stderr
    assert "not on this computer" in run("verify", "sam-vit-b", code=2).stderr


def test_what_is_not_the_publishers_is_refused_and_the_rest_goes_on(run, folder):
    done = run("download", "sam-vit-b", NAME, "--yes", code=2)
    assert "what came is not SAM, base (ViT-B)" in done.stderr
    assert "sha256:01ec64" in done.stderr
    assert not list(folder.glob("sam_vit_b*"))
    assert (folder / FILE).is_file()


@pytest.mark.parametrize("command", ["download", "verify", "show"])
def test_an_unknown_name_is_named(run, command):
    done = run(command, "giant", code=2)
    assert "giant" in done.stderr and NAME in done.stderr


def test_what_ships_needs_no_download(run):
    assert "ships" in run("download", "pocket", code=2).stderr


def test_one_that_was_killed_goes_on(run, site, folder, environment):
    site.hold_after = len(DATA) // 2
    with subprocess.Popen(
        [*COMMAND, "download", NAME, "--yes"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as killed:
        assert site.held.wait(60)
        part = folder / f"{FILE}.part"
        while not (part.is_file() and part.stat().st_size):
            assert killed.poll() is None
        killed.kill()
    assert not (folder / FILE).exists()
    site.hold.set()
    run("download", NAME, "--yes")
    assert (folder / FILE).read_bytes() == DATA
    assert site.asked[1][1].startswith("bytes=")
    assert not part.exists()


def test_two_at_once_do_not_disturb_each_other(site, folder, environment):
    site.hold_after = len(DATA) // 2
    command = [*COMMAND, "download", NAME, "--yes"]
    pipes = {"stdin": subprocess.DEVNULL, "env": environment}
    with subprocess.Popen(command, **pipes) as first:
        assert site.held.wait(60)
        with subprocess.Popen(command, **pipes) as second:
            # It waits for the first one, which cannot end before it may.
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(3)
            site.hold.set()
            assert (first.wait(60), second.wait(60)) == (0, 0)
    assert (folder / FILE).read_bytes() == DATA
    assert len(site.asked) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_full_disk_is_explained_and_what_came_is_kept(run, folder):
    import resource

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(DATA) // 2,) * 2)

    done = run("download", NAME, "--yes", code=2, preexec_fn=little_room)
    assert "the disk is full" in done.stderr and "kept" in done.stderr
    assert (folder / f"{FILE}.part").stat().st_size
    run("download", NAME, "--yes")
    assert (folder / FILE).read_bytes() == DATA


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminal")
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2)])
def test_in_a_terminal_it_asks(environment, site, folder, answer, code):
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "download", NAME],
        env=environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        _, said = process.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code
    assert "nothing can verify it" in said and site.url in said
    assert (folder / FILE).exists() == (answer == "y")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT")
def test_ctrl_c_keeps_what_came(run, site, folder, environment):
    import signal

    site.hold_after = len(DATA) // 2
    with subprocess.Popen(
        [*COMMAND, "download", NAME, "--yes"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background of a shell it would be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as stopped:
        assert site.held.wait(60)
        part = folder / f"{FILE}.part"
        while not (part.is_file() and part.stat().st_size):
            assert stopped.poll() is None
        stopped.send_signal(signal.SIGINT)
        _, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert "interrupted" in said and "Traceback" not in said
    assert part.exists()
    site.hold.set()
    run("download", NAME, "--yes")
    assert (folder / FILE).read_bytes() == DATA
