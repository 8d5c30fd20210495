# Replies to shoppers, in Project Fluent's syntax (https://projectfluent.org). A language is a file of this folder, named
# by its code (ISO 639), with the messages of this one and the same variables.
#
# $conditions is a list such as "colour red; price under £50.00", $label the name of a field, $value, $values and $title
# are the catalogue's own words and stand at the end of a sentence.

# Between two sentences, and between two conditions.
sentence-gap = { " " }
condition-gap = { "; " }

# Whether every noun is written with a capital, so that a capital marks no name: yes or no.
capital-nouns = no

## What was found
found = { $count ->
    [one] One product fits: { $conditions }.
   *[other] { $count } products fit: { $conditions }.
}
found-some = All of these fit: { $conditions }.
nearest = Closest to your words: “{ $words }”.
like-picture = These look most like your picture.
like-picture-changed = These look most like your picture with this change: “{ $change }”.
like-product = These are most like the product you chose.
like-product-changed = These are like the product you chose, with this change: “{ $change }”.
reference = You chose: { $title }.
page = These are numbers { $first } to { $last }.
page-of = These are numbers { $first } to { $last } of { $count }.
page-end = That was all; there are no more.

## What no product satisfies, what was left out, and why
none = No product fits: { $conditions }.
none-at-all = I found no product.
lowest = The lowest in the catalogue is { $number } ({ $label }).
highest = The highest in the catalogue is { $number } ({ $label }).
relaxed = No product has all you asked for, so I left this out: { $conditions }.
excluded = Without what you did not like: { $conditions }.
not-excluded = Every product that fits has what you did not like: { $conditions }.
words-excluded = None of these, as far as the catalogue says, has: “{ $words }”.
words-not-excluded = Every product that fits has this, by what the catalogue says: “{ $words }”.
as-said = I searched your words just as they are.
sorted-up = Sorted by { $label }, lowest first.
sorted-down = Sorted by { $label }, highest first.
sorted-nearest = Too many products fit to put them all in order; these are the nearest ones.

## A next step
next-wider = Try it without one of these conditions.
next-words = Try other words.
next-more = Say “show me more” to see the next ones.
next-narrow = You can narrow it down by { $fields }.

## Products side by side
compared = { $count ->
    [one] Here is what the catalogue says of it.
   *[other] Here are { $count } products side by side.
}
one-price = All of them cost { $price }.
cheapest = The cheapest costs { $price }: { $title }.
differ = They differ in { $fields }.
answer-yes = Yes: { $conditions }.
answer-no = No, not this: { $conditions }.
answer-has = It has: { $conditions }.
answer-others = { $count ->
    [0] No other product of its kind has it.
    [one] One other product of its kind has it.
   *[other] { $count } others of its kind have it.
}
answer-unsaid = The catalogue does not say whether this is so: { $conditions }.
described = This is: { $title }.
details = The catalogue says: { $details }.

## What the catalogue holds
fact-count = { $count ->
    [0] No, no product has { $label } { $value }.
    [one] Yes, one product has { $label } { $value }.
   *[other] Yes, { $count } products have { $label } { $value }.
}
fact-true = { $count ->
    [0] No product has this: { $label }.
    [one] One product has this: { $label }.
   *[other] { $count } products have this: { $label }.
}
fact-range = From { $lowest } to { $highest } ({ $label }).
fact-values = The choices for { $label }: { $values }.
ask-anything = Say what you are looking for, and I show what there is.

## Conditions
condition-is = { $label } { $values }
condition-not = { $label } not { $values }
condition-below = { $label } under { $number }
condition-at-most = { $label } at most { $number }
condition-above = { $label } over { $number }
condition-at-least = { $label } at least { $number }
condition-between = { $label } { $lowest } to { $highest }
condition-true = { $label }: yes
condition-false = { $label }: no
