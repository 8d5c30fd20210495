import asyncio
import json
import time
from pathlib import Path
from typing import Any

import click

from gateway.adapters.triton import open_triton
from gateway.quality.documents import (
    QUESTIONS,
    Measurement,
    failures,
    read_passages,
    read_questions,
    summary,
)
from gateway.settings import Settings
from vitrine.process.machine import describe_machine

_RESULT = Path("benchmarks/results/documents.json")
_FOLDER = Path("catalogue/documents")
_SHARES = (0.0, 0.1, 0.3, 1.0)
_LEAST = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_HALVES = ("tune", "test")
_PACKAGES = ("numpy", "markdown-it-py", "pymilvus", "grpcio")


@click.command()
@click.option(
    "--triton", default=Settings().triton, show_default=True, help="Serves the encoders to measure."
)
@click.option("--folder", type=click.Path(path_type=Path), default=_FOLDER, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=_RESULT, show_default=True)
@click.option("--encoders", default="pair", show_default=True, help="What to call them in the result.")
def main(*, triton: str, folder: Path, out: Path, encoders: str) -> None:
    """Ask the questions of questions.txt of the example folder, and count what becomes of them."""
    report = asyncio.run(_measure(triton, folder, encoders))
    out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(report["results"], indent=1, ensure_ascii=False))


async def _measure(triton: str, folder: Path, encoders: str) -> dict[str, Any]:
    """Return the report: environment, params, results."""
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    passages = read_passages(folder)
    measurements = {
        half: Measurement(passages, [each for each in read_questions() if each.half == half])
        for half in _HALVES
    }
    async with open_triton(triton) as encoder:
        for measurement in measurements.values():
            await measurement.embed(encoder)
    served = Settings()
    params = {
        "benchmark": "documents",
        "encoders": encoders,
        "documents": len({each.document for each in passages}),
        "passages": len(passages),
        "questions": QUESTIONS.name,
        "least": served.documents_least,
        "share": served.documents_similarity_share,
    }
    results = {half: await _half(half, measurement) for half, measurement in measurements.items()}
    return {
        "environment": describe_machine(_PACKAGES) | {"begun": begun},
        "params": params,
        "results": results,
    }


async def _half(half: str, measurement: Measurement) -> dict[str, Any]:
    served = Settings()
    as_served = await measurement.outcomes(
        least=served.documents_least, share=served.documents_similarity_share
    )
    return {
        "served": summary(as_served),
        "failures": list(failures(as_served)),
        "by_least": {
            str(least): summary(await measurement.outcomes(least=least, share=0.0)) for least in _LEAST
        },
        # Without a bound, so that the shares can be compared: which passage comes first.
        "by_share": {
            str(share): summary(await measurement.outcomes(least=0.0, share=share)) for share in _SHARES
        },
        "encoder_alone": measurement.by_encoder_alone(half),
    }


if __name__ == "__main__":
    main()
