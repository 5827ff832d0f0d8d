"""Where the environment can be installed, as far as that can be said before trying."""

from __future__ import annotations

import environment


def test_this_python_on_this_machine_is_fit():
    assert environment.unfit((3, 11), ("Linux", "x86_64")) is None
    assert environment.unfit((3, 13), ("Linux", "x86_64")) is None


def test_a_python_without_wheels_is_named():
    assert environment.unfit((3, 10), ("Linux", "x86_64")) == "its wheels are for Python 3.11 to 3.13, and this is 3.10"
    assert "this is 3.14" in environment.unfit((3, 14), ("Linux", "x86_64"))


def test_a_machine_without_wheels_is_named():
    reason = environment.unfit((3, 12), ("Darwin", "arm64"))
    assert reason == "its wheels are for Linux on x86_64, and this is Darwin on arm64"


def test_a_command_that_fails_gives_its_last_word(tmp_path):
    script = tmp_path / "pip"
    script.write_text("#!/bin/sh\necho first >&2\necho 'ERROR: no network' >&2\nexit 1\n")
    script.chmod(0o755)
    try:
        environment.run([str(script)])
    except environment.CannotInstall as error:
        assert str(error) == "ERROR: no network"
    else:
        raise AssertionError("a failed command went unnoticed")


def test_an_environment_of_other_pins_is_not_there(tmp_path):
    (tmp_path / "installed").write_text("other pins\n")
    assert not environment.is_installed(tmp_path)
    assert environment.main([str(tmp_path), "--look"]) == environment.CANNOT
    (tmp_path / "installed").write_text(environment.fingerprint())
    assert environment.main([str(tmp_path), "--look"]) == 0
