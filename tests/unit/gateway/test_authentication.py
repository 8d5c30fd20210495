"""Who calls: tokens, certificates and a mesh's identities, held against the file of callers."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.callers import LOCAL, Quotas, Scope
from gateway.edge.authentication import Authentication, Failure, MeshRules, Shown, forwarded_uris
from gateway.edge.callers_file import InvalidCallers, KnownToken, parse_register
from gateway.errors import Unauthenticated
from gateway.exposure import mesh_networks
from gateway.metrics import Metrics
from vitrine.tokens import caller_of, digest, is_caller_name, new_token

SHOP, INDEX = new_token("shop"), new_token("index")
NEXT_SHOP = new_token("shop")
CALLERS = f"""
[callers.shop]
scopes = ["search"]
certificates = ["shop.example.com"]
identities = ["spiffe://prod/ns/shop/sa/web"]
requests_per_s = 50
concurrent = 20

[[callers.shop.tokens]]
sha256 = "{digest(SHOP)}"

[[callers.shop.tokens]]
sha256 = "{digest(NEXT_SHOP)}"
expires = 2027-01-31T12:00:00Z

[callers.index]
scopes = ["catalogue", "admin"]
certificates = ["spiffe://prod/ns/jobs/sa/index"]

[[callers.index.tokens]]
sha256 = "{digest(INDEX)}"
"""
LOOPBACK = mesh_networks("127.0.0.0/8,::1/128")
FORWARDED = MeshRules(header="x-forwarded-client-cert", proxies=LOOPBACK)
NOW = datetime(2027, 1, 31, 11, tzinfo=UTC)

Open = Callable[..., Authentication]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Return a function that opens the authentication of a file of callers."""

    def make(text: str = CALLERS, *, mesh: MeshRules = FORWARDED, now: datetime = NOW) -> Authentication:
        path = tmp_path / "callers.toml"
        path.write_text(text)
        return Authentication(path, mesh, Metrics(), now=lambda: now)

    return make


def bearer(token: str) -> Shown:
    return Shown(authorization=(f"Bearer {token}",))


def failure(authentication: Authentication, shown: Shown) -> Failure:
    with pytest.raises(Unauthenticated) as refused:
        authentication.caller(shown)
    found = Failure(str(refused.value))
    counted = authentication._metrics.registry.get_sample_value(
        "vitrine_gateway_auth_failures_total", {"reason": found.name.lower()}
    )
    assert counted == 1
    return found


def test_a_token_names_its_caller_with_scopes_and_quotas(opened: Open) -> None:
    """Both tokens of a caller are known, and what it may do comes from the file."""
    authentication = opened()
    for token in (SHOP, NEXT_SHOP):
        caller = authentication.caller(bearer(token))
        assert (caller.name, caller.scopes) == ("shop", {Scope.SEARCH})
        assert caller.quotas == Quotas(requests_per_s=50.0, concurrent=20)
    assert authentication.caller(bearer(INDEX)).scopes == {Scope.CATALOGUE, Scope.ADMIN}


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (Shown(), Failure.NOTHING_SHOWN),
        (bearer(new_token("shop")), Failure.UNKNOWN_TOKEN),
        (bearer(new_token("nobody")), Failure.UNKNOWN_TOKEN),
        (bearer(SHOP.replace(".shop.", ".index.")), Failure.UNKNOWN_TOKEN),
        (bearer(SHOP[:-1]), Failure.MALFORMED),
        (bearer(""), Failure.MALFORMED),
        (bearer(digest(SHOP)), Failure.MALFORMED),
        (bearer("eyJhbGciOiJIUzI1NiJ9.e30.x"), Failure.MALFORMED),
        (bearer("é" * 10_000), Failure.MALFORMED),
        (Shown(authorization=(f"Basic {SHOP}",)), Failure.MALFORMED),
        (Shown(authorization=(f"Bearer {SHOP}", f"Bearer {INDEX}")), Failure.MALFORMED),
        # A bad token is not made good by what comes with it.
        (Shown(authorization=("Bearer x",), certificate_names=("shop.example.com",)), Failure.MALFORMED),
        (Shown(certificate_names=("evil.example.com",)), Failure.UNKNOWN_CERTIFICATE),
        (
            Shown(certificate_names=("shop.example.com", "spiffe://prod/ns/jobs/sa/index")),
            Failure.AMBIGUOUS,
        ),
        (
            Shown(identities=("URI=spiffe://prod/ns/shop/sa/web",), peer="ipv4:10.0.0.7:1"),
            Failure.UNTRUSTED_HOP,
        ),
        (Shown(identities=("URI=spiffe://evil",), peer="ipv4:127.0.0.6:1"), Failure.UNKNOWN_IDENTITY),
        (Shown(identities=("Hash=1",), peer="ipv4:127.0.0.6:1"), Failure.UNKNOWN_IDENTITY),
        (Shown(identities=("URI=a", "URI=b"), peer="ipv4:127.0.0.6:1"), Failure.AMBIGUOUS),
    ],
)
def test_nobody_is_known_by_anything_else(opened: Open, shown: Shown, why: Failure) -> None:
    """Each way of not being known has its reason, is counted by it, and never names a caller."""
    found = failure(opened(), shown)
    assert found is why


def test_a_token_ends_at_its_time(opened: Open) -> None:
    """Before its end a token is known, from then on it is told to have ended; the caller's other token goes on."""
    assert opened(now=datetime(2027, 1, 31, 11, 59, 59, tzinfo=UTC)).caller(bearer(NEXT_SHOP)).name == "shop"
    late = opened(now=datetime(2027, 1, 31, 12, tzinfo=UTC))
    assert failure(late, bearer(NEXT_SHOP)) is Failure.EXPIRED
    assert late.caller(bearer(SHOP)).name == "shop"


def test_a_certificate_names_its_caller_by_dns_name_or_uri(opened: Open) -> None:
    """One of its names is enough, and names of nobody beside it do no harm."""
    authentication = opened()
    assert authentication.caller(Shown(certificate_names=("a.example", "shop.example.com"))).name == "shop"
    uri = Shown(certificate_names=("spiffe://prod/ns/jobs/sa/index",))
    assert authentication.caller(uri).name == "index"


@pytest.mark.parametrize(
    "peer", ["ipv4:127.0.0.6:55", "ipv6:%5B::1%5D:55", "ipv6:[::ffff:127.0.0.1]:55", "unix:/run/x"]
)
def test_a_mesh_is_believed_at_its_own_proxy(opened: Open, peer: str) -> None:
    """The nearest proxy's own last certificate says who it is; what came before it in the header is not believed."""
    header = 'URI=spiffe://prod/ns/jobs/sa/index,By=spiffe://prod/gw;Subject="CN=a,URI=x;y";URI=spiffe://prod/ns/shop/sa/web'
    assert opened().caller(Shown(identities=(header,), peer=peer)).name == "shop"


def test_without_the_setting_no_header_says_who_calls(opened: Open) -> None:
    """A gateway that believes no mesh has no proxies to believe."""
    shown = Shown(identities=("URI=spiffe://prod/ns/shop/sa/web",), peer="ipv4:127.0.0.1:1")
    assert failure(opened(mesh=MeshRules()), shown) is Failure.UNTRUSTED_HOP


def test_any_other_header_is_the_identity_itself(opened: Open) -> None:
    """Such as l5d-client-id."""
    mesh = MeshRules(header="l5d-client-id", proxies=LOOPBACK)
    shown = Shown(identities=("spiffe://prod/ns/shop/sa/web",), peer="ipv4:127.0.0.1:1")
    assert opened(mesh=mesh).caller(shown).name == "shop"


def test_uris_of_a_forwarded_certificate_are_read_as_envoy_writes_them() -> None:
    """Quotes hold separators, several URIs are all read, and escapes of percent are undone."""
    assert forwarded_uris("") == ()
    assert forwarded_uris('Hash=a;Subject="CN=\\"x,y\\";URI=no";URI="a";URI=b%2Cc;DNS=d') == ("a", "b,c")
    assert forwarded_uris("URI=first,Hash=2") == ()


def test_digests_are_compared_in_constant_time() -> None:
    """No digest is compared by `==`, which would end at the first digit that differs."""

    class Tripwire(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared by ==")

        __hash__ = str.__hash__

    register = parse_register(CALLERS)
    authentication = Authentication(None, MeshRules(), Metrics())
    authentication._register = type(register)(
        callers=register.callers,
        tokens={
            name: tuple(KnownToken(sha256=Tripwire(t.sha256)) for t in each)
            for name, each in register.tokens.items()
        },
        certificates={},
        identities={},
    )
    assert authentication.caller(bearer(SHOP)).name == "shop"
    assert failure(authentication, bearer(new_token("shop"))) is Failure.UNKNOWN_TOKEN


def test_without_a_file_everybody_is_local() -> None:
    """Nobody is asked who they are."""
    assert Authentication(None, MeshRules(), Metrics()).caller(Shown()) is LOCAL


async def test_an_exchanged_file_holds_at_once_and_a_broken_one_changes_nothing(
    tmp_path: Path, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller that was taken out is known no more; a file with a mistake, or none, leaves the callers as they are."""
    authentication, path = opened(), tmp_path / "callers.toml"
    path.write_text(CALLERS.replace(digest(SHOP), digest(new_token("shop"))))
    await authentication.refresh()
    assert failure(authentication, bearer(SHOP)) is Failure.UNKNOWN_TOKEN
    path.write_text(CALLERS + "\n[callers.shop]\n")
    await authentication.refresh()
    path.unlink()
    await authentication.refresh()
    await authentication.refresh()
    assert authentication.caller(bearer(INDEX)).name == "index"
    value = authentication._metrics.registry.get_sample_value
    assert value("vitrine_gateway_callers_reloads_total", {"outcome": "refused"}) == 2
    assert [record.message for record in caplog.records].count("callers_refused") == 2
    path.write_text(CALLERS)
    await authentication.refresh()
    assert authentication.caller(bearer(SHOP)).name == "shop"
    assert digest(SHOP) not in caplog.text


ENTRY = '[callers.a]\nscopes = ["search"]\ntokens = [{sha256 = "' + "0" * 64 + '"}]\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "callers: 1 to 1,000 are known, got 0"),
        ("callers = 3", "callers: must be a table"),
        ("[", "is no TOML"),
        ("[calers.a]", "the file: does not know calers"),
        (ENTRY.replace("callers.a", "callers.A"), "callers.A: a name is"),
        (ENTRY.replace("callers.a", "callers.local"), "callers.local: a name is"),
        (ENTRY + "scope = 1", "callers.a: does not know scope"),
        (
            ENTRY.replace('["search"]', '["serach"]'),
            "callers.a.scopes: one or more of search, catalogue, feedback, data, report, campaigns, admin",
        ),
        (ENTRY.replace('["search"]', "[]"), "callers.a.scopes: one or more of"),
        (ENTRY.replace('["search"]', '"search"'), "callers.a.scopes: must be a list of strings"),
        ('[callers.a]\nscopes = ["search"]', "nobody can be this caller"),
        (ENTRY.replace("0000", "zzzz"), "callers.a.tokens[0].sha256: must be 64 hexadecimal digits"),
        (ENTRY.replace('"}', '", expires = 2027-01-01T00:00:00}'), "a time needs its offset"),
        (ENTRY.replace('"}', '", expires = "soon"}'), "must be a date or a time"),
        (ENTRY.replace('"}', '", secret = "s3cret"}'), "callers.a.tokens[0]: does not know secret"),
        (ENTRY + "concurrent = 1.5", "callers.a.concurrent: must be a whole number >= 0"),
        (ENTRY + "concurrent = true", "callers.a.concurrent: must be a whole number >= 0"),
        (ENTRY + "requests_per_s = -1", "callers.a.requests_per_s: must be a number >= 0"),
        (ENTRY + "requests_per_s = nan", "callers.a.requests_per_s: must be a number >= 0"),
        (ENTRY + 'certificates = [""]', "callers.a.certificates: a name has 1 to 512 characters"),
        (
            ENTRY
            + 'certificates = ["x"]\n'
            + ENTRY.replace("callers.a", "callers.b")
            + 'certificates = ["x"]',
            "callers.b.certificates: 'x' is 'a' already",
        ),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_place(text: str, complaint: str) -> None:
    """The message says where and what, and holds no digest."""
    with pytest.raises(InvalidCallers) as refused:
        parse_register(text)
    assert complaint in str(refused.value)
    assert "0" * 64 not in str(refused.value)


def test_tokens_have_a_name_and_256_random_bits() -> None:
    """Two tokens of a caller differ, the name is read from either, and nothing that is no token has one."""
    one, other = new_token("a-1"), new_token("a-1")
    assert one != other
    assert caller_of(one) == caller_of(other) == "a-1"
    assert len(one.rpartition(".")[2]) * 6 >= 256
    assert [
        caller_of(each) for each in ("", "vitrine.a", one + "x", one.upper(), f"vitrine..{one[-43:]}")
    ] == [""] * 5
    names = ["a", "a" * 64, "a" * 65, "-a", "a-", "A", "a.b", ""]
    assert [is_caller_name(name) for name in names] == [True, True, False, False, False, False, False, False]
