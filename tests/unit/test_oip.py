"""The protocol's bytes: every dtype both ways, the specification's example, and malformed input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mcu_hybrid.cloud.oip import (
    HEADER_LENGTH,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from mcu_hybrid.cloud.oip_tensors import (
    DTYPES,
    OipError,
    datatype_of,
    from_binary,
    from_json_data,
    to_binary,
)

NUMERIC = sorted(name for name in DTYPES if name != "BYTES")
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def arrays(name: str) -> st.SearchStrategy[np.ndarray]:
    dtype = DTYPES[name]
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else None
    elements = hnp.from_dtype(dtype, **finite) if finite else None
    return hnp.arrays(dtype, SHAPES, elements=elements)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(NUMERIC), st.booleans())
def test_a_tensor_comes_back_as_it_went(data: st.DataObject, name: str, binary: bool) -> None:
    array = data.draw(arrays(name))
    message = encode_request({"x": array}, binary=binary)
    got = decode_request(message.body, message.headers.get(HEADER_LENGTH)).inputs["x"]
    assert datatype_of(got) == name
    assert got.shape == array.shape
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("binary", [True, False])
def test_strings_come_back(binary: bool) -> None:
    array = np.array([[b"one", "zwei ü"], [b"", "4"]], object)
    message = encode_request({"x": array}, binary=binary)
    got = decode_request(message.body, message.headers.get(HEADER_LENGTH)).inputs["x"]
    assert got.tolist() == [[b"one", "zwei ü".encode()], [b"", b"4"]]


def test_big_endian_and_strided_arrays_are_sent_little_endian_row_major() -> None:
    array = np.arange(6, dtype=">i4").reshape(2, 3).T
    assert to_binary(array) == np.array([0, 3, 1, 4, 2, 5], "<i4").tobytes()


def test_the_example_of_the_binary_extension() -> None:
    """Two binary inputs (16 + 3 bytes) and one binary output, as the extension's text shows."""
    head = {
        "model_name": "mymodel",
        "inputs": [
            {
                "name": "input0",
                "shape": [2, 2],
                "datatype": "UINT32",
                "parameters": {"binary_data_size": 16},
            },
            {
                "name": "input1",
                "shape": [3],
                "datatype": "BOOL",
                "parameters": {"binary_data_size": 3},
            },
        ],
        "outputs": [{"name": "output0", "parameters": {"binary_data": True}}],
    }
    text = json.dumps(head).encode()
    body = text + np.arange(4, dtype="<u4").tobytes() + b"\x01\x00\x01"
    request = decode_request(body, str(len(text)))
    assert request.inputs["input0"].tolist() == [[0, 1], [2, 3]]
    assert request.inputs["input1"].tolist() == [True, False, True]
    assert request.outputs == {"output0": True}


def test_an_output_can_override_the_request_wide_choice() -> None:
    head = {
        "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}],
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "a"}, {"name": "b", "parameters": {"binary_data": False}}],
    }
    assert decode_request(json.dumps(head).encode(), None).outputs == {"a": True, "b": False}


def test_response_with_one_binary_and_one_json_output() -> None:
    outputs = {"a": np.array([1.5, np.nan], "f4"), "b": np.array([[1, 2]], "i8")}
    message = encode_response(outputs, {"a": True, "b": False}, model_name="m", id="7")
    got = decode_response(message.body, message.headers[HEADER_LENGTH])
    assert (got.model_name, got.model_version, got.id) == ("m", "1", "7")
    np.testing.assert_array_equal(got.outputs["a"], outputs["a"])
    assert got.outputs["b"].tolist() == [[1, 2]]


def test_nan_cannot_go_as_json() -> None:
    with pytest.raises(OipError, match="NaN or infinity"):
        encode_request({"x": np.array([np.nan], "f4")}, binary=False)


def tensor(**changes: object) -> bytes:
    entry = {"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2]} | changes
    return json.dumps({"inputs": [{k: v for k, v in entry.items() if v is not None}]}).encode()


BAD = {
    "not JSON": (b"{", None, "cannot be read"),
    "no object": (b"[]", None, "must be a JSON object"),
    "nested too deep": (b"[" * 100_000, None, "nested deeper than 64"),
    "not text": (b"\xff\xfe\x00", None, "cannot be read"),
    "no inputs": (b"{}", None, "'inputs' is missing"),
    "empty inputs": (b'{"inputs":[]}', None, "no 'inputs'"),
    "no name": (tensor(name=None), None, "has no name"),
    "unknown dtype": (tensor(datatype="BF16"), None, "'BF16' is not one of BOOL"),
    "list as dtype": (tensor(datatype=[]), None, "datatype"),
    "no shape": (tensor(shape=None), None, "shape of 'x'"),
    "negative size": (tensor(shape=[-2]), None, "not a list of sizes"),
    "float size": (tensor(shape=[2.0]), None, "not a list of sizes"),
    "absurd empty shape": (tensor(shape=[0, 2**62, 2**62], data=[]), None, "not possible"),
    "too few values": (tensor(data=[1]), None, "1 values, shape [2] needs 2"),
    "uneven nesting": (tensor(data=[[1], 2]), None, "unevenly"),
    "no data": (tensor(data=None), None, "must be a list"),
    "out of range": (tensor(data=[1, 200]), None, "out of the range of INT8"),
    "half overflows": (tensor(datatype="FP16", data=[1, 1e6]), None, "out of the range of FP16"),
    "float overflows": (tensor(datatype="FP64", data=[1, 10**400]), None, "out of the range"),
    "float for int": (tensor(data=[1, 2.5]), None, "2.5 is not a INT8 value"),
    "bool for int": (tensor(data=[1, True]), None, "True is not a INT8 value"),
    "string for int": (tensor(data=[1, "2"]), None, "'2' is not a INT8 value"),
    "header length text": (tensor(), "many", "not a number"),
    "header length sign": (tensor(), "-1", "not a number"),
    "header length too big": (tensor(), "9999", "but the body has"),
    "left-over binary": (tensor() + b"xyz", str(len(tensor())), "3 bytes of binary data belong"),
    "more than sent": (
        tensor(data=None, parameters={"binary_data_size": 2}),
        None,
        "more than was sent",
    ),
    "size not the shape's": (
        tensor(data=None, parameters={"binary_data_size": 1}) + b"a",
        str(len(tensor(data=None, parameters={"binary_data_size": 1}))),
        "1 bytes of data, but INT8 [2] needs 2",
    ),
    "id not text": (json.dumps({"id": 1, **json.loads(tensor())}).encode(), None, "'id' must"),
    "outputs not a list": (
        json.dumps({"outputs": {}, **json.loads(tensor())}).encode(),
        None,
        "'outputs' is missing or not a list",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_requests_say_what_is_wrong(case: str) -> None:
    body, header, text = BAD[case]
    with pytest.raises(OipError) as caught:
        decode_request(body, header)
    assert text in caught.value.message
    assert caught.value.status == 400


def test_a_tensor_given_twice() -> None:
    entry = json.loads(tensor())["inputs"][0]
    with pytest.raises(OipError, match="given twice"):
        decode_request(json.dumps({"inputs": [entry, entry]}).encode(), None)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=5)))
def test_noise_never_raises_anything_else(body: bytes, header: str | None) -> None:
    with pytest.raises(OipError):
        decode_request(body, header)


def test_cut_off_strings_are_refused() -> None:
    whole = to_binary(np.array([b"abc", b"de"], object))
    for cut in range(1, len(whole)):
        with pytest.raises(OipError):
            from_binary(whole[:cut], "BYTES", [2], "x")


def test_a_bool_byte_must_be_0_or_1() -> None:
    with pytest.raises(OipError, match="neither 0 nor 1"):
        from_binary(b"\x00\x02", "BOOL", [2], "x")


def test_flat_and_nested_data_are_the_same() -> None:
    flat = from_json_data([1, 2, 3, 4], "FP32", [2, 2])
    np.testing.assert_array_equal(flat, from_json_data([[1, 2], [3, 4]], "FP32", [2, 2]))
