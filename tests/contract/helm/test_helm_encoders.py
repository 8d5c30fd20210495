"""Where models come from, and how encoders change together with their index."""

from typing import Any

from .test_helm_chart import EVERYTHING, LEAST


def test_other_encoders_serve_beside_those_of_the_index(render: Any) -> None:
    """A second Triton with models and a number of its own, otherwise as the first; the gateway knows and reaches both."""
    objects = {(each["kind"], each["metadata"]["name"]): each for each in render(EVERYTHING)}
    first, second = (
        objects["Deployment", f"demo-vitrine-{name}"]["spec"] for name in ("triton", "triton-next")
    )
    ours, theirs = (each["template"]["spec"]["containers"][0] for each in (first, second))
    assert theirs["image"] == "vitrine/triton:next"
    assert {name: theirs[name] for name in theirs if name != "image"} == {
        name: ours[name] for name in ours if name != "image"
    }
    claims = [volume.get("persistentVolumeClaim") for volume in second["template"]["spec"]["volumes"]]
    assert {"claimName": "next-plans", "readOnly": True} in claims
    assert second["replicas"] == 2
    labels = second["template"]["metadata"]["labels"].items()
    assert not objects["Service", "demo-vitrine-triton"]["spec"]["selector"].items() <= labels
    assert objects["Service", "demo-vitrine-triton-next"]["spec"]["selector"].items() <= labels
    known = objects["ConfigMap", "demo-vitrine-gateway"]["data"]
    assert known["GATEWAY_TRITON_NEXT"] == "demo-vitrine-triton-next:8001"
    egress = objects["NetworkPolicy", "demo-vitrine-gateway"]["spec"]["egress"]
    peers = [
        peer["podSelector"]["matchLabels"] for rule in egress for peer in rule["to"] if "podSelector" in peer
    ]
    assert "triton-next" in {peer["app.kubernetes.io/component"] for peer in peers}


def test_without_other_encoders_there_is_no_second_triton(render: Any) -> None:
    """Nothing of it is rendered, and the gateway knows of none."""
    rendered = render(LEAST)
    assert not [each for each in rendered if "triton-next" in each["metadata"]["name"]]
    (config,) = [
        each for each in rendered if each["kind"] == "ConfigMap" and "GATEWAY_TRITON" in each["data"]
    ]
    assert "GATEWAY_TRITON_NEXT" not in config["data"]
