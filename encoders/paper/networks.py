"""The model of arXiv 2404.15790 as the three networks that Vitrine serves: frozen ViT, Q-Former, T5 under LoRA.

A picture's embedding is the tokens of its Q-Former, side by side (docs/decisions/0009). A change reads them out of the
embedding again and hands them to the T5 through the projection that BLIP-2 was pretrained with (docs/decisions/0035).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.families import Family
from encoders.pretrained import PixelNormalisation

IGNORED = -100
"""The label of a position that the loss of language modelling leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptIds:
    """Token ids of a prompt's fixed parts; the words follow the last of them."""

    text: tuple[int, ...] = ()
    before_picture: tuple[int, ...] = ()
    after_picture: tuple[int, ...] = ()


class Projections(nn.Module):
    """The maps between the spaces of the Q-Former, of the embeddings and of the T5's answer."""

    def __init__(self, *, queries: int, query_width: int, text_width: int, embedding_dim: int) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.zeros(queries, query_width))
        self.image = nn.Linear(query_width, embedding_dim // queries)
        self.reference = nn.Linear(embedding_dim // queries, query_width)
        self.embedding = nn.Linear(text_width, embedding_dim)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return float32 (n, d), L2-normalised, of a Q-Former's tokens (n, queries, query_width)."""
        shares = self.image(tokens - self.centre)
        return functional.normalize(shares.flatten(1).float(), dim=-1)

    def tokens_of(self, embedding: Tensor) -> Tensor:
        """Return what is left in an embedding (n, d) of the tokens that it was made of: (n, queries, query_width)."""
        shares = torch.unflatten(embedding, 1, (-1, self.reference.in_features)).to(
            self.reference.weight.dtype
        )
        tokens: Tensor = self.reference(shares) + self.centre
        return tokens


class PaperImageEncoder(nn.Module):
    """ViT and Q-Former: the embedding is the query tokens side by side, each projected to its share of it."""

    def __init__(self, blip: Any, projections: Projections, family: Family) -> None:
        super().__init__()
        self.normalisation = PixelNormalisation(family)
        self.vision = blip.vision_model
        self.queries = blip.query_tokens
        self.qformer = blip.qformer
        self.projections = projections

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed uint8 pixels (n, size, size, 3), RGB."""
        return self.projections.embed(self.tokens(self.patches(pixels)))

    def patches(self, pixels: Tensor) -> Tensor:
        """Return the ViT's states (n, patches + 1, width) of uint8 pixels."""
        states: Tensor = self.vision(pixel_values=self.normalisation(pixels)).last_hidden_state
        return states

    def tokens(self, patches: Tensor) -> Tensor:
        """Return the Q-Former's tokens (n, queries, query_width) of the ViT's states."""
        queries = self.queries.expand(patches.shape[0], -1, -1)
        tokens: Tensor = self.qformer(query_embeds=queries, encoder_hidden_states=patches).last_hidden_state
        return tokens


class PaperTextEncoder(nn.Module):
    """The T5: the embedding is the projection of what its decoder answers at its first position."""

    prompt: Tensor

    def __init__(self, blip: Any, projections: Projections, prompt: Sequence[int] = ()) -> None:
        super().__init__()
        self.t5 = blip.language_model
        self.projections = projections
        self.register_buffer("prompt", _ids(prompt), persistent=False)
        config = blip.config.text_config
        self.pad_id: int = config.pad_token_id
        self.start_id: int = config.decoder_start_token_id

    def forward(self, token_ids: Tensor) -> Tensor:
        """Embed int64 token ids (n, length)."""
        return self.answer(*self.read(token_ids))

    def read(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the T5's input (n, m, width), and the int64 mask (n, m) of what is there: prompt and words."""
        prompt = self.spoken(self.prompt, token_ids)
        return torch.cat([prompt, self.words(token_ids)], dim=1), self.present(token_ids, before=prompt)

    def answer(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Embed tokens (n, m, width), of which the int64 mask (n, m) says which are there."""
        # Shapes are read as `shape`: `len` would make a constant of the batch in the exported graph.
        start = torch.full((tokens.shape[0], 1), self.start_id, dtype=torch.int64, device=tokens.device)
        return self.embed(self.decoded(start, self.encoded(tokens, present), present))

    def answer_and_say(self, tokens: Tensor, present: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Embed tokens as `answer` does, and return the cross-entropy of saying the labels (n, k) beside it.

        One pass of the decoder does both: its first position sees the start token and nothing of the labels.
        """
        previous = torch.where(labels == IGNORED, self.pad_id, labels)
        inputs = functional.pad(previous, (1, -1), value=self.start_id)
        states = self.decoded(inputs, self.encoded(tokens, present), present)
        loss = functional.cross_entropy(
            self._logits(states).float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED
        )
        return self.embed(states), loss

    def encoded(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Return the states of the T5's encoder, (n, m, width)."""
        states: Tensor = self.t5.encoder(inputs_embeds=tokens, attention_mask=present).last_hidden_state
        return states

    def decoded(self, input_ids: Tensor, encoded: Tensor, present: Tensor) -> Tensor:
        """Return the states of the T5's decoder, (n, k, width)."""
        states: Tensor = self.t5.decoder(
            input_ids=input_ids,
            encoder_hidden_states=encoded,
            encoder_attention_mask=present,
            use_cache=False,
        ).last_hidden_state
        return states

    def embed(self, decoded: Tensor) -> Tensor:
        """Return float32 (n, d), L2-normalised, of the decoder's states."""
        return functional.normalize(self.projections.embedding(decoded[:, 0]).float(), dim=-1)

    def words(self, token_ids: Tensor) -> Tensor:
        """Return the T5's embeddings (n, length, width) of token ids."""
        embedded: Tensor = self.t5.shared(token_ids)
        return embedded

    def spoken(self, prompt: Tensor, token_ids: Tensor) -> Tensor:
        """Return the embeddings (n, length, width) of a part of the prompt, once for each row of the ids."""
        return self.words(prompt)[None].expand(token_ids.shape[0], -1, -1)

    def present(self, token_ids: Tensor, *, before: Tensor) -> Tensor:
        """Return the int64 mask of what stands before the words, all of it there, and of the words."""
        words = (token_ids != self.pad_id).long()
        return torch.cat([torch.ones_like(before[:, :, 0], dtype=torch.int64), words], dim=1)

    def _logits(self, states: Tensor) -> Tensor:
        scale = self.t5.config.d_model**-0.5 if self.t5.config.scale_decoder_outputs else 1.0
        logits: Tensor = self.t5.lm_head(states * scale)
        return logits


class PaperFusion(nn.Module):
    """The T5 on a picture's query tokens and the words that change it; the tokens are read from the embedding."""

    before: Tensor
    after: Tensor

    def __init__(
        self, blip: Any, text: PaperTextEncoder, projections: Projections, prompts: PromptIds
    ) -> None:
        super().__init__()
        self.text = text
        self.projections = projections
        self.language_projection = blip.language_projection
        self.register_buffer("before", _ids(prompts.before_picture), persistent=False)
        self.register_buffer("after", _ids(prompts.after_picture), persistent=False)

    def forward(self, reference_embedding: Tensor, token_ids: Tensor) -> Tensor:
        """Embed float32 references (n, d) with int64 token ids (n, length)."""
        return self.text.answer(*self.read(reference_embedding, token_ids))

    def read(self, reference_embedding: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the T5's input (n, m, width), and the int64 mask (n, m) of what is there."""
        picture = self.language_projection(self.projections.tokens_of(reference_embedding))
        before, after = (self.text.spoken(part, token_ids) for part in (self.before, self.after))
        first = torch.cat([before, picture, after], dim=1)
        tokens = torch.cat([first, self.text.words(token_ids)], dim=1)
        return tokens, self.text.present(token_ids, before=first)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperNetworks:
    """The three networks over one BLIP-2, whose parameters they share."""

    blip: Any
    projections: Projections
    image: PaperImageEncoder
    text: PaperTextEncoder
    fusion: PaperFusion

    def evaluated(self) -> "PaperNetworks":
        """Return these networks, in evaluation mode."""
        for part in (self.image, self.text, self.fusion):
            part.eval()
        return self


def join_networks(blip: Any, projections: Projections, family: Family, prompts: PromptIds) -> PaperNetworks:
    """Join a BLIP-2 and the projections to the three networks."""
    text = PaperTextEncoder(blip, projections, prompts.text)
    return PaperNetworks(
        blip=blip,
        projections=projections,
        image=PaperImageEncoder(blip, projections, family),
        text=text,
        fusion=PaperFusion(blip, text, projections, prompts),
    )


def _ids(ids: Sequence[int]) -> Tensor:
    return torch.tensor(list(ids), dtype=torch.int64)
