"""When certificates end."""

from datetime import UTC, datetime

import pytest
import trustme

from vitrine.process.certificates import tell_expiry


@pytest.mark.parametrize(
    "end", [datetime(2027, 1, 31, 12, 0, 1, tzinfo=UTC), datetime(2071, 5, 4, tzinfo=UTC)]
)
def test_the_end_of_a_certificate_is_told(end: datetime) -> None:
    """The first certificate of a chain counts; times before 2050 and after it are written in two ways."""
    issued = trustme.CA().issue_cert("gateway.example.com", not_after=end)
    chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
    told: list[float] = []
    tell_expiry(b"Subject: the gateway\n" + chain + issued.private_key_pem.bytes(), told.append)
    assert told == [end.timestamp()]


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\xff",
        b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMAMwAQA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN X509 CERTIFICATE-----\nAA==\n-----END X509 CERTIFICATE-----\n",
    ],
)
def test_what_cannot_be_read_is_not_told(pem: bytes) -> None:
    """A form that OpenSSL takes and this does not leaves the service as it is, without a figure."""
    told: list[float] = []
    tell_expiry(pem, told.append)
    assert told == []
