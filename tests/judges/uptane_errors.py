"""Why a device would not go on.

UptaneError
├── FetchFailed        the server did not give the file
├── Refused            the file came, and may not be trusted
│   ├── Malformed      not the JSON, member, type or value that the format asks for
│   ├── NotCanonical   (strict) other bytes than the canonical ones, or values that no form agrees on
│   ├── BadSignatures  threshold not met, or a key or signature that spoils the whole file
│   ├── WrongHash      length or hash differs from what the parent file promised
│   ├── WrongVersion   version differs from what the parent file promised
│   ├── Rollback       version below the stored one
│   ├── Expired        past its expiry
│   └── TooLarge       more bytes than a device reads
├── NotMatching        no target of this name for this hardware
└── DownloadFailed     the target's bytes did not come, or are others
"""


class UptaneError(Exception):
    pass


class FetchFailed(UptaneError):
    pass


class Refused(UptaneError):
    pass


class Malformed(Refused):
    pass


class NotCanonical(Refused):
    pass


class BadSignatures(Refused):
    pass


class WrongHash(Refused):
    pass


class WrongVersion(Refused):
    pass


class Rollback(Refused):
    pass


class Expired(Refused):
    pass


class TooLarge(Refused):
    pass


class NotMatching(UptaneError):
    pass


class DownloadFailed(UptaneError):
    pass
