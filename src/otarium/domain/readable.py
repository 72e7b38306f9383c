"""What aktualizr can read of a target.

It asks some members of `custom` for their text without looking what they are. A list or an object has
none, and that ends the reading of the whole file: no package of it can be installed, and devices do not
come to what lies behind it. Rules: `Target::updateCustom` in aktualizr's tuf.cc, `HardwareIdentifier`
and `EcuSerial` in its types.h.
"""

from collections.abc import Iterable
from typing import Any

from otarium.domain.names import HARDWARE_ID_BYTES

ECU_SERIAL_BYTES = 64


def obstacle(custom: object) -> str | None:
    """The member that aktualizr cannot read, and why; None where there is none."""
    if custom is None:
        return None
    if not isinstance(custom, dict):
        return "a custom that is no object"
    for member in ("targetFormat", "uri"):
        if not _has_text(custom.get(member)):
            return f"a custom.{member} that is no text"
    if not all(map(_is_hardware_id, _inside(custom.get("hardwareIds")))):
        return f"a custom.hardwareIds with something else than texts of at most {HARDWARE_ID_BYTES} bytes"
    ecus = custom.get("ecuIdentifiers")
    serials = ecus if isinstance(ecus, dict) else ()
    if not all(0 < len(serial.encode()) <= ECU_SERIAL_BYTES for serial in serials):
        return f"a custom.ecuIdentifiers with serials of none or more than {ECU_SERIAL_BYTES} bytes"
    if not all(map(_is_ecu, _inside(ecus))):
        return "a custom.ecuIdentifiers with something else than objects"
    return None


def _inside(value: object) -> Iterable[Any]:
    """What it goes through: the values of a list or an object, and nothing in anything else."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _has_text(value: object) -> bool:
    """Numbers, booleans and null have one."""
    return not isinstance(value, dict | list)


def _is_hardware_id(value: object) -> bool:
    return _has_text(value) and (not isinstance(value, str) or len(value.encode()) <= HARDWARE_ID_BYTES)


def _is_ecu(value: object) -> bool:
    return value is None or (isinstance(value, dict) and _is_hardware_id(value.get("hardwareId")))
