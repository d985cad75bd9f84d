import pytest
from starlette.websockets import WebSocketDisconnect
from studio_pages import PORT, TOKEN


@pytest.mark.parametrize("path", ["", "wrong-token/", "right-tokens/", "RIGHT-TOKEN/", "static/page.js", f"x/../{TOKEN}x/"])
def test_without_the_token_there_is_nothing(studio, path):
    answer = studio.client.get(f"/{path}")
    assert answer.status_code == 404
    assert "diffusionrig studio printed" in answer.text


@pytest.mark.parametrize("host", ["evil.example:7860", "127.0.0.1:7861", "127.0.0.1", "localhost.evil.example:7860", ""])
def test_another_name_of_this_machine_is_not_answered(studio, host):
    answer = studio.get("", headers={"Host": host})
    assert answer.status_code == 421
    assert "127.0.0.1 and localhost alone" in answer.text


def test_localhost_is_the_same_machine(studio):
    assert studio.get("", headers={"Host": f"localhost:{PORT}"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1:7861"])
def test_pages_from_elsewhere_may_not_ask(studio, origin):
    assert studio.post("api/example", headers={"Origin": origin}).status_code == 403
    assert studio.session.state.sitting is None
    with pytest.raises(WebSocketDisconnect) as refused, studio.page(headers={"Origin": origin}) as page:
        page.receive()
    assert refused.value.code == 1008


def test_a_socket_needs_the_token_too(studio):
    with pytest.raises(WebSocketDisconnect), studio.client.websocket_connect(
            f"ws://127.0.0.1:{PORT}/wrong-token/socket") as socket:
        socket.receive()
    with studio.page(headers={"Origin": f"http://127.0.0.1:{PORT}"}) as page:
        assert page.receive()["type"] == "state"


def test_the_page_may_load_and_reach_nothing_but_its_server(studio):
    answer = studio.get("")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_address_without_its_last_stroke_leads_to_the_page(studio):
    answer = studio.client.get(f"/{TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, f"/{TOKEN}/")


@pytest.mark.parametrize("path", ["static/../app.py", "static/%2e%2e/app.py", "static/..%2fapp.py", "static//etc/passwd"])
def test_files_beside_the_page_are_out_of_reach(studio, path):
    answer = studio.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text
