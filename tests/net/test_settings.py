"""The network file: nothing opens by itself, and a mistake is said with its key."""

from pathlib import Path

import pytest

from medinv.errors import ConfigError
from medinv.net.settings import DicomPeer, Network, WebPeer, load_network


def test_without_a_file_nobody_may_call_and_only_this_machine_is_heard() -> None:
    assert load_network(None).address == "127.0.0.1" and load_network(None).callers == ()


def test_the_example_is_valid(configs: Path) -> None:
    network = load_network(configs / "network.yaml")
    assert isinstance(network.peer(network.answer_to), DicomPeer) and network.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quiet: 3", "quiet: Extra inputs"),
        ("answer_to: nobody", "answer_to names 'nobody'"),
        ("callers: [{ae_title: A, address: hospital}]", "callers.0.address"),
        ("callers: [{ae_title: ABCDEFGHIJKLMNOPQ, address: 127.0.0.1}]", "callers.0.ae_title"),
        (
            "peers: {a: {ae_title: A, address: 127.0.0.1, port: 1, tls: true}}",
            "the section tls must name",
        ),
        ("peers: {a: {url: 'http://user:secret@host/dicom-web'}}", "url"),
        ("[", "readable YAML"),
        ("- 1", "top"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "network.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_network(tmp_path / "network.yaml")
    assert said in str(caught.value)


def test_peers_are_named_or_addressed() -> None:
    network = Network(peers={"web": WebPeer(url="http://localhost/dicom-web")})
    assert network.peer("web") == network.peer("http://localhost/dicom-web")
    assert network.peer("PACS@10.0.0.1:104") == DicomPeer(
        ae_title="PACS", address="10.0.0.1", port=104
    )
    with pytest.raises(ConfigError, match="AETITLE@HOST:PORT"):
        network.peer("nobody")
