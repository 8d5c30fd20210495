# See en.ftl.

sentence-gap = { " " }
condition-gap = { "; " }
capital-nouns = no

## What was found
found = 상품 { $count }개를 찾았어요: { $conditions }.
found-some = 모두 조건에 맞아요: { $conditions }.
nearest = 말씀하신 것에 가장 가까운 상품이에요: “{ $words }”.
like-picture = 사진과 가장 비슷한 상품이에요.
like-picture-changed = 사진과 비슷하면서 이렇게 바꾼 상품이에요: “{ $change }”.
like-product = 고르신 상품과 가장 비슷한 상품이에요.
like-product-changed = 고르신 상품과 비슷하면서 이렇게 바꾼 상품이에요: “{ $change }”.
reference = 고르신 상품: { $title }.
page = { $first }번부터 { $last }번까지예요.
page-of = { $count }개 가운데 { $first }번부터 { $last }번까지예요.
page-end = 이것이 전부이며, 더는 없어요.

## What no product satisfies, what was left out, and why
none = 조건에 맞는 상품이 없어요: { $conditions }.
none-at-all = 상품을 찾지 못했어요.
lowest = 카탈로그에서 가장 낮은 것은 { $number }예요({ $label }).
highest = 카탈로그에서 가장 높은 것은 { $number }예요({ $label }).
relaxed = 모든 조건에 맞는 상품이 없어 다음은 뺐어요: { $conditions }.
excluded = 마음에 들지 않으신 것은 뺐어요: { $conditions }.
not-excluded = 조건에 맞는 상품에는 모두 마음에 들지 않으신 것이 있어요: { $conditions }.
words-excluded = 카탈로그에 따르면 이 상품들에는 다음이 없어요: “{ $words }”.
words-not-excluded = 카탈로그에 따르면 맞는 상품에는 모두 다음이 있어요: “{ $words }”.
as-said = 말씀하신 그대로 찾았어요.
sorted-up = 낮은 순서예요: { $label }.
sorted-down = 높은 순서예요: { $label }.
sorted-nearest = 상품이 너무 많아 모두 정렬하지 못했고, 가장 가까운 것들이에요.

## A next step
next-wider = 조건을 하나 빼고 찾아보세요.
next-words = 다른 말로 찾아보세요.
next-more = “더 보여줘”라고 하시면 다음 상품을 보여 드려요.
next-narrow = 더 좁혀 찾을 수 있어요: { $fields }.

## Products side by side
compared = { $count ->
    [1] 카탈로그에는 이렇게 나와 있어요.
   *[other] 상품 { $count }개를 나란히 보여 드려요.
}
one-price = 모두 { $price }예요.
cheapest = 가장 싼 것은 { $price }예요: { $title }.
differ = 다른 점: { $fields }.
answer-yes = 네: { $conditions }.
answer-no = 아니요, 이것은 해당하지 않아요: { $conditions }.
answer-has = 이 상품은 다음과 같아요: { $conditions }.
answer-others = { $count ->
    [0] 같은 종류의 다른 상품에도 없어요.
   *[other] 같은 종류의 상품 { $count }개가 해당해요.
}
answer-unsaid = 카탈로그에는 이것이 맞는지 나와 있지 않아요: { $conditions }.
described = 상품 이름: { $title }.
details = 카탈로그 정보: { $details }.

## What the catalogue holds
fact-count = { $count ->
    [0] 아니요, 해당하는 상품이 없어요({ $label } { $value }).
   *[other] 네, 상품 { $count }개가 있어요({ $label } { $value }).
}
fact-true = { $count ->
    [0] 해당하는 상품이 없어요: { $label }.
   *[other] 상품 { $count }개가 해당해요: { $label }.
}
fact-range = { $lowest }부터 { $highest }까지예요({ $label }).
fact-values = 선택할 수 있는 { $label }: { $values }.
ask-anything = 무엇을 찾으시는지 말씀해 주시면 있는 것을 보여 드릴게요.

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
