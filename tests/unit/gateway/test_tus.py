"""tus 1.0.0 as a table of decisions, and as a machine that no client brings out of step with what it sent."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway import tus
from gateway.failures import http_status
from gateway.tus import Limits, Part, Upload
from parley.errors import ParleyError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIMITS = Limits(max_bytes=5_000_000_000, max_part_bytes=100, lifetime=timedelta(hours=1))
UPLOAD = Upload("u1", length=250, offset=100, metadata="filename YS5tcDM=", expires_at=NOW + timedelta(minutes=1))
COMPLETE = replace(UPLOAD, offset=250)


def patch(offset: int | str = 100, **headers: str) -> dict[str, str]:
    return {"upload-offset": str(offset), "content-type": tus.PART_TYPE} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }


def sha1(data: bytes) -> str:
    return "sha1 " + base64.b64encode(hashlib.sha1(data).digest()).decode()


def status_of(decide: Callable[[], object]) -> int:
    with pytest.raises(ParleyError) as refused:
        decide()
    return http_status(refused.value)


def test_options_name_the_version_the_extensions_and_the_limit() -> None:
    assert tus.options(LIMITS) == {
        "Tus-Resumable": "1.0.0",
        "Tus-Version": "1.0.0",
        "Tus-Extension": "creation,creation-with-upload,expiration,checksum,termination",
        "Tus-Max-Size": "5000000000",
        "Tus-Checksum-Algorithm": "sha1,sha256",
    }


@pytest.mark.parametrize("version", ["0.2.2", "2.0.0", "", None])
def test_another_version_is_refused_before_all_else(version: str | None) -> None:
    headers = {} if version is None else {"tus-resumable": version}
    assert status_of(lambda: tus.check_version(headers)) == 412


def test_a_method_in_a_header_counts() -> None:
    assert tus.method_of("POST", {"x-http-method-override": "patch"}) == "PATCH"
    assert tus.method_of("HEAD", {}) == "HEAD"
    assert status_of(lambda: tus.method_of("POST", {"x-http-method-override": "TRACE"})) == 405


class TestCreation:
    def test_an_upload_begins_with_its_length_and_its_metadata(self) -> None:
        new = tus.new_upload({"upload-length": "5000000000", "upload-metadata": "filename YS5tcDM="}, LIMITS, NOW)
        assert (new.length, new.expires_at) == (5_000_000_000, NOW + timedelta(hours=1))
        assert tus.parse_metadata(new.metadata) == {"filename": "a.mp3"}

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"upload-length": "0"}, 400),
            ({"upload-length": "5000000001"}, 413),
            ({"upload-length": "9" * 19}, 400),
            ({"upload-length": "-1"}, 400),
            ({"upload-length": "1e3"}, 400),
            ({"upload-length": "٣"}, 400),
            ({}, 400),
            ({"upload-defer-length": "1"}, 400),
            ({"upload-length": "9", "upload-concat": "partial"}, 400),
            ({"upload-length": "9", "upload-metadata": "filename %%%"}, 400),
        ],
    )
    def test_a_length_that_is_none_or_too_much_is_refused(self, headers: dict[str, str], status: int) -> None:
        assert status_of(lambda: tus.new_upload(headers, LIMITS, NOW)) == status

    @pytest.mark.parametrize(
        ("header", "values"),
        [
            ("", {}),
            ("filename d8O2cmsubXAz,is_private", {"filename": "wörk.mp3", "is_private": ""}),
            ("a YQ== , b Yg==", {"a": "a", "b": "b"}),
            ("a ,b", {"a": "", "b": ""}),
        ],
    )
    def test_metadata_are_keys_with_values_in_base64(self, header: str, values: dict[str, str]) -> None:
        assert tus.parse_metadata(header) == values

    @pytest.mark.parametrize("header", ["a YQ==,a Yg==", "ä YQ==", "a YQ", "a Y Q==", "a /w==", "a " + "YWFh" * 2000])
    def test_metadata_that_are_malformed_are_refused(self, header: str) -> None:
        assert status_of(lambda: tus.parse_metadata(header)) == 400

    def test_the_first_part_may_come_along(self) -> None:
        new = tus.new_upload({"upload-length": "250"}, LIMITS, NOW)
        assert tus.first_part({"content-length": "0"}, new, LIMITS) is None
        assert tus.first_part({}, new, LIMITS) is None
        with_part = {"content-length": "50", "content-type": tus.PART_TYPE}
        assert tus.first_part(with_part, new, LIMITS) == Part(0, 100, None)
        assert status_of(lambda: tus.first_part({"content-length": "50"}, new, LIMITS)) == 415
        assert status_of(lambda: tus.first_part(with_part | {"content-length": "101"}, new, LIMITS)) == 413


class TestParts:
    def test_a_part_continues_where_the_last_one_ended(self) -> None:
        assert tus.part_of(patch(), UPLOAD, LIMITS) == Part(100, 100, None)
        assert tus.part_of(patch(200), replace(UPLOAD, offset=200), LIMITS) == Part(200, 50, None)

    @pytest.mark.parametrize(
        ("headers", "upload", "status"),
        [
            (patch(0), UPLOAD, 409),  # twice
            (patch(200), UPLOAD, 409),  # out of order
            (patch(100), COMPLETE, 409),  # twice, behind the end
            (patch(250, content_length="1"), COMPLETE, 413),  # more than all
            (patch(content_length="101"), UPLOAD, 413),  # over the limit of a part
            (patch(200, content_length="51"), replace(UPLOAD, offset=200), 413),  # over the length
            (patch("x"), UPLOAD, 400),
            (patch("-1"), UPLOAD, 400),
            ({"content-type": tus.PART_TYPE}, UPLOAD, 400),
            (patch(content_type="application/octet-stream"), UPLOAD, 415),
            ({"upload-offset": "100"}, UPLOAD, 415),
            (patch(upload_checksum="crc32 AAAA"), UPLOAD, 400),
            (patch(upload_checksum="sha1 AAAA"), UPLOAD, 400),
            (patch(upload_checksum="sha1"), UPLOAD, 400),
            (patch(upload_checksum="sha1 %%%"), UPLOAD, 400),
        ],
    )
    def test_a_part_that_does_not_belong_is_refused(self, headers: dict[str, str], upload: Upload, status: int) -> None:
        assert status_of(lambda: tus.part_of(headers, upload, LIMITS)) == status

    def test_an_empty_part_changes_nothing_also_behind_the_end(self) -> None:
        part = tus.part_of(patch(250, content_length="0"), COMPLETE, LIMITS)
        assert tus.kept(part, 0, None, whole=True) == 0

    def test_a_part_keeps_what_matches_its_checksum(self) -> None:
        part = tus.part_of(patch(upload_checksum=sha1(b"abc")), UPLOAD, LIMITS)
        assert tus.kept(part, 3, hashlib.sha1(b"abc").digest(), whole=True) == 3
        assert status_of(lambda: tus.kept(part, 3, hashlib.sha1(b"abd").digest(), whole=True)) == 460

    def test_of_a_broken_request_is_kept_what_came_unless_nothing_vouches_for_it(self) -> None:
        assert tus.kept(Part(0, 100, None), 7, None, whole=False) == 7
        part = tus.part_of(patch(upload_checksum=sha1(b"abc")), UPLOAD, LIMITS)
        assert tus.kept(part, 3, hashlib.sha1(b"abc").digest(), whole=False) == 0


class TestExpiration:
    def test_an_upload_that_was_left_is_gone_and_a_complete_one_stays(self) -> None:
        tus.check_alive(UPLOAD, NOW)
        later = NOW + timedelta(minutes=1)
        assert status_of(lambda: tus.check_alive(UPLOAD, later)) == 410
        tus.check_alive(COMPLETE, later)

    def test_each_part_gives_it_time(self) -> None:
        assert tus.advanced(UPLOAD, 10, LIMITS, NOW).expires_at == NOW + timedelta(hours=1)


def test_an_upload_is_described_by_where_it_is() -> None:
    assert tus.describe(UPLOAD) == {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "100",
        "Upload-Length": "250",
        "Upload-Metadata": "filename YS5tcDM=",
        "Upload-Expires": "Fri, 20 Nov 2026 12:01:00 GMT",
        "Cache-Control": "no-store",
    }
    assert "Upload-Expires" not in tus.describe(COMPLETE)


class AnyClient(RuleBasedStateMachine):
    """A client that sends right and wrong parts, breaks off and comes back; what is kept is always what it has."""

    @initialize(length=st.integers(1, 400))
    def create(self, length: int) -> None:
        self.source = bytes(index * 7 % 256 for index in range(length))
        self.now = NOW
        new = tus.new_upload({"upload-length": str(length)}, LIMITS, self.now)
        self.upload = Upload("u1", new.length, 0, new.metadata, new.expires_at)
        self.stored = b""
        self.completions = 0
        self.expired = False

    def send(self, offset: int, body: bytes, *, checksum: bytes | None = None, breaks_at: int | None = None) -> int:
        """What the HTTP shell does, with a body in memory; gives the status."""
        headers = patch(offset, content_length=str(len(body)))
        if checksum is not None:
            headers["upload-checksum"] = sha1(checksum)
        try:
            tus.check_alive(self.upload, self.now)
            part = tus.part_of(headers, self.upload, LIMITS)
            arrived = body[:breaks_at]
            size = tus.kept(part, len(arrived), hashlib.sha1(arrived).digest(), whole=breaks_at is None)
        except ParleyError as error:
            return http_status(error)
        if size:
            self.upload = tus.advanced(self.upload, size, LIMITS, self.now)
            self.stored += arrived[:size]
            self.completions += self.upload.complete
        return 204

    @rule(size=st.integers(0, 100), checked=st.booleans())
    def continues(self, size: int, checked: bool) -> None:
        body = self.source[self.upload.offset :][:size]
        status = self.send(self.upload.offset, body, checksum=body if checked else None)
        assert status == (410 if self.expired else 204)

    @rule(size=st.integers(1, 100), breaks_at=st.integers(0, 99), checked=st.booleans())
    def breaks_off(self, size: int, breaks_at: int, checked: bool) -> None:
        body = self.source[self.upload.offset :][:size]
        self.send(self.upload.offset, body, checksum=body if checked else None, breaks_at=min(breaks_at, len(body)))

    @rule(offset=st.integers(0, 500))
    def sends_a_part_from_elsewhere(self, offset: int) -> None:
        if offset != self.upload.offset:
            before = self.upload
            assert self.send(offset, b"x" * 10) == (410 if self.expired else 409)
            assert self.upload == before

    @rule(size=st.integers(1, 50))
    def sends_what_does_not_match(self, size: int) -> None:
        if self.upload.offset + size <= self.upload.length:
            assert self.send(self.upload.offset, b"x" * size, checksum=b"y") == (410 if self.expired else 460)

    @rule()
    def sends_too_much(self) -> None:
        too_much = min(LIMITS.max_part_bytes, self.upload.length - self.upload.offset) + 1
        assert self.send(self.upload.offset, b"x" * too_much) == (410 if self.expired else 413)

    @rule(minutes=st.integers(1, 40))
    def waits(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        self.expired = not self.upload.complete and self.now >= self.upload.expires_at

    @precondition(lambda self: hasattr(self, "source"))
    @invariant()
    def what_is_kept_is_what_was_sent(self) -> None:
        assert self.stored == self.source[: len(self.stored)]
        assert self.upload.offset == len(self.stored)
        assert self.completions == int(self.upload.complete)


TestAnyClient = AnyClient.TestCase
TestAnyClient.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
