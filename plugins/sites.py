"""What a step of a federated corpus may know: no site's credentials, but for the site's own task its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow.sdk import Connection
from airflow.sdk.log import mask_secret

from tasks.errors import BadInput


@dataclass(frozen=True, slots=True)
class SiteAccess:
    """Names of the variables that open one site's store, and the connection that may have their values."""

    name: str
    credentials: str
    variables: tuple[str, ...]
    connection: str | None = None


def known(environ: Mapping[str, str], sites: Sequence[SiteAccess], own: int | None) -> dict[str, str]:
    """The environment without the variables of any site but ``own``.

    Raises:
        BadInput: the site's connection lacks what it is there for.
    """
    withheld = {name for index, site in enumerate(sites) if index != own for name in site.variables}
    kept = {name: value for name, value in environ.items() if name not in withheld}
    if own is not None and sites[own].connection:
        kept |= _from_connection(sites[own])
    return kept


def _from_connection(site: SiteAccess) -> dict[str, str]:
    assert site.connection is not None
    found = Connection.get(site.connection)
    extra = json.loads(found.extra or "{}")
    values = {
        "AWS_ENDPOINT_URL": extra.get("endpoint_url"),
        "AWS_ACCESS_KEY_ID": found.login,
        "AWS_SECRET_ACCESS_KEY": found.password,
        "AWS_REGION": extra.get("region_name"),
    }
    where = {
        "AWS_ENDPOINT_URL": "extra.endpoint_url",
        "AWS_ACCESS_KEY_ID": "login",
        "AWS_SECRET_ACCESS_KEY": "password",
    }
    if missing := [place for name, place in where.items() if not values[name]]:
        raise BadInput(f"site {site.name}: Airflow's connection {site.connection!r} has no {' and no '.join(missing)}")
    mask_secret(values["AWS_SECRET_ACCESS_KEY"])
    return {f"{site.credentials}_{name}": value for name, value in values.items() if value}
