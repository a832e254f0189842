"""A server of object storage on this machine, which asks for credentials when it is told to."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from .patience import PATIENCE

BUCKET = "data"

PUBLIC = "public"
"""A bucket that anybody may read."""


@dataclass(frozen=True)
class S3:
    """The address of the server and a user who may do all."""

    endpoint: str
    key: str
    secret: str

    @property
    def options(self) -> dict[str, Any]:
        return {"key": self.key, "secret": self.secret, "endpoint_url": self.endpoint}

    @property
    def anonymous(self) -> dict[str, Any]:
        return {"anon": True, "endpoint_url": self.endpoint}

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Refuse whoever has no right, while the block runs."""
        self._ask("0")
        try:
            yield
        finally:
            self._ask("inf")

    def _ask(self, after: str) -> None:
        import requests

        requests.post(f"{self.endpoint}/moto-api/reset-auth", data=after, timeout=PATIENCE).raise_for_status()


def serve() -> Iterator[S3]:
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    import boto3

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    root = {"region_name": "us-east-1", "aws_access_key_id": "root", "aws_secret_access_key": "root"}
    files = boto3.client("s3", endpoint_url=endpoint, **root)
    for bucket in (BUCKET, PUBLIC):
        files.create_bucket(Bucket=bucket)
    read = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{PUBLIC}/*"}
    files.put_bucket_policy(Bucket=PUBLIC, Policy=json.dumps({"Version": "2012-10-17", "Statement": [read]}))
    iam = boto3.client("iam", endpoint_url=endpoint, **root)
    iam.create_user(UserName="user")
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="user", PolicyName="all", PolicyDocument=json.dumps(allowed))
    made = iam.create_access_key(UserName="user")["AccessKey"]
    yield S3(endpoint, made["AccessKeyId"], made["SecretAccessKey"])
    server.stop()


s3 = pytest.fixture(scope="session")(serve)
