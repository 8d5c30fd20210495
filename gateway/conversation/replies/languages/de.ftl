# See en.ftl.

sentence-gap = { " " }
condition-gap = { "; " }
capital-nouns = yes

## What was found
found = { $count ->
    [one] Ein Produkt passt: { $conditions }.
   *[other] { $count } Produkte passen: { $conditions }.
}
found-some = Alle passen: { $conditions }.
nearest = Am nächsten an deinen Worten: „{ $words }“.
like-picture = Diese sehen deinem Bild am ähnlichsten.
like-picture-changed = Diese ähneln deinem Bild, mit dieser Änderung: „{ $change }“.
like-product = Diese ähneln dem gewählten Produkt am meisten.
like-product-changed = Diese ähneln dem gewählten Produkt, mit dieser Änderung: „{ $change }“.
reference = Gewählt ist: { $title }.
page = Das sind die Nummern { $first } bis { $last }.
page-of = Das sind die Nummern { $first } bis { $last } von { $count }.
page-end = Das war alles; mehr gibt es nicht.

## What no product satisfies, what was left out, and why
none = Kein Produkt passt: { $conditions }.
none-at-all = Ich habe kein Produkt gefunden.
lowest = Das Niedrigste im Katalog ist { $number } ({ $label }).
highest = Das Höchste im Katalog ist { $number } ({ $label }).
relaxed = Kein Produkt hat alles, was du suchst; weggelassen ist: { $conditions }.
excluded = Ohne das, was dir nicht gefiel: { $conditions }.
not-excluded = Jedes passende Produkt hat, was dir nicht gefiel: { $conditions }.
words-excluded = Keines davon hat, soweit der Katalog es sagt: „{ $words }“.
words-not-excluded = Jedes passende Produkt hat, soweit der Katalog es sagt: „{ $words }“.
as-said = Ich habe deine Worte so gesucht, wie sie sind.
sorted-up = Aufsteigend sortiert: { $label }.
sorted-down = Absteigend sortiert: { $label }.
sorted-nearest = Es passen zu viele Produkte, um alle zu sortieren; das sind die nächsten.

## A next step
next-wider = Versuche es ohne eine dieser Bedingungen.
next-words = Versuche es mit anderen Worten.
next-more = Sage „zeig mir mehr“, um die nächsten zu sehen.
next-narrow = Du kannst weiter eingrenzen: { $fields }.

## Products side by side
compared = { $count ->
    [one] Das sagt der Katalog dazu.
   *[other] Hier sind { $count } Produkte nebeneinander.
}
one-price = Alle kosten { $price }.
cheapest = Das günstigste kostet { $price }: { $title }.
differ = Unterschiede gibt es bei { $fields }.
answer-yes = Ja: { $conditions }.
answer-no = Nein, das trifft nicht zu: { $conditions }.
answer-has = Der Katalog nennt dafür: { $conditions }.
answer-others = { $count ->
    [0] Kein anderes Produkt dieser Art hat das.
    [one] Ein anderes Produkt dieser Art hat das.
   *[other] { $count } andere Produkte dieser Art haben das.
}
answer-unsaid = Der Katalog sagt nicht, ob das zutrifft: { $conditions }.
described = Das ist: { $title }.
details = Der Katalog sagt: { $details }.

## What the catalogue holds
fact-count = { $count ->
    [0] Nein, kein Produkt hat { $label } { $value }.
    [one] Ja, ein Produkt hat { $label } { $value }.
   *[other] Ja, { $count } Produkte haben { $label } { $value }.
}
fact-true = { $count ->
    [0] Kein Produkt hat das: { $label }.
    [one] Ein Produkt hat das: { $label }.
   *[other] { $count } Produkte haben das: { $label }.
}
fact-range = Von { $lowest } bis { $highest } ({ $label }).
fact-values = Zur Auswahl ({ $label }): { $values }.
ask-anything = Sage, was du suchst, und ich zeige, was es gibt.

## Conditions
condition-is = { $label } { $values }
condition-not = { $label } nicht { $values }
condition-below = { $label } unter { $number }
condition-at-most = { $label } höchstens { $number }
condition-above = { $label } über { $number }
condition-at-least = { $label } mindestens { $number }
condition-between = { $label } { $lowest } bis { $highest }
condition-true = { $label }: ja
condition-false = { $label }: nein
