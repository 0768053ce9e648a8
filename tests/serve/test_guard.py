"""Who may ask: neither another page that the user has open, nor a name that points here."""

import re

import pytest


def test_the_page_names_no_other_place(client):
    page = client.ask("GET", "").text
    assert set(re.findall(r"(?:https?:)?//[\w.-]+", page)) == set()
    assert "Research use, not for diagnosis" in page


@pytest.mark.parametrize("path", ["", "status", "uploads/0/result", "no/such/page"])
def test_every_answer_forbids_what_it_does_not_need(client, path):
    headers = client.ask("GET", path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "*" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "server" not in headers and "access-control-allow-origin" not in headers


@pytest.mark.parametrize("root", ["/", "/wrong/", "//", "/%ff/", "/" + "A" * 43 + "/"])
def test_without_the_token_nothing_is_shown(client, root):
    answer = client.ask("GET", "", root=root)
    assert answer.status == 403 and "medinv serve printed" in answer.text


def test_the_token_alone_leads_to_the_page(client):
    answer = client.ask("GET", "", root=client.path.rstrip("/"))
    assert answer.status == 308 and answer.headers["Location"] == client.path


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", None, ""])
def test_another_name_that_points_here_is_refused(client, host):
    assert client.ask("GET", "", Host=host).status in (400, 421)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None, "http://127.0.0.1:1"])
def test_what_another_page_sends_changes_nothing(client, server, origin):
    before = len(server.uploads.all())
    assert client.ask("POST", "uploads", Origin=origin).status == 403
    assert client.ask("POST", "uploads", Sec_Fetch_Site="cross-site").status == 403
    assert len(server.uploads.all()) == before


def test_the_socket_is_of_this_machine_alone(server):
    assert server._socket.getsockname()[0] == "127.0.0.1"
