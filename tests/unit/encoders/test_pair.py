"""The family `pair`: its towers from their packages, its captions and changes, its training, its weights on disk."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from encoders.checkpoint import CheckpointError
from encoders.families import open_tokenizer, read_family
from encoders.pair import features, packages
from encoders.pair.backbone import FEATURES, TUNED_BLOCKS, load_backbone
from encoders.pair.checkpoint import load_pair, save_pair
from encoders.pair.dimensions import EMBEDDING_DIM, IMAGE_SIZE, TEXT_LENGTH, TRAINED_DIM
from encoders.pair.features import VIEWS, features_of, picture_features, picture_maps
from encoders.pair.kept import keep
from encoders.pair.networks import PairEncoders, new_pair
from encoders.pair.packages import BACKBONE, packaged
from encoders.pair.pieces import PAD_ID, load_tokenizer
from encoders.pair.train import train, train_fusion_again
from encoders.pair.training import Settings
from encoders.photographs.products import DataError
from tests.unit.encoders.pair_photographs import COLOURS, SHAPES, SMALL, photograph, picture
from vitrine.preprocess import decode_image


@pytest.fixture(scope="module", autouse=True)
def _exported_once() -> Iterator[None]:
    """Export a tower once for all tests: that takes seconds, and equal weights give equal graphs."""
    made: dict[tuple[type, str], Any] = {}
    export = features._Runner

    def runner(module: torch.nn.Module) -> Any:
        key = type(module), features._digest(module)
        if key not in made:
            made[key] = export(module)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_Runner", runner)
        yield


def test_words_are_pieces_of_any_script() -> None:
    """The tokenizer marks begin and end, pads to the length, folds widths and spaces, and knows many scripts."""
    tokenizer = load_tokenizer()
    plain, folded = tokenizer.encode("red mug"), tokenizer.encode("  \uff52\uff45\uff44   mug ")
    assert plain.ids == folded.ids
    assert len(plain.ids) == TEXT_LENGTH
    assert plain.ids[0] == 1
    assert plain.ids[3:5] == [2, PAD_ID]
    unknown = 0
    for text in ("taza roja", "红色杯子", "빨간 컵", "красная кружка", "赤いカップ", "كوب أحمر"):
        ids = tokenizer.encode(text).ids
        assert unknown not in ids, text
    assert tokenizer.encode("").ids == [1, 2, *[PAD_ID] * (TEXT_LENGTH - 2)]


@torch.inference_mode()
def test_padding_and_neighbours_change_no_text(encoders: PairEncoders) -> None:
    """A text has one embedding, alone, in a batch, and cut to any length that holds it."""
    tokenizer = load_tokenizer()
    ids = torch.tensor(
        [each.ids for each in tokenizer.encode_batch(["red mug", "a blue plate with a rim", ""])]
    )
    together = encoders.text(ids)
    alone = torch.cat([encoders.text(row[None]) for row in ids])
    assert torch.allclose(together, alone, atol=1e-6)
    assert torch.allclose(together, encoders.text(ids[:, :16]), atol=1e-6)
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)


@torch.inference_mode()
def test_the_sentence_tower_knows_what_words_mean(encoders: PairEncoders) -> None:
    """The same thing in two languages is closer than two things in one: the weights are where they belong."""
    tokenizer = load_tokenizer()
    texts = ["red shoes", "zapatos rojos", "红色的鞋子", "a cup of coffee"]
    embedded = encoders.text.tower(torch.tensor([each.ids for each in tokenizer.encode_batch(texts)]))
    cosines = embedded @ embedded.T
    assert cosines[0, 1] > cosines[0, 3] + 0.2
    assert cosines[0, 2] > cosines[0, 3] + 0.2


@pytest.mark.slow
@torch.inference_mode()
def test_the_backbone_tells_pictures_apart(encoders: PairEncoders, tmp_path: Path) -> None:
    """Two pictures of one thing have closer features than pictures of two; a mirrored one is near; by maps or at once."""
    pictures = [picture("red", "mug", 0), picture("red", "mug", 1), picture("blue", "bowl", 0)]
    tower = encoders.image.tower
    maps = picture_maps(tower, pictures, work=tmp_path)
    found = features_of(tower, maps, work=tmp_path, pictures="three")
    assert found.shape == (3, VIEWS, 1_280)
    assert np.isfinite(found).all()
    normed = found / np.linalg.norm(found.astype(np.float32), axis=-1, keepdims=True)
    plain, mirrored = normed[:, 0], normed[:, 1]
    assert plain[0] @ plain[1] > plain[0] @ plain[2]
    assert plain[0] @ mirrored[0] > plain[0] @ plain[2]
    whole = tower(torch.from_numpy(np.stack([decode_image(each, size=IMAGE_SIZE) for each in pictures])))
    assert torch.nn.functional.cosine_similarity(torch.from_numpy(plain), whole).min() > 0.9999
    at_once = picture_features(tower, pictures, work=tmp_path).astype(np.float32)
    assert np.allclose(at_once, found, atol=0.01)
    assert np.array_equal(maps, picture_maps(tower, pictures, work=tmp_path))
    assert np.array_equal(found, features_of(tower, maps, work=tmp_path, pictures="three"))


def test_a_package_that_is_not_the_one_that_is_meant_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Missing, of another version, with another file: the package and the command are named."""
    with pytest.raises(CheckpointError, match=r"no-such-package is missing; `make setup` installs"):
        packaged(replace(BACKBONE, package="no-such-package"))
    with pytest.raises(CheckpointError, match=r"is of version 0\.1\.0; `make setup` installs .*==9"):
        packaged(replace(BACKBONE, version="9"))
    with pytest.raises(CheckpointError, match="not the file of efficientnet"):
        packaged(replace(BACKBONE, sha256="0" * 64))
    monkeypatch.setattr(packages, "SENTENCES", BACKBONE)
    monkeypatch.setattr("encoders.pair.sentences.SENTENCES", BACKBONE)
    with pytest.raises(CheckpointError, match="not the tensors of the sentence encoder"):
        new_pair(SMALL)


def _catalogue(folder: Path) -> Path:
    """Write a folder of pictures with a table: 84 to learn from, 12 to validate."""
    folder.mkdir()
    lines = ["id,title,category,colour,image,split"]
    for number in range(8):
        for colour in COLOURS:
            for shape in SHAPES:
                each = photograph(colour, shape, number)
                (folder / f"{each.product_id}.jpg").write_bytes(each.picture)
                split = "val" if number == 7 else "train"
                lines.append(f"{each.product_id},{each.title},{shape},{colour},{each.product_id}.jpg,{split}")
    (folder / "products.csv").write_text("\n".join(lines) + "\n")
    return folder


def _sentences(path: Path) -> Path:
    """Write 40 sentences that ask for one of two colours, and as many that ask for none, or for one that no picture has."""
    lines = [
        {
            "category": "dress",
            "candidate": "a",
            "target": "b",
            "captions": [f"is {colour} like number {number}", said],
        }
        for number in range(20)
        for colour, said in (("red", f"is longer by {number}"), ("blue", f"is pink like number {number}"))
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.slow
def test_training_learns_resumes_and_is_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a folder of pictures with a table to weights that `read_family` takes; the losses fall; a second run resumes."""
    data = [_catalogue(tmp_path / "data"), _sentences(tmp_path / "sentences.jsonl")]
    out, work = tmp_path / "weights", tmp_path / "work"
    settings = Settings(
        seed=3,
        heads_steps=60,
        heads_rows=48,
        tuning_steps=5,
        tuning_rows=16,
        wording_steps=20,
        fusion_steps=40,
        fusion_rows=32,
    )
    train(out, work, data, settings)
    said = capsys.readouterr().out
    assert "84 photographs" in said
    sentences = re.search(r"changes, (\d+) sentences that people wrote", said)
    assert sentences is not None
    assert 20 < int(sentences[1]) < 40  # the training split of 40
    card = json.loads((out / "card.json").read_text())
    assert card["losses"]["heads: text to picture"] < 2.0  # ln 48 = 3.9 is chance
    assert card["validation"]["heads"]["R@10"] > 90  # of 12
    found = json.loads((out / "validation.json").read_text())["results"]
    assert set(found["tuned"]) == {"R@1", "R@10", "R@50"}
    assert found.items() < card["validation"].items()
    assert set(card["validation"]["changes"]) == {"R@1", "R@10", "R@50"}
    assert found["kept"]["R@10"] > 90
    assert card["validation"]["worded"]["R@10"] > 90
    assert {"wording: sentence to new value", "fusion: composed to caption"} <= card["losses"].keys()
    assert card["sizes"]["trained_dim"] == TRAINED_DIM
    assert (out / "loss.png").exists()
    tuned, packaged_tower = load_pair(out).image.tower.state_dict(), load_backbone().state_dict()
    changed = {name for name, tensor in tuned.items() if not torch.equal(tensor, packaged_tower[name])}
    assert {name.split(".")[1] for name in changed if name.startswith("blocks")} == {
        str(11 + place) for place in range(TUNED_BLOCKS)
    }
    assert not any("running" in name or name.startswith("stem") for name in changed)
    family = read_family(out)
    assert (family.dimensions.image_size, family.dimensions.embedding_dim) == (IMAGE_SIZE, EMBEDDING_DIM)
    assert open_tokenizer(family).get_vocab_size() <= family.vocabulary
    train(out, work, data, settings)
    said = capsys.readouterr().out
    assert "heads: resumes at step 60" in said
    assert "tuning: resumes at step 5" in said


@pytest.mark.slow
def test_the_combiner_is_trained_anew_on_heads_that_stay(encoders: PairEncoders, tmp_path: Path) -> None:
    """The combiner and what the card says of it are other ones; heads, their seed and their losses are kept."""
    data, out = _catalogue(tmp_path / "data"), tmp_path / "weights"
    losses = {"heads: text to picture": 1.5, "fusion: composed to picture": 9.0}
    save_pair(out, encoders, card={"training": {"seed": 3}, "losses": losses})
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    settings = Settings(seed=4, fusion_steps=20, fusion_rows=32, fusion_gallery=16)
    train_fusion_again(out, tmp_path / "work", [data], settings)
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"card.json", "fusion_encoder.safetensors"}
    card = json.loads(after["card.json"])
    assert (card["training"]["seed"], card["training"]["fusion_seed"]) == (3, 4)
    assert card["losses"]["heads: text to picture"] == 1.5
    assert 0 < card["losses"]["fusion: composed to picture"] < 9.0
    assert "fusion: composed to picture and title" in card["losses"]
    assert set(card["validation"]["changes"]) == {"R@1", "R@10", "R@50"}


@pytest.mark.parametrize("missing", ["training", "losses"])
def test_a_card_that_says_nothing_of_a_training_is_refused(tmp_path: Path, missing: str) -> None:
    """Weights that no training wrote have no card to say a new combiner in: file and part are named, before any work."""
    card = {"family": "vitrine-pair", "training": {"seed": 3}, "losses": {}}
    del card[missing]
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=rf"card\.json: {missing} must be a table; train these weights"):
        train_fusion_again(tmp_path, tmp_path / "work", [], Settings())
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]


def test_weights_come_back_as_they_were(encoders: PairEncoders, tmp_path: Path) -> None:
    """Heads and combiner are kept, the towers are not; a file of another family or size is named."""
    save_pair(tmp_path, encoders, card={})
    assert sum(file.stat().st_size for file in tmp_path.glob("*.safetensors")) < 2_000_000
    again = load_pair(tmp_path)
    ids = torch.tensor([load_tokenizer().encode("red mug").ids])
    assert torch.nn.functional.cosine_similarity(again.text(ids), encoders.text(ids)).item() > 0.999
    card = json.loads((tmp_path / "card.json").read_text())
    del card["sizes"]["trained_dim"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert load_pair(tmp_path).sizes == encoders.sizes
    card["sizes"]["trained_dim"] = EMBEDDING_DIM + 1
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="trained_dim must be 256 at most"):
        load_pair(tmp_path)
    card["sizes"] = {"head_width": 64, "fusion_width": 16}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"image_encoder.safetensors: head.* the card's sizes make it"):
        load_pair(tmp_path)
    card["towers"][0]["version"] = "2"
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="made for other towers"):
        read_family(tmp_path)


@torch.no_grad()
def test_the_tower_speaks_for_pictures_unlike_the_data(encoders: PairEncoders) -> None:
    """What is like the data keeps its neighbours by the heads; what is not has those that the tower sees, and no text."""
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(20, FEATURES, generator=generator)
    like = 0.5 + torch.randn(400, 20, generator=generator) @ plane / 20
    stranger = 5 * torch.rand(2, FEATURES, generator=generator)
    unlike = torch.cat([stranger, stranger + 0.1 * torch.randn(2, FEATURES, generator=generator)])
    words = torch.randn(300, 512, generator=generator)
    made = keep(encoders, like[:, None].half().numpy(), words)
    assert made.sizes.trained_dim == TRAINED_DIM
    before, after = encoders.image.embed(like), made.image.embed(like)
    assert after.shape == (400, EMBEDDING_DIM)
    assert torch.allclose(after.norm(dim=1), torch.ones(400), atol=1e-4)
    usual = after[:, TRAINED_DIM:].norm(dim=1) < 0.01
    assert usual.float().mean() > 0.9
    cosines = (before @ before.T)[usual][:, usual]
    assert torch.allclose((after @ after.T)[usual][:, usual], cosines, atol=0.05)
    said, known = made.text.embed(words), encoders.text.embed(words)
    assert (said[:, TRAINED_DIM:] == 0).all()
    assert torch.allclose(after[usual] @ said.T, before[usual] @ known.T, atol=0.05)
    strange = made.image.embed(unlike)
    assert (strange @ said.T).abs().max() < 0.05
    assert (strange @ strange.T).argsort(dim=1)[:, -2:].sort(dim=1).values.tolist() == [[0, 2], [1, 3]] * 2


def test_data_that_teaches_nothing_is_refused(tmp_path: Path) -> None:
    """Too few photographs, none with words, and all that are said to be the same: one line names the data."""

    def table(rows: int, *, title: str, category: str) -> Path:
        folder = tmp_path / f"{rows}{title}{category}"
        folder.mkdir()
        (folder / "a.jpg").write_bytes(picture("red", "mug", 0))
        lines = [f"{number},{title},{category},a.jpg,train" for number in range(rows)]
        (folder / "products.csv").write_text("\n".join(["id,title,category,image,split", *lines]) + "\n")
        return folder

    work, out = tmp_path / "work", tmp_path / "out"
    with pytest.raises(DataError, match="5 photographs to learn from; at least 64"):
        train(out, work, [table(5, title="mug", category="mug")], Settings())
    with pytest.raises(DataError, match="the same is said of all 70"):
        train(out, work, [table(70, title="mug", category="mug")], Settings())
    assert not out.exists()
