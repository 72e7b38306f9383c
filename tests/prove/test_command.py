"""What `scripts/prove` gives to a proof."""

import sys


def test_a_proof_works_in_a_directory_that_other_programs_find_too(tmp_path, monkeypatch, capsys):
    """nginx looks for a relative one below a directory of its own."""
    from prove import __main__ as command

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["prove", "rolling", "--directory", "proofs"])
    monkeypatch.setitem(command.PROOFS, "rolling", lambda setup: [str(setup.directory)])
    assert command.main() == 0
    assert f"  {tmp_path.resolve()}/proofs/" in capsys.readouterr().out
