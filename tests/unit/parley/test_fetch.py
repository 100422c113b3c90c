"""What of a fetch is decided without a connection: URLs, the choice of addresses, names."""

import httpx
import pytest

from parley.fetch import FetchPolicy, ForbiddenURL, checked_url, file_name, shown, vetted

POLICY = FetchPolicy()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://files.example/a.mp3", "not 'ftp'"),
        ("file:///etc/passwd", "not 'file'"),
        ("gopher://files.example/", "not 'gopher'"),
        ("data:audio/wav;base64,AAAA", "not 'data'"),
        ("files.example/a.mp3", "Only http and https"),
        ("", "Only http and https"),
        ("http:///a.mp3", "names no host"),
        ("http://user@files.example/", "user name or a password"),
        ("http://user:secret@files.example/", "user name or a password"),
        ("http://127.0.0.1\\@files.example/", "user name or a password"),
        ("http://files.example:22/", "the port 22; only 80, 443 can be used"),
        ("http://files.example:0/", "the port 0"),
        ("http://files.example:99999/", "the port 99999"),
        ("http://files.example:port/", "is no URL"),
        ("http://user:secret@files.example:port/", "is no URL"),
        ("http://files\x00.example/", "is no URL"),
        ("http://①②⑦.0.0.1/", "is no URL"),
        ("http://[::1/", "is no URL"),
    ],
)
def test_a_url_that_is_not_fetched_is_told_by_its_kind(url: str, said: str) -> None:
    with pytest.raises(ForbiddenURL) as refused:
        checked_url(url, POLICY)
    assert said in refused.value.message
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("url", ["http://files.example/a?b=c", "HTTPS://FILES.EXAMPLE", "https://files.example:80/"])
def test_a_url_with_an_allowed_port_is_taken(url: str) -> None:
    assert checked_url(url, POLICY).host == "files.example"


def test_a_redirect_is_checked_like_a_first_url() -> None:
    base = checked_url("https://files.example/a/b.mp3", POLICY)
    assert str(checked_url("../c.mp3", POLICY, base)) == "https://files.example/c.mp3"
    assert checked_url("//other.example/c.mp3", POLICY, base).host == "other.example"
    for location in ("file:///etc/passwd", "http://files.example:6379/", "//u:p@files.example/"):
        with pytest.raises(ForbiddenURL):
            checked_url(location, POLICY, base)


def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    assert vetted("files.example", ["1.1.1.1", "2606:4700::1"], POLICY) == ["1.1.1.1", "2606:4700::1"]
    with pytest.raises(ForbiddenURL) as refused:
        vetted("files.example", ["1.1.1.1", "10.0.0.7"], POLICY)
    assert refused.value.code == "forbidden_address"
    assert "10.0.0.7" not in refused.value.message  # what a name stands for in this network is not for strangers


def test_a_scope_in_an_address_hides_nothing() -> None:
    with pytest.raises(ForbiddenURL):
        vetted("files.example", ["fe80::1%1"], POLICY)


def test_messages_show_neither_credentials_nor_signatures() -> None:
    assert shown("https://u:p@files.example/a.mp3?signature=1#x") == "https://files.example/a.mp3"


@pytest.mark.parametrize(
    ("url", "disposition", "name"),
    [
        ("https://h/a/Team%20call.mp3?x=1", None, "Team call.mp3"),
        ("https://h/a/", "attachment; filename*=UTF-8''%e2%82%ac.mp3", "€.mp3"),
        ("https://h/a/", 'attachment; filename="..\\\\..\\\\x.mp3"', "x.mp3"),
        ("https://h/a", 'attachment; filename="/etc/passwd"', "passwd"),
        ("https://h/", "inline", None),
        ("https://h/", "attachment; filename*=nonsense''%ff%00", "ÿ"),
        ("https://h/a%0d%0ab", None, "ab"),
    ],
)
def test_a_name_is_only_a_name(url: str, disposition: str | None, name: str | None) -> None:
    assert file_name(httpx.URL(url), disposition) == name
