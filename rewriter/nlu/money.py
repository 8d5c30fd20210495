"""Whether a turn speaks of money: without a word of price or bound, its numbers are sizes, models and years.

"size 10 dress" and "a top for a 2 year old" name numbers, and a price read from them would hide what is asked for. So a
number counts as money only in a turn that holds one of these words, in any of the four tongues, or an interval.
"""

import re

_ENGLISH = (
    r"under|below|beneath|sub|less|lower|cheaper|more|over|above|higher|upwards?|least|from|start\w*|begin\w*|min|minimum"
    r"|max|maximum|most|tops|between|up to|around|about|roughly|approximately|circa|near|close to|region|range|ish|or so"
    r"|give or take|something like|budget|spend\w*|pay\w*|cost\w*|pric\w*|limit\w*|cap\w*|within|past|stretch|exceed\w*"
    r"|wallet|afford\w*|and up|have|got|let's say|can do|ceiling|dollars?|pounds?|euros?|bucks?|quid|usd|gbp|eur"
)
_SPANISH = (
    r"menos|más|mas|debajo|encima|inferior|superior|hasta|máximo|maximo|mínimo|minimo|mucho|sumo|presupuesto|límite|limite"
    r"|entre|desde|partir|unos|alrededor|sobre|gast\w*|pag\w*|cuest\w*|precio\w*|tengo|pasar|de \d+ a \d+"
)
_CHINESE = r"以下|以上|以内|之内|之间|左右|上下|低于|高于|少于|多于|小于|大于|不到|不超过|超过|最多|最少|最高|最低|至少|顶多"
_CHINESE_MONEY = r"|预算|价|元|块|钱|便宜|贵|大概|差不多|只有|到|至|和|封顶|\d\s?起"
_KOREAN = r"미만|이하|이상|이내|초과|사이|까지|부터|에서|안쪽|밑으로|아래로|넘|예산|최대|최소|정도|쯤|약|내외|달러|원|싼|저렴|비싼|가격"

_MONEY = re.compile(
    rf"(?<!\w)(?:{_ENGLISH}|{_SPANISH})(?!\w)"
    rf"|{_CHINESE}{_CHINESE_MONEY}|{_KOREAN}"
    r"|[£$€<>]|\d\s?\+|\d\s?(?:-|\u2013|to|up to|~)\s?\d|\d\s?-?ish(?!\w)"
)


def speaks_of_money(text: str) -> bool:
    """Say whether folded text names a price, a bound or an interval."""
    return _MONEY.search(text) is not None
