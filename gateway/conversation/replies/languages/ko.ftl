# See en.ftl.

sentence-gap = { " " }
condition-gap = { "; " }
capital-nouns = no

## What was found
found = 상품 { $count }개를 찾았습니다: { $conditions }.
found-some = 모두 조건에 맞습니다: { $conditions }.
nearest = 말씀하신 것에 가장 가까운 상품입니다: “{ $words }”.
like-picture = 사진과 가장 비슷한 상품입니다.
like-picture-changed = 사진과 비슷하면서 이렇게 바꾼 상품입니다: “{ $change }”.
like-product = 고르신 상품과 가장 비슷한 상품입니다.
like-product-changed = 고르신 상품과 비슷하면서 이렇게 바꾼 상품입니다: “{ $change }”.
reference = 고르신 상품: { $title }.
page = { $first }번부터 { $last }번까지입니다.
page-of = { $count }개 가운데 { $first }번부터 { $last }번까지입니다.
page-end = 이것이 전부이며, 더는 없습니다.

## What no product satisfies, what was left out, and why
none = 조건에 맞는 상품이 없습니다: { $conditions }.
none-at-all = 상품을 찾지 못했습니다.
lowest = 카탈로그에서 가장 낮은 것은 { $number }입니다({ $label }).
highest = 카탈로그에서 가장 높은 것은 { $number }입니다({ $label }).
relaxed = 모든 조건에 맞는 상품이 없어 다음은 뺐습니다: { $conditions }.
excluded = 마음에 들지 않으신 것은 뺐습니다: { $conditions }.
not-excluded = 조건에 맞는 상품에는 모두 마음에 들지 않으신 것이 있습니다: { $conditions }.
as-said = 말씀하신 그대로 찾았습니다.
sorted-up = 낮은 순서입니다: { $label }.
sorted-down = 높은 순서입니다: { $label }.
sorted-nearest = 상품이 너무 많아 모두 정렬하지 못했으며, 가장 가까운 것들입니다.

## A next step
next-wider = 조건을 하나 빼고 찾아보세요.
next-words = 다른 말로 찾아보세요.
next-more = “더 보여줘”라고 하시면 다음 상품을 보여 드립니다.
next-narrow = 더 좁혀 찾을 수 있습니다: { $fields }.

## Products side by side
compared = { $count ->
    [1] 카탈로그에는 이렇게 나와 있습니다.
   *[other] 상품 { $count }개를 나란히 보여 드립니다.
}
one-price = 모두 { $price }입니다.
cheapest = 가장 싼 것은 { $price }입니다: { $title }.
differ = 다른 점: { $fields }.
described = 상품 이름: { $title }.
details = 카탈로그 정보: { $details }.

## What the catalogue holds
fact-count = { $count ->
    [0] 아니요, 해당하는 상품이 없습니다({ $label } { $value }).
   *[other] 네, 상품 { $count }개가 있습니다({ $label } { $value }).
}
fact-true = { $count ->
    [0] 해당하는 상품이 없습니다: { $label }.
   *[other] 상품 { $count }개가 해당합니다: { $label }.
}
fact-range = { $lowest }부터 { $highest }까지입니다({ $label }).
fact-values = 선택할 수 있는 { $label }: { $values }.
ask-anything = 무엇을 찾으시는지 말씀해 주시면 있는 것을 보여 드립니다.

## Conditions
condition-is = { $label } { $values }
condition-not = { $label } { $values } 제외
condition-below = { $label } { $number } 미만
condition-at-most = { $label } 최대 { $number }
condition-above = { $label } { $number } 초과
condition-at-least = { $label } 최소 { $number }
condition-between = { $label } { $lowest }부터 { $highest }까지
condition-true = { $label }: 예
condition-false = { $label }: 아니요
