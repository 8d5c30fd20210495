"""What fingers and keyboards do to words: typos, lost accents, odd case, emoji."""

import random
import unicodedata

_EMOJI = ("😀", "😍", "👗", "🙏", "❤️", "😭", "🔥", "👀")
_SHORTEST = 4


def disturb(text: str, rng: random.Random) -> str:
    """Return the text with one or two slips in it."""
    for _ in range(rng.choice((1, 1, 2))):
        text = rng.choice((_slip, _slip, _slip, _shout, _without_accents, _with_emoji, _run_on))(text, rng)
    return text


def _slip(text: str, rng: random.Random) -> str:
    """Swap, drop or double a letter inside a word."""
    words = text.split(" ")
    places = [
        place
        for place, word in enumerate(words)
        if len(word) >= _SHORTEST and word.isascii() and word.isalpha()
    ]
    if not places:
        return text
    place = rng.choice(places)
    word = words[place]
    at = rng.randrange(1, len(word) - 1)
    words[place] = rng.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        )
    )
    return " ".join(words)


def _shout(text: str, rng: random.Random) -> str:
    return rng.choice((str.upper, str.title, str.capitalize))(text)


def _without_accents(text: str, _: random.Random) -> str:
    if not all(character < "\u0250" for character in text):
        return text
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _with_emoji(text: str, rng: random.Random) -> str:
    return f"{text} {rng.choice(_EMOJI)}" if rng.random() < 0.5 else f"{rng.choice(_EMOJI)} {text}"


def _run_on(text: str, _: random.Random) -> str:
    return text.replace(",", "").replace("'", "")
