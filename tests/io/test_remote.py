import sys
import types

import pytest

from diffusionrig.errors import RigError
from diffusionrig.io.remote import local_copy


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """A blobfile that serves one file and counts how often it is asked."""
    (tmp_path / "served").write_bytes(b"weights")
    calls = []

    def blob(address, mode):
        calls.append(address)
        if address.endswith("missing.pt"):
            raise FileNotFoundError(address)
        return open(tmp_path / "served", mode)

    monkeypatch.setitem(sys.modules, "blobfile", types.SimpleNamespace(BlobFile=blob))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return calls


def test_a_remote_file_is_fetched_once_and_kept_by_its_address(cloud):
    first = local_copy("gs://bucket/a/model.pt")
    assert first.read_bytes() == b"weights"
    assert first.name.endswith("-model.pt")
    assert local_copy("gs://bucket/a/model.pt") == first
    assert local_copy("gs://bucket/b/model.pt") != first
    assert len(cloud) == 2


def test_a_local_path_is_left_alone(cloud, tmp_path):
    assert local_copy(tmp_path / "model.pt") == tmp_path / "model.pt"
    assert cloud == []


def test_what_cannot_be_fetched_is_one_sentence_and_leaves_nothing(cloud, tmp_path):
    with pytest.raises(RigError, match=r"Cannot fetch https://x/missing\.pt"):
        local_copy("https://x/missing.pt")
    assert list((tmp_path / "cache" / "diffusionrig").iterdir()) == []
