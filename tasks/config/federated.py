"""Federated training: sites whose data stay where they are. The section ``train.federated``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from tasks.section import Section

SETTINGS = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_SESSION_TOKEN")
"""What reaches an S3 store; a site's variables are called so, with its prefix before."""


class Site(Section):
    """One site: where its data are, and the names of what opens them. No secret stands here."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="of tasks and folders")
    store: str = Field(
        pattern=r"^(s3|file)://[^\s]+$", description="its own store, s3://bucket/prefix, which holds its dataset"
    )
    credentials: str | None = Field(
        None,
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="of s3: the prefix of the environment variables that open it: BERLIN for BERLIN_AWS_ENDPOINT_URL, "
        "BERLIN_AWS_ACCESS_KEY_ID, BERLIN_AWS_SECRET_ACCESS_KEY, BERLIN_AWS_REGION",
    )
    connection: str | None = Field(
        None,
        description="the Airflow connection (login, password, extra.endpoint_url) that has their values",
    )

    @model_validator(mode="after")
    def _says_what_opens_it(self) -> Self:
        if self.store.startswith("s3://") and self.credentials is None:
            raise ValueError(f"site {self.name}: an s3 store needs credentials, the prefix of its variables")
        if self.connection is not None and self.credentials is None:
            raise ValueError(f"site {self.name}: connection fills the variables that credentials names: give both")
        return self

    @property
    def variables(self) -> list[str]:
        """Names of the environment variables that open it."""
        return [f"{self.credentials}_{name}" for name in SETTINGS] if self.credentials else []


class Federated(Section):
    """Sites train on their own data in rounds; only weights travel, and are averaged by |D_i| / |D|."""

    rounds: int = Field(5, ge=1, le=200, description="so many times all sites train and their weights are averaged")
    local_epochs: int = Field(1, ge=1, le=100, description="passes of each site over its own train split in a round")
    sites: tuple[Site, ...] = Field(min_length=2, max_length=100, description="who takes part")

    @model_validator(mode="after")
    def _keeps_sites_apart(self) -> Self:
        for what in ("name", "store", "credentials"):
            given = [value for site in self.sites if (value := getattr(site, what)) is not None]
            if twice := sorted({value for value in given if given.count(value) > 1}):
                raise ValueError(f"sites: {what} {twice[0]!r} is given twice: each site has its own")
        return self

    def withheld(self, site: int | None = None) -> list[str]:
        """Names of the variables that a process must not know: those of all sites but this one."""
        return [name for index, each in enumerate(self.sites) if index != site for name in each.variables]
