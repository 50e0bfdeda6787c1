"""What the door lets through, over real HTTP."""

from mlops_assets_tests.serving.gateway_fixture import Gateway, idle_gateway

__all__ = ["idle_gateway"]


def test_a_key_opens_and_no_key_does_not(idle_gateway: Gateway) -> None:
    with idle_gateway.client("viewer") as client:
        assert client.get("/pipeline/status").status_code == 200
        assert client.get("/pipeline/status", headers={"Authorization": "Bearer none"}).status_code == 401
