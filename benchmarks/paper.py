"""The table of docs/paper.md: what training at the paper's size costs, made from one result file."""

import json
from pathlib import Path

from benchmarks.tables import Document

DOCUMENT = Path("docs/paper.md")
RESULT = "paper-cost.json"


def sections(results: Path) -> dict[str, list[str]]:
    """Return the lines of every section, by its name."""
    path = results / RESULT
    return {"cost": _cost(json.loads(path.read_text())) if path.exists() else ["No result yet."]}


def _cost(document: Document) -> list[str]:
    results, settings, assumed = (
        document["results"],
        document["params"]["settings"],
        document["params"]["assumed"],
    )
    millions, gigabytes, teraflops, hours = (
        results[name] for name in ("millions_of_parameters", "gigabytes", "teraflops", "hours")
    )
    rows = [
        ("parameters of ViT, Q-Former, T5 with its LoRA", " + ".join(f"{millions[p]:,.0f} M" for p in ("vision", "qformer", "t5"))),
        ("trained (Q-Former, projections, LoRA)", f"{millions['trained']:,.1f} M"),
        ("frozen weights in bf16", f"{gigabytes['weights_frozen_bf16']:.2f} GB"),
        (
            "trained weights, gradients and AdamW's moments in fp32",
            f"{gigabytes['weights_gradients_moments_trained_fp32']:.2f} GB",
        ),
        (
            f"states of the ViT of {assumed['pictures']:,} pictures on disk",
            f"{gigabytes['states_of_the_vit_on_disk']:.1f} GB",
        ),
        ("a picture through the ViT, once", f"{teraflops['picture_through_the_vit']:.2f} TFLOP"),
        (f"a step of {settings['turns']} turns, forward and backward", f"{teraflops['step']:.1f} TFLOP"),
        ("the ViT, once, on the assumed GPU", f"{hours['vit_once']:.1f} h"),
        (f"{settings['steps']:,} steps on the assumed GPU", f"{hours['steps']:.1f} h"),
        ("times that each picture is seen, about", f"{results['pictures_seen_per_picture']:.0f}"),
    ]  # fmt: skip
    rate, share = assumed["flops_a_second"] / 1e12, 100 * assumed["share_reached"]
    origin = (
        f"[{RESULT}](../benchmarks/results/{RESULT}); counted, not measured. Assumed: a GPU of {rate:.0f} TFLOP/s in"
        f" bf16 of which {share:.0f} % are reached, {assumed['change_tokens']} tokens for the longest change of a step"
        f" and {assumed['caption_tokens']} for the longest caption."
    )
    table = [f"| {what} | {much} |" for what, much in rows]
    return [origin, "", "| what | how much |", "|---|---|", *table]
