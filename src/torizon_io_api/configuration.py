"""Where the API is and how to be let in. Holds values only; nothing is read from files or the environment."""

from urllib.parse import urlsplit

DEFAULT_HOST = "https://app.torizon.io/api/v2beta"
_TOKEN_PATH = "/auth/realms/ota-users/protocol/openid-connect/token"  # noqa: S105 - a path, not a secret


class Configuration:
    """The settings of one `ApiClient`; attributes may be changed between calls.

    host            base URL of the API, for example "http://127.0.0.1:8080/api/v2beta"
    access_token    bearer token; or None
    client_id, client_secret   log in with these instead; the token is renewed by itself
    token_url       where to log in; default: the token path of Otarium on the scheme and host of `host`
    scope           scopes to ask for, separated by spaces; default: all that the client has
    verify_ssl      False accepts any certificate
    ssl_ca_cert     path of a PEM file with the authorities to trust instead of the system's
    proxy           URL of an HTTP proxy
    retries         how often a call that is safe to repeat is repeated at most; 0 for never

    Raises ValueError for a host that is not an http(s) URL and for half a login.
    """

    def __init__(
        self,
        host: str | None = None,
        *,
        access_token: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        token_url: str | None = None,
        scope: str | None = None,
        verify_ssl: bool = True,
        ssl_ca_cert: str | None = None,
        proxy: str | None = None,
        retries: int = 4,
    ) -> None:
        if bool(client_id) != bool(client_secret):
            raise ValueError("client_id and client_secret go together: give both or neither")
        if access_token and client_id:
            raise ValueError("give either access_token or client_id with client_secret, not both")
        self.host = _checked(host or DEFAULT_HOST)
        self.access_token = access_token
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_url = token_url or _beside(self.host)
        self.scope = scope
        self.verify_ssl = verify_ssl
        self.ssl_ca_cert = ssl_ca_cert
        self.proxy = proxy
        self.retries = retries

    def __repr__(self) -> str:
        """Without the secrets: configurations end up in logs."""
        return f"Configuration(host={self.host!r}, client_id={self.client_id!r})"


def _checked(host: str) -> str:
    parts = urlsplit(host)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"host must be an http or https URL such as {DEFAULT_HOST}, not {host!r}")
    if parts.query or parts.fragment:
        raise ValueError(f"host must not carry a query or a fragment: {host!r}")
    return host.rstrip("/")


def _beside(host: str) -> str:
    parts = urlsplit(host)
    return f"{parts.scheme}://{parts.netloc}{_TOKEN_PATH}"
