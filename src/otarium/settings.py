"""Settings: one frozen group per concern, read from `OTARIUM_*` variables.

Options of `otarium serve` win over variables; each field names its variable. Durations are seconds,
sizes are bytes.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, IPvAnyNetwork, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_GROUP = SettingsConfigDict(env_prefix="OTARIUM_", frozen=True, extra="ignore")
_SOURCES = SettingsConfigDict(env_prefix="OTARIUM_SOURCE_", frozen=True, extra="ignore")

DeviceAccess = Literal["public", "token"]


class StorageSettings(BaseSettings):
    """Where everything lives."""

    model_config = _GROUP
    data_dir: Path = Field(default=Path("otarium-data"), description="OTARIUM_DATA_DIR")
    master_key_file: Path | None = Field(default=None, description="OTARIUM_MASTER_KEY_FILE")
    blobs_url: str | None = Field(default=None, description="OTARIUM_BLOBS_URL")
    downloads: Literal["proxied", "links", "nginx"] = Field(
        default="proxied", description="OTARIUM_DOWNLOADS"
    )
    """How devices get bytes: through this server; out of an object store by links that expire; out of a
    directory by the nginx in front."""
    links_endpoint: str | None = Field(default=None, description="OTARIUM_LINKS_ENDPOINT")
    """Where devices reach the store, if that is not where this server does."""
    offload_url: str | None = Field(default=None, description="OTARIUM_OFFLOAD_URL")
    """Where a copy for devices is kept, for a web server or a CDN to hand out."""
    offload_open: bool = Field(default=False, description="OTARIUM_OFFLOAD_OPEN")
    """Whether it is known that no token guards the copy."""
    database_url: SecretStr | None = Field(default=None, description="OTARIUM_DATABASE_URL")

    @property
    def run_dir(self) -> Path:
        """What the processes of a running server share and nobody keeps: in memory, since a mapped file on a
        full disk would kill them."""
        memory = Path("/dev/shm")  # noqa: S108 - the directory below it is ours alone, see server.py
        parent = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
        place = hashlib.sha256(os.fsencode(self.data_dir.resolve())).hexdigest()
        return parent / f"otarium-{os.getuid()}-{place[:16]}"

    @property
    def master_key(self) -> Path:
        return self.master_key_file or self.data_dir / "master.key"

    @property
    def database(self) -> Path:
        """The catalog where no other database is set."""
        return self.data_dir / "catalog.sqlite"

    @property
    def catalog_url(self) -> str:
        """What the catalog is opened by."""
        if self.database_url is None:
            return f"sqlite:///{self.database}"
        scheme, _, rest = self.database_url.get_secret_value().partition("://")
        return (
            f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else f"{scheme}://{rest}"
        )

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgres://", "postgresql://")):
            raise ValueError("must start with postgresql://")
        return value

    @property
    def blobs(self) -> Path:
        """The directory of blobs where no object store is set."""
        given = self.blobs_url.removeprefix("file://") if self.blobs_url else None
        return Path(given) if given else self.data_dir / "blobs"

    @property
    def has_object_store(self) -> bool:
        return self.blobs_url is not None and not self.blobs_url.startswith("file://")

    @model_validator(mode="after")
    def _downloads_fit_the_store(self) -> "StorageSettings":
        needs = {"links": True, "nginx": False}.get(self.downloads)
        if needs is not None and needs != self.has_object_store:
            kind = "an object store (OTARIUM_BLOBS_URL)" if needs else "blobs in a directory"
            raise ValueError(f"OTARIUM_DOWNLOADS={self.downloads} needs {kind}")
        if self.links_endpoint and (self.downloads != "links" or not str(self.blobs_url).startswith("s3://")):
            raise ValueError("OTARIUM_LINKS_ENDPOINT needs OTARIUM_DOWNLOADS=links and s3://")
        return self

    @field_validator("links_endpoint")
    @classmethod
    def _known_endpoint(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value

    @field_validator("blobs_url", "offload_url")
    @classmethod
    def _known_store(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("s3://", "gs://", "az://", "file:///")):
            raise ValueError("must start with s3://, gs://, az:// or file:///")
        return value


class HttpSettings(BaseSettings):
    """How the server is reached. OTARIUM_HOST is taken: it tells user commands the API's base URL."""

    model_config = SettingsConfigDict(**_GROUP, populate_by_name=True)
    host: str = Field(default="127.0.0.1", description="OTARIUM_BIND", validation_alias="OTARIUM_BIND")
    port: int = Field(default=8080, ge=1, le=65535, description="OTARIUM_PORT")
    workers: int = Field(default=1, ge=1, le=256, description="OTARIUM_WORKERS")
    public_url: str | None = Field(default=None, description="OTARIUM_PUBLIC_URL")
    device_access: DeviceAccess | None = Field(default=None, description="OTARIUM_DEVICE_ACCESS")
    tls_cert: Path | None = Field(default=None, description="OTARIUM_TLS_CERT")
    tls_key: Path | None = Field(default=None, description="OTARIUM_TLS_KEY")
    token_path: str = Field(
        default="/auth/realms/ota-users/protocol/openid-connect/token", description="OTARIUM_TOKEN_PATH"
    )
    reader_threads: int = Field(default=8, ge=1, le=256, description="OTARIUM_READER_THREADS")
    list_threads: int = Field(default=2, ge=1, le=256, description="OTARIUM_LIST_THREADS")
    upload_threads: int = Field(default=8, ge=1, le=256, description="OTARIUM_UPLOAD_THREADS")
    leave_seconds: float = Field(default=0, ge=0, description="OTARIUM_LEAVE_SECONDS")
    """How long after SIGTERM the server says that it is not ready, and serves on, before it drains."""
    drain_seconds: int = Field(default=25, ge=0, description="OTARIUM_DRAIN_SECONDS")
    device_header: str | None = Field(default=None, description="OTARIUM_DEVICE_HEADER")
    """The header in which a proxy tells devices apart; whatever a device sends in it the proxy replaces."""

    @field_validator("public_url")
    @classmethod
    def _no_trailing_slash(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/") if value else None

    @model_validator(mode="after")
    def _whole_tls(self) -> "HttpSettings":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs both a certificate and its key")
        return self

    @property
    def base_url(self) -> str:
        """What absolute URLs start with; never taken from a request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    @field_validator("device_header")
    @classmethod
    def _lower_case(cls, value: str | None) -> str | None:
        return value.lower() if value else None

    @property
    def is_loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


class UploadSettings(BaseSettings):
    """What uploads may take."""

    model_config = _GROUP
    max_package_bytes: int = Field(default=5 * 1024**3, ge=1, description="OTARIUM_MAX_PACKAGE_BYTES")
    reserve_bytes: int = Field(default=64 * 1024**2, ge=0, description="OTARIUM_RESERVE_BYTES")
    max_uploads: int = Field(default=128, ge=1, description="OTARIUM_MAX_UPLOADS")
    upload_idle_seconds: float = Field(default=60, gt=0, description="OTARIUM_UPLOAD_IDLE_SECONDS")
    upload_min_rate: int = Field(default=1024, ge=0, description="OTARIUM_UPLOAD_MIN_RATE")
    reuse_deleted_versions: bool = Field(default=False, description="OTARIUM_REUSE_DELETED_VERSIONS")


class MetadataSettings(BaseSettings):
    """Expiry and retention of signed metadata, and the grace of deleted packages."""

    model_config = _GROUP
    root_lifetime: int = Field(default=365 * 86_400, ge=4, description="OTARIUM_ROOT_LIFETIME")
    targets_lifetime: int = Field(default=90 * 86_400, ge=4, description="OTARIUM_TARGETS_LIFETIME")
    snapshot_lifetime: int = Field(default=7 * 86_400, ge=4, description="OTARIUM_SNAPSHOT_LIFETIME")
    timestamp_lifetime: int = Field(default=86_400, ge=4, description="OTARIUM_TIMESTAMP_LIFETIME")
    kept_seconds: int = Field(default=3600, ge=0, description="OTARIUM_KEPT_SECONDS")
    kept_files: int = Field(default=3, ge=1, description="OTARIUM_KEPT_FILES")
    kept_bytes: int = Field(default=256 * 1024**2, ge=0, description="OTARIUM_KEPT_BYTES")
    layout: Literal["shelves", "flat"] = Field(default="shelves", description="OTARIUM_LAYOUT")
    """`flat` keeps all packages in targets.json, for tools that read it themselves."""
    first_shelf_packages: int = Field(default=1000, ge=1, description="OTARIUM_FIRST_SHELF_PACKAGES")
    shelf_packages: int = Field(default=1000, ge=1, description="OTARIUM_SHELF_PACKAGES")
    deleted_grace: int = Field(default=3600, ge=0, description="OTARIUM_DELETED_GRACE")
    sweep_interval: float = Field(default=60, gt=0, description="OTARIUM_SWEEP_INTERVAL")


class SourceSettings(BaseSettings):
    """External package sources."""

    model_config = _SOURCES
    ca_file: Path | None = Field(default=None, description="OTARIUM_SOURCE_CA_FILE")
    """Certificates to trust beside the system's, as PEM."""
    networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        default=(), description="OTARIUM_SOURCE_NETWORKS"
    )
    """Where sources may be beside public addresses, such as `10.20.0.0/16,fd12:3456::/32`."""
    ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], NoDecode] = Field(
        default=(), description="OTARIUM_SOURCE_PORTS"
    )
    """Which they may have beside 443 and 8443."""
    spelling: Literal["auto", "json", "bare"] = Field(default="auto", description="OTARIUM_SOURCE_SPELLING")
    """How answers spell a source: `name.json`, `name`, or as the base path's clients are used to."""

    @field_validator("networks", "ports", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        """Text of items between commas."""
        return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


class LogSettings(BaseSettings):
    """What goes to stderr."""

    model_config = SettingsConfigDict(env_prefix="OTARIUM_LOG_", frozen=True, extra="ignore")
    format: Literal["text", "json"] = Field(default="text", description="OTARIUM_LOG_FORMAT")
    devices: bool = Field(default=False, description="OTARIUM_LOG_DEVICES")
    """An access line for every GET of a device, too."""


class Settings:
    """All groups, from the environment where none is given."""

    def __init__(
        self,
        storage: StorageSettings | None = None,
        http: HttpSettings | None = None,
        uploads: UploadSettings | None = None,
        metadata: MetadataSettings | None = None,
        sources: SourceSettings | None = None,
        logs: LogSettings | None = None,
    ) -> None:
        self.storage = storage or StorageSettings()
        self.http = http or HttpSettings()
        self.uploads = uploads or UploadSettings()
        self.metadata = metadata or MetadataSettings()
        self.sources = sources or SourceSettings()
        self.logs = logs or LogSettings()

    def environment(self) -> dict[str, str]:
        """The variables that make another process read the same."""
        made: dict[str, str] = {}
        for group in (self.storage, self.http, self.uploads, self.metadata, self.sources, self.logs):
            for name, field in type(group).model_fields.items():
                value = getattr(group, name)
                if value is not None and field.description:
                    made[field.description] = _as_text(value)
        return made


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value.resolve()) if isinstance(value, Path) else str(value)
