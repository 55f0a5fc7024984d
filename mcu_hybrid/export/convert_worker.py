"""ONNX -> full-integer int8 TFLite in a process of its own: ``python -m ... FOLDER``.

TensorFlow and onnx2tf write to the terminal from C++ and take seconds to import; here they harm
nobody. The folder holds job.json, model.onnx and calibration.npz (one NHWC float array per input,
rows paired); it gets int8.tflite and float.npz (each float tensor's values for the first rows).
Nothing is downloaded: onnx2tf asks for sample images when an input has three channels, and is
handed the calibration images.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

for _name, _value in (
    ("TF_CPP_MIN_LOG_LEVEL", "3"),
    ("TF_USE_LEGACY_KERAS", "1"),
    ("CUDA_VISIBLE_DEVICES", ""),
    ("TF_ENABLE_ONEDNN_OPTS", "0"),  # the same sums in the same order on every machine
):
    os.environ.setdefault(_name, _value)


def main(folder: Path) -> None:
    """Convert what lies in the folder."""
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "calibration.npz", allow_pickle=False) as file:
        rows = {name: file[name] for name in file.files}
    _rename_edges(folder / "model.onnx", job["inputs"], job["outputs"])
    _to_saved_model(folder, job, rows)
    import tensorflow as tf

    def converter() -> Any:
        made = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
        made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return made

    floats = converter().convert()
    try:
        _keep_activations(tf, floats, rows, job["probes"], folder / "float.npz")
    except Exception as error:  # a look at the network that nothing else needs
        sys.stderr.write(f"no float values: {type(error).__name__}: {error}\n")
    count = max(len(array) for array in rows.values())

    def representative() -> Iterator[dict[str, np.ndarray]]:
        for i in range(count):
            yield {name: array[i % len(array)][None] for name, array in rows.items()}

    quantiser = converter()
    quantiser.optimizations = [tf.lite.Optimize.DEFAULT]
    quantiser.representative_dataset = representative
    quantiser.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    quantiser.inference_input_type = tf.int8
    quantiser.inference_output_type = tf.int8
    (folder / "int8.tflite").write_bytes(quantiser.convert())


def _rename_edges(path: Path, inputs: list[str], outputs: list[str]) -> None:
    """Give the ONNX file's inputs and outputs our names: TensorFlow alters some characters."""
    import onnx

    model = onnx.load(str(path))
    names = {}
    fixed = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in fixed]
    for value, name in (
        *zip(given, inputs, strict=True),
        *zip(model.graph.output, outputs, strict=True),
    ):
        names[value.name] = value.name = name
    for node in model.graph.node:
        for field in (node.input, node.output):
            for i, name in enumerate(field):
                field[i] = names.get(name, name)
    onnx.save(model, str(path))


def _to_saved_model(folder: Path, job: Mapping[str, Any], rows: dict[str, np.ndarray]) -> None:
    import onnx2tf
    from onnx2tf import onnx2tf as converter

    image = rows[job["inputs"][0]]

    def own_images() -> np.ndarray:
        return np.resize(image, (20, *image.shape[1:])).astype(np.float32)

    converter.download_test_image_data = own_images
    _pad_with_scalars()
    onnx2tf.convert(
        input_onnx_file_path=str(folder / "model.onnx"),
        output_folder_path=str(folder / "saved"),
        output_signaturedefs=True,
        copy_onnx_input_output_names_to_tflite=True,
        overwrite_input_shape=job["shapes"] or None,
        keep_nwc_or_nhwc_or_ndhwc_input_names=job["keep_nhwc"] or None,
        not_use_onnxsim=True,  # found on PATH or not: the result must not depend on that
        non_verbose=True,
        verbosity="error",
    )


def _pad_with_scalars() -> None:
    """onnx2tf hands tf.pad its value as an array of one, for which TFLite has no operator."""
    import tensorflow as tf

    pad = tf.pad

    def padded(*args: Any, constant_values: Any = 0, **kwargs: Any) -> Any:
        if isinstance(constant_values, np.ndarray) and constant_values.size == 1:
            constant_values = constant_values.item()
        return pad(*args, constant_values=constant_values, **kwargs)

    tf.pad = padded


def _keep_activations(
    tf: Any, model: bytes, rows: dict[str, np.ndarray], probes: int, path: Path
) -> None:
    """Run the float model on the first rows and keep every tensor that an operator writes."""
    interpreter = _interpreter(tf, model)
    run = interpreter.get_signature_runner()
    outputs = {int(i) for op in interpreter._get_ops_details() for i in op["outputs"]}
    names = {d["index"]: d["name"] for d in interpreter.get_tensor_details()}
    kept: dict[str, list[np.ndarray]] = {names[i]: [] for i in outputs if i in names}
    for i in range(probes):  # of every tensor the same rows, or none of it
        run(**{name: array[i % len(array)][None] for name, array in rows.items()})
        for index in outputs & names.keys():
            kept[names[index]].append(np.atleast_1d(interpreter.get_tensor(index).copy()))
    order = [name for name, parts in kept.items() if len({part.shape for part in parts}) == 1]
    np.savez(
        path,
        names=np.array(order),
        **{f"a{i}": np.concatenate(kept[name]) for i, name in enumerate(order)},
    )


def _interpreter(tf: Any, model: bytes) -> Any:
    """An interpreter that keeps every tensor; ELU and some others have no reference kernel."""
    kinds = tf.lite.experimental.OpResolverType

    def made(kind: Any) -> Any:
        interpreter = tf.lite.Interpreter(
            model_content=model,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=kind,
        )
        interpreter.allocate_tensors()
        return interpreter

    try:
        return made(kinds.BUILTIN_REF)
    except ValueError:
        return made(kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
