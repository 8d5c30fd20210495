"""Words that tell a mood, and those that ask for advice, in four tongues. Tables alone, read as patterns."""

import re

from rewriter.nlu.words import fold

_PRAISE = (
    r"love|loved|loves|lovely|perfect|wonderful|brilliant|beautiful|gorgeous|pretty|amazing|fantastic|superb|stunning|adorable"
    r"|excellent|cute|elegant|delighted|great|nice|awesome|cool|i like|i really like|i do like|we like"
    r"|looks? (?:good|great|nice)|favourite|in love|fond of|drawn to"
    r"|me gustan?|me encantan?|bonit[oa]s?|precios[oa]s?|genial|estupendo|perfecto|excelente"
)
_PRAISE_SCRIPT = (
    r"(?<!不)喜欢|好看|漂亮|不错|太好了|太棒|完美|真好|좋아요|좋네|좋은데|예뻐|예쁜데|마음에 들|완벽|최고"
)
_BLAME = (
    r"hates?|ugly|awful|terrible|horrible|dislike|boring|hideous|ghastly|disgusting|tacky|disappoint\w*|useless|worst|annoying|ugh"
    r"|yuck|can't stand|cannot stand|can't bear|don't like|doesn't suit|not for me|not my (?:thing|style)|detest|loathe|despise"
    r"|sick of|fed up|tired of|bored of|not a fan|(?:too|so|very|that's|quite|bit) (?:expensive|pricey|dear|costly|much)|can't afford"
    r"|overpriced|out of my budget|costs? too much|costs? a fortune"
    r"|odio|detesto|no soporto|fe[oa]s?|no me gustan?|(?:muy|demasiado|qué) car[oa]s?|es caro|son caros|carísim\w+|horrible"
)
_BLAME_SCRIPT = r"讨厌|不喜欢|受不了|丑|太贵|好贵|有点贵|贵了|贵死|这么贵|价格太高|难看|싫어|싫다|별로|비싸|비싼데|안 좋아|못생"
_ADVICE = r"recommend\w*|suggest\w*|advi[cs]e|advise me|should i|what suits|ideas|recomienda\w*|recomiéndame|sugiere|sugiéreme|aconseja\w*"
_ADVICE_SCRIPT = r"推荐|建议|추천|조언"
_WISHES = re.compile(r"i'?d (?:love|like) to|would (?:love|like)|me encantaría|me gustaría")
"""What is asked for politely is no praise."""

NEGATIVE = re.compile(rf"(?<!\w)(?:{_BLAME})(?!\w)|{_BLAME_SCRIPT}")
POSITIVE = re.compile(rf"(?<!\w)(?:{_PRAISE})(?!\w)|{_PRAISE_SCRIPT}")
CONSULTING = re.compile(rf"(?<!\w)(?:{_ADVICE})(?!\w)|{_ADVICE_SCRIPT}")


def mood_of(text: str) -> int:
    """Give 1 for praise, -1 for blame, which outweighs praise, and 0 for neither; thanks alone are politeness."""
    folded = _WISHES.sub(" ", fold(text))
    if NEGATIVE.search(folded):
        return -1
    return 1 if POSITIVE.search(folded) else 0


def asks_advice(text: str) -> bool:
    """Say whether the words ask for advice."""
    return CONSULTING.search(fold(text)) is not None
