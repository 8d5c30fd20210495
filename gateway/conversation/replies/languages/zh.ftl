# See en.ftl.

sentence-gap = { "" }
condition-gap = { "；" }
capital-nouns = no

## What was found
found = 有 { $count } 件商品符合：{ $conditions }。
found-some = 这些商品都符合：{ $conditions }。
nearest = 最接近你说的“{ $words }”。
like-picture = 这些与你的图片最相似。
like-picture-changed = 这些与你的图片相似，并按你说的改变：“{ $change }”。
like-product = 这些与你选的商品最相似。
like-product-changed = 这些与你选的商品相似，并按你说的改变：“{ $change }”。
reference = 你选的是：{ $title }。
page = 这是第 { $first } 到第 { $last } 件。
page-of = 这是 { $count } 件中的第 { $first } 到第 { $last } 件。
page-end = 就这些，没有更多了。

## What no product satisfies, what was left out, and why
none = 没有商品符合：{ $conditions }。
none-at-all = 没有找到商品。
lowest = 目录中最低的是 { $number }（{ $label }）。
highest = 目录中最高的是 { $number }（{ $label }）。
relaxed = 没有商品满足全部要求，所以没有考虑：{ $conditions }。
excluded = 已去掉你不喜欢的：{ $conditions }。
not-excluded = 符合的商品都有你不喜欢的：{ $conditions }。
words-excluded = 据目录所写，这些商品都没有：“{ $words }”。
words-not-excluded = 据目录所写，符合条件的商品都有：“{ $words }”。
as-said = 我按你的原话进行了搜索。
sorted-up = 从低到高排列：{ $label }。
sorted-down = 从高到低排列：{ $label }。
sorted-nearest = 符合的商品太多，无法全部排序；这些是最接近的。

## A next step
next-wider = 可以去掉其中一个条件再试。
next-words = 可以换个说法再试。
next-more = 说“更多”就能看到后面的商品。
next-narrow = 可以进一步缩小范围：{ $fields }。

## Products side by side
compared = { $count ->
    [1] 目录中的信息如下。
   *[other] 这是并排比较的 { $count } 件商品。
}
one-price = 价格都是 { $price }。
cheapest = 最便宜的是 { $price }：{ $title }。
differ = 不同之处：{ $fields }。
answer-yes = 是的：{ $conditions }。
answer-no = 不是：{ $conditions }。
answer-has = 它是：{ $conditions }。
answer-others = { $count ->
    [0] 同类商品里没有符合的。
   *[other] 同类商品里有 { $count } 件符合。
}
answer-unsaid = 目录里没有说明是否如此：{ $conditions }。
described = 这是：{ $title }。
details = 目录中的信息：{ $details }。

## What the catalogue holds
fact-count = { $count ->
    [0] 没有，没有商品的{ $label }是 { $value }。
   *[other] 有，{ $count } 件商品的{ $label }是 { $value }。
}
fact-true = { $count ->
    [0] 没有商品具备：{ $label }。
   *[other] 有 { $count } 件商品具备：{ $label }。
}
fact-range = 从 { $lowest } 到 { $highest }（{ $label }）。
fact-values = 可选的{ $label }：{ $values }。
ask-anything = 请说你在找什么，我来展示有哪些商品。

## Conditions
condition-is = { $label }为 { $values }
condition-not = { $label }不要{ $values }
condition-below = { $label }低于 { $number }
condition-at-most = { $label }最多 { $number }
condition-above = { $label }高于 { $number }
condition-at-least = { $label }至少 { $number }
condition-between = { $label } { $lowest } 到 { $highest }
condition-true = { $label }：是
condition-false = { $label }：否
