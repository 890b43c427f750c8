"""What becomes of exceptions: an answer always, a record where nobody expected them."""

import json
import logging

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404
from django.http.multipartparser import MultiPartParserError

from pybolt import HTTPError, RequestValidationError
from pybolt.bridge import decode_json, failure, file_failed
from pybolt.encoding import UnencodableResult
from pybolt.exceptions import MalformedBody


class Asked:
    method, path, request_id = "GET", "/x", "r-1"


class Hostile(BaseException):
    def __str__(self):
        raise ValueError("no")

    __repr__ = __str__


class HostileRequest:
    def __getattr__(self, name):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HTTPError(409, "taken"), 409),
        (RequestValidationError([{"in": "query", "field": "n", "message": "is required"}]), 422),
        (Http404("secret"), 404),
        (PermissionDenied("secret"), 403),
        (SuspiciousOperation("secret"), 400),
        (MultiPartParserError("secret"), 400),
        (RequestDataTooBig("secret"), 413),
    ],
)
def test_expected_exceptions_are_problems_and_no_record(error, status, caplog):
    found, headers, body = failure(error, "app:view", Asked())
    assert found == status == json.loads(body)["status"]
    assert ("content-type", "application/problem+json") in headers
    assert b"secret" not in body
    assert not caplog.records


@pytest.mark.parametrize(
    "error",
    [ValueError("secret"), SystemExit(1), KeyboardInterrupt(), MemoryError(), Hostile()],
    ids=lambda error: type(error).__name__,
)
def test_all_others_are_500_and_one_record(error, caplog):
    status, _, body = failure(error, "app:view", Asked())
    assert status == 500
    assert b"secret" not in body
    [record] = caplog.records
    assert (record.name, record.levelno) == ("pybolt.request", logging.ERROR)
    assert "app:view" in record.getMessage()
    assert "r-1" in record.getMessage()
    assert record.exc_info[1] is error


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(400, headers={"x": "a\r\nb: c"}),
        HTTPError(400, headers={"a b": "c"}),
        HTTPError(400, headers={"x": "5 \u20ac"}),
        HTTPError(400, headers={"x": 5}),
        HTTPError(101),
        HTTPError(1000),
        HTTPError("400"),
        HTTPError(400, object()),
    ],
    ids=lambda error: str(error)[:20],
)
def test_an_answer_that_cannot_be_given_is_500_and_one_record(error, caplog):
    status, _, _ = failure(error, "app:view", Asked())
    assert status == 500
    [record] = caplog.records
    assert record.exc_info[1].__context__ is error


@pytest.mark.parametrize(
    "request_", [None, HostileRequest(), object()], ids=["none", "raises", "odd"]
)
def test_nothing_makes_it_raise(request_, caplog):
    assert failure(ValueError(), "app:view", request_)[0] == 500
    assert len(caplog.records) == 1


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'"\xff"', b"[" * 100_000])
def test_what_is_no_json_is_malformed(raw):
    with pytest.raises(MalformedBody):
        decode_json(raw)


def test_a_junk_return_is_named_in_the_line(caplog):
    failure(UnencodableResult("cannot return object"), "app:view", Asked())
    assert caplog.messages == ["handler app:view failed GET /x: cannot return object [r-1]"]


def test_a_file_that_cannot_be_sent_is_one_record(caplog):
    file_failed("app:view", "/nowhere", "No such file or directory", True)
    file_failed("app:view", "/tmp", "it is not a regular file", False)
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]
    assert caplog.messages[1] == "handler app:view: cannot send '/tmp': it is not a regular file"
