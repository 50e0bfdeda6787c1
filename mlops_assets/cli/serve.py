"""`mlops serve`: the gateway."""

from typing import Annotated

import typer

from mlops_assets.cli.context import platform
from mlops_assets.core.errors import MissingExtra


def serve(
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Serve the lines' models, and the pages, over HTTP."""
    try:
        import uvicorn

        from mlops_assets.serving.app import build
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"The gateway needs the package '{error.name}', which is not installed.",
            "pip install 'mlops_assets[serve]'",
        ) from error
    uvicorn.run(build(platform()), host=host, port=port, access_log=False, server_header=False)
