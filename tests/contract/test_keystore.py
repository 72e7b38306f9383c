"""Keys at rest: sealed, private to the owner, useless under another master key."""

import os
import tempfile
from pathlib import Path

import pytest

from otarium.adapters import keystore
from otarium.adapters.views import SharedViews
from otarium.domain.errors import Broken

NOBODY, GROUP = 65_534, 10_001


def master(path: Path) -> keystore.MasterKey:
    keystore.create_master_key(path)
    return keystore.MasterKey(path)


def test_a_master_key_is_readable_by_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keystore.create_master_key(tmp_path / "m")
    finally:
        os.umask(before)
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o600


def test_an_existing_master_key_is_never_overwritten(tmp_path: Path) -> None:
    keystore.create_master_key(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    keystore.create_master_key(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before


def test_a_master_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keystore.create_master_key(tmp_path / "m")
    (tmp_path / "m").chmod(0o644)
    with pytest.raises(Broken, match="chmod 600"):
        keystore.MasterKey(tmp_path / "m")


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "ab" * 33])
def test_a_file_that_is_no_master_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m").write_text(text)
    (tmp_path / "m").chmod(0o600)
    with pytest.raises(Broken, match="32 bytes"):
        keystore.MasterKey(tmp_path / "m")


def test_every_role_has_a_key_of_its_own_that_signs(tmp_path: Path) -> None:
    key = master(tmp_path / "m")
    signer = keystore.LocalSigner(keystore.generate(key), key)
    keys = signer.role_keys().keys
    assert len({one[0].public for one in keys.values()}) == 4
    for role, (public,) in keys.items():
        (signature,) = signer.sign(role, b"payload")
        assert signature.key_id == public.key_id
        assert public.verifies(signature.value, b"payload")
        assert not public.verifies(signature.value, b"other")


def test_sealed_keys_open_under_their_own_master_key_and_role_only(tmp_path: Path) -> None:
    key, other = master(tmp_path / "m"), master(tmp_path / "n")
    rows = keystore.generate(key)
    with pytest.raises(Broken, match="another master key"):
        keystore.LocalSigner(rows, other)
    swapped = [type(row)("root", row.key_id, row.public, row.sealed) for row in rows if row.role == "targets"]
    with pytest.raises(Broken):
        keystore.LocalSigner(swapped, key)
    with pytest.raises(Broken, match="missing"):
        keystore.LocalSigner(rows[:3], key)
    assert not any(bytes.fromhex(row.public) in row.sealed for row in rows)


def test_a_view_is_shared_by_workers_and_forgotten_after_a_minute(tmp_path: Path) -> None:
    first, second = SharedViews(tmp_path / "v"), SharedViews(tmp_path / "v")
    first.remember(b"device", 7, 1000.0)
    assert second.recall(b"device", 1059.0) == 7
    assert second.recall(b"device", 1061.0) is None
    assert second.recall(b"another", 1000.0) is None


def test_the_newest_release_is_announced_to_all_workers_and_never_falls(tmp_path: Path) -> None:
    first, second = SharedViews(tmp_path / "v"), SharedViews(tmp_path / "v")
    assert second.announced() == 0
    first.announce(7)
    second.announce(6)
    assert (first.announced(), second.announced()) == (7, 7)


def test_the_table_of_views_has_no_holes_that_a_full_disk_could_not_fill(tmp_path: Path) -> None:
    SharedViews(tmp_path / "v")
    stat = (tmp_path / "v").stat()
    assert stat.st_blocks * 512 >= stat.st_size


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
@pytest.mark.parametrize(("mode", "taken"), [(0o400, False), (0o440, True), (0o644, False), (0o460, False)])
def test_a_key_of_root_may_be_open_to_the_group_that_it_is_given_to(mode: int, taken: bool) -> None:
    """As Kubernetes mounts secrets, and systemd credentials."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        key = Path(name) / "m"
        keystore.create_master_key(key)
        os.chown(key, 0, GROUP)
        key.chmod(mode)
        child = os.fork()
        if child == 0:
            os.setgroups([GROUP])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            try:
                keystore.MasterKey(key)
            except Broken:
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (0 if taken else 1)
