"""A listener online is not confused by numbers that overflow, by odd addresses, or by a client that resets."""

import socket
import struct
import threading

import numpy as np
import pytest

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.line_streams import socket_lines
from diffusionrig.reactions.live.lines import read_frame, write_answer
from diffusionrig.reactions.live.listening import Answer


@pytest.mark.parametrize("number", ["1e39", "-1e308", "1e5", "NaN", "inf", "1e999"])
def test_numbers_that_no_face_has(number):
    for line in (" ".join([number] + ["0"] * 57), f'{{"coefficients": [{number}{", 0" * 57}]}}'.replace("inf", "Infinity")):
        with pytest.raises(UsageError, match="Line 4"):
            read_frame(line, 4)


def test_a_whole_number_beyond_any_float_and_an_object_without_end():
    with pytest.raises(UsageError, match="Line 1"):
        read_frame(f'{{"coefficients": [{"9" * 400}{", 0" * 57}]}}', 1)
    with pytest.raises(UsageError, match="Line 1"):
        read_frame('{"a":' * 100_000, 1)


def test_an_answer_that_is_not_finite_is_not_written():
    answer = Answer(0, np.zeros((1, 25), np.float32), np.full((1, 58), np.nan, np.float32), 0.1)
    with pytest.raises(RigError, match="not finite"):
        list(write_answer(answer))


@pytest.mark.parametrize("place", ["127.0.0.1:²", "127.0.0.1:٣", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:" + "1" * 5000,
                                   "x" * 70 + ".:1"])
def test_odd_addresses(place):
    with pytest.raises(UsageError), socket_lines(place, lambda where: None):
        pass


def test_a_client_that_resets():
    def reset(where: str) -> None:
        def client() -> None:
            host, port = where.rsplit(":", 1)
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(b"1 2 3\n")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets

        threading.Thread(target=client).start()

    gone = pytest.raises(RigError, match="The other side of the connection is gone")
    with gone, socket_lines("127.0.0.1:0", reset) as (lines, write):
        for _ in lines:
            for _ in range(1000):
                write("x" * 1000)
