"""What the survey's page is served with."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
from typing import Any

import httpx
import pytest

from secagg.cli.demo.survey_pages import BUNDLE, PageServer
from secagg.cli.demo.survey_question import find_page
from secagg.errors import ParameterError


def served(
    *paths: str, published: dict[str, Any] | None = None, method: str = "GET", host: str = ""
) -> list[httpx.Response]:
    async def play() -> list[httpx.Response]:
        async with PageServer(find_page(), 0, lambda: published or {}) as page:
            page.service = "http://127.0.0.1:1234"
            async with httpx.AsyncClient(base_url=page.origin, timeout=60, trust_env=False) as browser:
                headers = {"host": host} if host else {}
                return [await browser.request(method, path, headers=headers) for path in paths]

    return asyncio.run(play())


def test_every_file_comes_under_a_policy_that_lets_in_nothing_else() -> None:
    for reply in served("/", "/index.html", "/style.css", f"/{BUNDLE}"):
        assert reply.status_code == 200
        policy = dict(part.strip().partition(" ")[::2] for part in reply.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["connect-src"] == "'self' http://127.0.0.1:1234"
        assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["referrer-policy"] == "no-referrer"


def test_the_page_takes_no_other_code_and_style_than_these() -> None:
    page, style, code = served("/", "/style.css", f"/{BUNDLE}")
    named = dict(re.findall(r'(style\.css|survey\.bundle\.js)" integrity="sha256-([^"]+)"', page.text))
    for name, reply in (("style.css", style), (BUNDLE, code)):
        assert base64.b64decode(named[name]) == hashlib.sha256(reply.content).digest()
    assert page.text.count("<script") == page.text.count('<link rel="stylesheet"') == 1
    assert not re.search(r"\son[a-z]+=|style=", page.text)
    assert PageServer(find_page(), 0, dict).bundle_sha256 == hashlib.sha256(code.content).hexdigest()


def test_the_result_is_what_is_published_now() -> None:
    (reply,) = served("/result.json", published={"state": "open"})
    assert reply.json() == {"state": "open"}
    assert reply.headers["cache-control"] == "no-store"


def test_nothing_else_is_served() -> None:
    others = served("/README.md", "/survey.js", "/../pyproject.toml", "/%2e%2e/style.css")
    assert [reply.status_code for reply in others] == [404, 404, 404, 400]  # no path has a percent sign
    assert [reply.status_code for reply in served("/", "/result.json", method="POST")] == [405] * 2


def test_under_a_name_of_others_nothing_is_served() -> None:
    for host in ("evil.example", "evil.example:8480", "127.0.0.1", "127.0.0.1:1"):
        replies = served("/", "/result.json", f"/{BUNDLE}", published={"state": "done"}, host=host)
        assert [reply.status_code for reply in replies] == [421] * 3
        assert {reply.text for reply in replies} == {"this page is at 127.0.0.1 alone\n"}


def test_a_port_that_is_taken_is_one_sentence() -> None:
    async def play(port: int) -> None:
        async with PageServer(find_page(), port, dict):
            pass

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ParameterError, match=r"cannot be listened on: .*; give a free port"):
            asyncio.run(play(other.getsockname()[1]))
