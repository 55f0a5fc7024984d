"""mcu-hybrid serve: an ONNX model over the Open Inference Protocol v2."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from mcu_hybrid.cli.common import json_option, print_json


@click.command("serve")
@click.option(
    "--model",
    "model_path",
    required=True,
    type=click.Path(path_type=Path),
    help="An ONNX file, or the folder that export wrote (its global model is served).",
)
@click.option("--name", default="global", show_default=True, help="Name in the URL.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 to open it up.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 picks a free one.",
)
@click.option("--token", envvar="MCU_HYBRID_TOKEN", help="Ask for this bearer token.")
@click.option(
    "--max-body",
    default=8,
    show_default=True,
    type=click.IntRange(min=1),
    help="Largest request that is read, MiB.",
)
@click.option(
    "--max-batch",
    default=64,
    show_default=True,
    type=click.IntRange(min=1),
    help="Most inputs of one request; the model's metadata tell it.",
)
@click.option(
    "--threads",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Of the model; 0 = all cores.",
)
@json_option
def command(
    model_path: Path,
    name: str,
    host: str,
    port: int,
    token: str | None,
    max_body: int,
    max_batch: int,
    threads: int,
    as_json: bool,
) -> None:
    """Serve an ONNX model over HTTP (Open Inference Protocol v2, JSON and binary tensors).

    Any other server of this protocol (Triton, KServe, MLServer, OpenVINO) can stand in its place:
    mcu-hybrid run --cloud URL --model NAME.

    Example: mcu-hybrid serve --model runs/export --name global --port 8080
    """
    from mcu_hybrid.cloud.fronts import Listen
    from mcu_hybrid.steps.serve import global_model, serve

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "model": name})
        else:
            click.echo(f"serving '{name}' at {url}/v2/models/{name}   (Ctrl-C ends it)")

    serve(
        global_model(model_path),
        name,
        Listen(host, port, token, max_body << 20),
        max_batch=max_batch,
        threads=threads,
        on_ready=ready,
    )
