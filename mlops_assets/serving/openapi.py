"""The gateway's OpenAPI document: every route with its role, its errors in the one shape, and the ways in."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mlops_assets.serving.door.answers import ErrorDocument
from mlops_assets.serving.door.login import LOG_IN, LOG_OUT
from mlops_assets.serving.door.routing import RouteTable
from mlops_assets.serving.door.sessions import COOKIE

SCHEMAS = "#/components/schemas/"
SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key made by `mlops keys add`"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "What /login sets in a browser"},
}
_FORM = {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}, "to": {"type": "string"}}}


def describe(app: FastAPI, table: RouteTable) -> None:
    """Let an app describe itself with the role of each route; the document is made when it is first asked for."""
    made: dict[str, Any] = {}

    def document() -> dict[str, Any]:
        if not made:
            made.update(_document(app, table))
        return made

    app.openapi = document


def _document(app: FastAPI, table: RouteTable) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = document.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    document["security"] = [{name: []} for name in SCHEMES]
    failed = _failed(components["schemas"])
    for (method, path), role in table.roles().items():
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            operation["x-role"] = role
            operation["responses"] = {"200": operation["responses"]["200"], "default": failed}
            said = operation.get("description", operation.get("summary", ""))
            operation["description"] = f"{said}\n\nRole: {role}."
    document["paths"][LOG_IN] = {
        "post": {
            "summary": "Log in",
            "description": "Takes a key from a form and sets a session cookie.",
            "security": [],
            "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": _FORM}}},
            "responses": {"303": {"description": "Logged in"}, "401": {"description": "A wrong key"}},
        }
    }
    document["paths"][LOG_OUT] = {
        "post": {
            "summary": "Log out",
            "description": "Ends the session.\n\nRole: viewer.",
            "x-role": "viewer",
            "responses": {"303": {"description": "Logged out"}},
        }
    }
    return document


def _failed(schemas: dict[str, Any]) -> dict[str, Any]:
    """Put our error in place of FastAPI's, which is never sent, and return the answer that holds it."""
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    made = ErrorDocument.model_json_schema(ref_template=SCHEMAS + "{model}")
    schemas |= {**made.pop("$defs"), ErrorDocument.__name__: made}
    schema = {"$ref": SCHEMAS + ErrorDocument.__name__}
    return {"description": "What went wrong", "content": {"application/json": {"schema": schema}}}
