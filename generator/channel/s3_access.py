"""Where a bucket is and who may write to it: AWS's variables, then rattler's credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from generator.channel.variables import variable
from generator.documents import limits, load_json, read_bytes
from generator.errors import DeclinedError, MalformedError, SelectionError
from generator.urls import public_url


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """How to reach a bucket; nothing secret is in its repr."""

    endpoint: str
    region: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    #: ``endpoint/bucket/key``, as MinIO and most others want it, or ``bucket.endpoint/key``
    path_style: bool = True


def s3_access(bucket: str, environment: Mapping[str, str]) -> S3Access:
    """Find the credentials of a bucket: AWS's variables, then rattler's auth file.

    Raises DeclinedError: there are none. SelectionError: a variable says no place.
    """
    stored = _stored(bucket, environment)
    said = partial(variable, environment)
    key = said("AWS_ACCESS_KEY_ID") or stored.get("access_key_id", "")
    secret = said("AWS_SECRET_ACCESS_KEY") or stored.get("secret_access_key", "")
    if not key or not secret:
        raise DeclinedError(
            "no credentials for it were found",
            where=f"s3://{bucket}",
            next_step="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with rattler "
            f"or pixi: auth login s3://{bucket}",
        )
    region = said("AWS_REGION") or said("AWS_DEFAULT_REGION") or "us-east-1"
    endpoint = said("AWS_ENDPOINT_URL_S3") or said("AWS_ENDPOINT_URL")
    usual = "path" if endpoint else "virtual-host"
    style = said("ARMTORCH_S3_ADDRESSING") or usual
    for name, value, form in (
        ("AWS_ENDPOINT_URL_S3", endpoint or "https://", "https?://.*"),
        ("ARMTORCH_S3_ADDRESSING", style, "path|virtual-host"),
    ):
        if re.fullmatch(form, value) is None:
            raise SelectionError(
                f"{public_url(value)!r} is none", where=name, next_step=f"write {form}"
            )
    return S3Access(
        endpoint=endpoint or f"https://s3.{region}.amazonaws.com",
        region=region,
        access_key_id=key,
        secret_access_key=secret,
        session_token=said("AWS_SESSION_TOKEN") or stored.get("session_token") or "",
        path_style=style == "path",
    )


def _stored(bucket: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what rattler's auth file has for a bucket (rattler_networking, S3Credentials)."""
    home = environment.get("HOME") or environment.get("USERPROFILE") or "."
    named = environment.get("RATTLER_AUTH_FILE")
    path = Path(named) if named else Path(home) / ".rattler" / "credentials.json"
    try:
        rows = load_json(read_bytes(path, limits().json.bytes), str(path))
        row = rows.get(f"s3://{bucket}", rows.get(bucket, {}))
        found: dict[str, str] = row.get("S3Credentials", {})
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, AttributeError, MalformedError) as error:
        raise MalformedError(
            "not readable as rattler's file of credentials",
            where=str(path),
            next_step="mend it, or log in anew with rattler or pixi",
        ) from error
    return found
