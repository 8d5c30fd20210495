"""The paper's model is trained from a BLIP-2 as it is published and any catalogue, and what it leaves is served."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file
from transformers import Blip2ForConditionalGeneration

from catalogue.randomness import generator
from encoders.__main__ import main
from encoders.families import CheckpointError, open_tokenizer, read_family, read_untrained
from encoders.paper.base import BaseSizes, write_base
from encoders.paper.examples import TrainingDataError, TurnSource, read_examples
from encoders.paper.features import open_features
from encoders.paper.loading import load_paper, new_projections, read_blip, read_networks
from encoders.paper.networks import PaperNetworks, PromptIds, join_networks
from encoders.paper.prompts import Prompts, read_prompts
from encoders.paper.run import train
from encoders.paper.training import Settings, adapt, start_projections
from vitrine.preprocess import Tokenizer, decode_image

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "white": (240, 240, 240)}
SHAPES = {"dress": (0.3, 0.9), "bag": (0.8, 0.5), "belt": (0.9, 0.2)}
"""Width and height of what is drawn, as shares of the picture."""

SIZES = BaseSizes(
    image_size=32,
    vision_width=64,
    queries=4,
    query_width=32,
    query_layers=1,
    text_width=32,
    text_layers=1,
    heads=2,
)
SETTINGS = Settings(
    seed=3,
    steps=200,
    turns=12,
    rate=4e-3,
    text_length=12,
    embedding_dim=64,
    lora_rank=8,
    lora_layers=("q", "k", "v", "o", "wi_0", "wi_1", "wo"),
    lora_dropout=0.0,
)

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def draw(path: Path, colour: str, shape: str, seed: int) -> None:
    """Draw a box of the colour and about the shape's proportions."""
    rng = np.random.default_rng(seed)
    canvas = np.full((32, 32, 3), 128, np.uint8)
    width, height = (int(32 * share) for share in SHAPES[shape])
    left, top = rng.integers(0, 33 - width), rng.integers(0, 33 - height)
    canvas[top : top + height, left : left + width] = COLOURS[colour]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas).save(path)


@pytest.fixture(scope="module")
def fashion200k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve looks of six pictures each, in Fashion200K's layout."""
    root = tmp_path_factory.mktemp("fashion200k")
    (root / "labels").mkdir()
    lines = []
    for colour in COLOURS:
        for shape in SHAPES:
            for seed in range(6):
                path = f"women/{shape}/{colour}/{seed}.png"
                draw(root / path, colour, shape, seed)
                lines.append(f"{path}\t1.0\t{colour} {shape}\n")
    (root / "labels" / "all_train_detect_all.txt").write_text("".join(lines))
    return root


@pytest.fixture(scope="module")
def base(fashion200k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BLIP-2 with random weights in several files, as the published ones are."""
    folder = tmp_path_factory.mktemp("base")
    write_base(folder, read_examples(fashion200k).captions, SIZES, seed=1)
    model = Blip2ForConditionalGeneration.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    assert (folder / "model.safetensors.index.json").exists()
    return folder


@pytest.fixture
def networks(base: Path) -> PaperNetworks:
    """The networks before training."""
    family = read_untrained(base, text_length=12, embedding_dim=64)
    blip = read_blip(family)
    return join_networks(blip, new_projections(blip, family), family, PromptIds(text=(1, 2)))


@pytest.fixture(scope="module")
def trained(fashion200k: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the training leaves."""
    out, work = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("work")
    train(base, fashion200k, out, settings=SETTINGS, work=work, cache_bytes=10**6)
    return out


def recall(family_folder: Path, data: Path) -> dict[str, float]:
    """The share of changes that find a picture of the outcome first, by the served networks and by plain baselines."""
    family = read_family(family_folder)
    parts = load_paper(family)
    examples = read_examples(data)
    tokenizer = Tokenizer(open_tokenizer(family).to_str())
    pixels = np.stack([decode_image(p.path.read_bytes(), size=32) for p in examples.pictures])
    turns = TurnSource(examples).draw(generator("test"), count=200)
    with torch.inference_mode():
        images = parts["image_encoder"](torch.from_numpy(pixels))
        sources = images[[turn.source for turn in turns]]
        ids = torch.from_numpy(tokenizer([turn.text for turn in turns]))
        composed = parts["fusion_encoder"](sources, ids)
        texts = parts["text_encoder"](ids)
        titles = parts["text_encoder"](torch.from_numpy(tokenizer(list(examples.captions))))
    looks = np.array(examples.looks)
    wanted = looks[[turn.target for turn in turns]]
    queries = {"composed": composed, "picture": sources, "sum": sources + texts}
    found = {}
    for name, query in queries.items():
        scores = query @ images.T
        scores[torch.arange(len(turns)), [turn.source for turn in turns]] = -torch.inf
        found[name] = float((looks[scores.argmax(1)] == wanted).mean())
    found["title"] = float((looks[(titles @ images.T).argmax(1)] == looks).mean())
    return found


@pytest.mark.slow
def test_every_loss_falls_and_titles_are_found(trained: Path, fashion200k: Path) -> None:
    """In 200 steps titles find their look, far above the chance of 1 in 12; composition has only begun by then."""
    report = json.loads((trained / "training.json").read_text())
    falls = {name.split(": ")[1]: each["last"] / each["first"] for name, each in report["losses"].items()}
    assert falls["caption"] < 0.7
    assert falls["said"] < 0.7
    assert falls["change"] < 0.95
    shares = recall(trained, fashion200k)
    assert shares["title"] > 0.3, shares
    assert shares["composed"] > max(shares["picture"], shares["sum"]), shares


@pytest.mark.slow
def test_what_training_leaves_stands_by_itself(trained: Path, base: Path) -> None:
    """The BLIP-2's own files, peft's adapter of the T5 alone, and what was tuned, with no path in them."""
    assert {path.name for path in base.glob("model*")} < {path.name for path in trained.iterdir()}
    adapter = load_file(trained / "adapter_model.safetensors")
    assert all(name.startswith("base_model.model.language_model.") for name in adapter)
    config = json.loads((trained / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (8, None)
    tuned = load_file(trained / "retrieval.safetensors")
    assert {name.split(".")[1] for name in tuned if name.startswith("blip.")} == {
        "qformer",
        "query_tokens",
        "language_projection",
    }
    vision = read_networks(read_family(trained)).blip.vision_model.state_dict()
    before = Blip2ForConditionalGeneration.from_pretrained(base).vision_model.state_dict()
    assert all(torch.equal(vision[name], tensor) for name, tensor in before.items())


@pytest.mark.slow
def test_training_resumes(fashion200k: Path, base: Path, tmp_path: Path) -> None:
    """A finished run is not trained again: from the same state it writes the same weights."""
    settings = replace(SETTINGS, steps=3)
    written = []
    for out in (tmp_path / "one", tmp_path / "two"):
        train(base, fashion200k, out, settings=settings, work=tmp_path / "work", cache_bytes=10**6)
        written.append(load_file(out / "retrieval.safetensors"))
    first, second = written
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_bound_leaves_the_rest_to_be_computed(
    networks: PaperNetworks, fashion200k: Path, tmp_path: Path
) -> None:
    """States from the disk and states that it has no room for are the same."""
    pictures = read_examples(fashion200k).pictures[:5]
    room = 3 * 17 * 64 * 2
    bounded = open_features(pictures, networks.image, image_size=32, folder=tmp_path, most_bytes=room + 1)
    assert bounded.kept == 3
    assert sum(path.stat().st_size for path in tmp_path.glob("*.npy")) == room + 128
    nothing = open_features(pictures, networks.image, image_size=32, folder=tmp_path, most_bytes=0)
    assert nothing.kept == 0
    torch.testing.assert_close(bounded.read([4, 0, 2, 0]), nothing.read([4, 0, 2, 0]))


def test_states_are_filled_where_they_stopped(
    networks: PaperNetworks, fashion200k: Path, tmp_path: Path
) -> None:
    """What an earlier run wrote is not computed anew, and the rest is."""
    pictures = read_examples(fashion200k).pictures[:40]
    whole = open_features(pictures, networks.image, image_size=32, folder=tmp_path, most_bytes=10**6)
    expected = whole.read(range(40))
    (progress,) = tmp_path.glob("*.json")
    progress.write_text(json.dumps({"done": 32, "rejected": []}))
    whole.states[:] = 7
    whole.states.flush()  # type: ignore[attr-defined]
    again = open_features(pictures, networks.image, image_size=32, folder=tmp_path, most_bytes=10**6)
    assert (again.read(range(32)) == 7).all()
    assert torch.equal(again.read(range(32, 40)), expected[32:])


def test_a_picture_that_cannot_be_read_is_left_out(
    networks: PaperNetworks, fashion200k: Path, tmp_path: Path
) -> None:
    """Its row is noted and never drawn; without room on the disk the file is named."""
    root = tmp_path / "data"
    shutil.copytree(fashion200k, root)
    (root / "women/bag/blue/0.png").write_bytes(b"no picture")
    examples = read_examples(root)
    bad = next(row for row, each in enumerate(examples.pictures) if each.path.match("bag/blue/0.png"))
    features = open_features(
        examples.pictures, networks.image, image_size=32, folder=tmp_path, most_bytes=10**6
    )
    assert features.rejected == [bad]
    turns = TurnSource(examples.without(features.rejected)).draw(generator("test"), count=2_000)
    drawn = {row for turn in turns for row in (turn.source, turn.target)}
    assert drawn == set(range(len(examples.pictures))) - {bad}
    unkept = open_features(examples.pictures, networks.image, image_size=32, folder=tmp_path, most_bytes=0)
    with pytest.raises(TrainingDataError, match="take it out of the data"):
        unkept.read([bad])


@torch.inference_mode()
def test_projections_start_with_what_the_tokens_are(
    networks: PaperNetworks, fashion200k: Path, tmp_path: Path
) -> None:
    """With as many numbers as the tokens have, a change reads the very tokens out of an embedding, but for its length."""
    pictures = read_examples(fashion200k).pictures
    features = open_features(pictures, networks.image, image_size=32, folder=tmp_path, most_bytes=10**6)
    projections = networks.projections
    projections.image = torch.nn.Linear(32, 32)
    projections.reference = torch.nn.Linear(32, 32)
    start_projections(networks, features, seed=1)
    tokens = networks.image.tokens(features.read(range(8)).float())
    read = projections.tokens_of(projections.embed(tokens)) - projections.centre
    expected = tokens - projections.centre
    cosines = torch.nn.functional.cosine_similarity(read.flatten(1), expected.flatten(1))
    assert cosines.min() > 0.999


def test_only_lora_and_the_parts_that_are_tuned_are_trained(networks: PaperNetworks) -> None:
    """The ViT and the T5's own weights stay; a step's optimiser holds nothing of them."""
    trainee = adapt(networks, SETTINGS)
    moved = {name for name, each in networks.blip.named_parameters() if each.requires_grad}
    assert {name.split(".")[0] for name in moved} == {
        "language_model",
        "qformer",
        "query_tokens",
        "language_projection",
    }
    assert all("lora_" in name for name in moved if name.startswith("language_model."))
    assert sum(name.startswith("weights.") for name, _ in trainee.trained().named_parameters()) == len(
        moved
    ) + len(list(networks.projections.parameters()))


@torch.inference_mode()
def test_saying_a_caption_does_not_move_the_answer(networks: PaperNetworks) -> None:
    """The first position of the decoder sees nothing of what is to be said after it."""
    ids = torch.tensor([[5, 6, 7, 0], [8, 9, 0, 0]])
    labels = torch.tensor([[5, 6, 7], [8, 9, -100]])
    networks.text.eval()
    embedded, loss = networks.text.answer_and_say(*networks.text.read(ids), labels)
    torch.testing.assert_close(embedded, networks.text(ids))
    assert loss > 0


def test_a_catalogue_is_learnt_by_its_titles_and_fields(tmp_path: Path) -> None:
    """A change leads from one value of a field to another; rows for tests and rows without a title are left out."""
    rows = ["id,title,colour,category,image,split"]
    for number, (colour, shape) in enumerate([("red", "dress"), ("blue", "dress"), ("red", "bag")]):
        draw(tmp_path / f"{number}.png", colour, shape, number)
        rows.append(f"{number},a {colour} {shape},{colour},{shape},{number}.png,train")
    rows += ["7,a green dress,green,dress,0.png,test", "8,,white,dress,1.png,train"]
    (tmp_path / "products.csv").write_text("\n".join(rows))
    examples = read_examples(tmp_path)
    assert examples.captions == ("a red dress", "a blue dress", "a red bag")
    assert examples.left_out == 1
    texts = {turn.text for turn in TurnSource(examples).draw(generator("test"), count=50)}
    assert texts == {
        "replace red with blue",
        "replace blue with red",
        "replace dress with bag",
        "replace bag with dress",
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "0 pictures with a caption"),
        (["0,,red,0.png", "1,,blue,0.png"], "0 pictures with a caption, 2 rows without"),
        (["0,a dress,red,0.png", "1,a gown,red,0.png"], "of 1 looks no two differ by one word or field"),
    ],
)
def test_data_without_anything_to_learn_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    """One line says what is missing: captions, or looks that differ."""
    draw(tmp_path / "0.png", "red", "dress", 0)
    (tmp_path / "products.csv").write_text("\n".join(["id,title,colour,image", *rows]))
    with pytest.raises(TrainingDataError, match=message):
        read_examples(tmp_path)


def test_a_shard_that_is_missing_is_named(base: Path, tmp_path: Path) -> None:
    """A download that broke off is told from a bad checkpoint."""
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=rf"{shard.name}: missing; model\.safetensors\.index\.json"):
        read_blip(read_untrained(tmp_path, text_length=12, embedding_dim=64))


def test_a_published_blip_2_is_not_served_before_it_is_trained(base: Path) -> None:
    """The command that trains it is named."""
    with pytest.raises(CheckpointError, match=r"train --family paper --checkpoint .* writes it beside"):
        read_family(base)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (Prompts(text="{words} please"), "must end with {words}"),
        (Prompts(change="Change: {words}"), "must name {picture}"),
    ],
)
def test_a_prompt_without_its_places_is_refused(base: Path, prompts: Prompts, message: str) -> None:
    """Words stand last, and a change names its picture."""
    tokenizer = open_tokenizer(read_untrained(base, text_length=12, embedding_dim=64))
    with pytest.raises(CheckpointError, match=message):
        prompts.ids(tokenizer)


def test_prompts_are_kept_with_the_weights(base: Path) -> None:
    """They come back as they were, and damaged ones are told."""
    prompts = Prompts(text="a photo of {words}")
    assert read_prompts(prompts.to_json()) == prompts
    tokenizer = open_tokenizer(read_untrained(base, text_length=12, embedding_dim=64))
    assert len(prompts.ids(tokenizer).text) >= 3
    with pytest.raises(CheckpointError, match="not as"):
        read_prompts("{")


def test_the_command_needs_data() -> None:
    """Without it the family cannot be trained."""
    result = CliRunner().invoke(main, ["train", "--family", "paper"])
    assert result.exit_code == 2
    assert "--family paper needs --data" in result.output


def test_another_folder_is_not_written_over(fashion200k: Path, base: Path, tmp_path: Path) -> None:
    """A folder that training did not make keeps its files."""
    (tmp_path / "mine.txt").write_text("mine")
    options: dict[str, Any] = {"settings": SETTINGS, "work": tmp_path, "cache_bytes": 0}
    with pytest.raises(CheckpointError, match=r"holds no training\.json of ours"):
        train(base, fashion200k, tmp_path, **options)
