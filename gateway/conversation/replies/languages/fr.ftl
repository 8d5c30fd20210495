# See en.ftl.

sentence-gap = { " " }
condition-gap = { " ; " }
capital-nouns = no

## What was found
found = { $count ->
    [one] { $count } produit convient : { $conditions }.
   *[other] { $count } produits conviennent : { $conditions }.
}
found-some = Tous conviennent : { $conditions }.
nearest = Au plus près de vos mots : « { $words } ».
like-picture = Voici ceux qui ressemblent le plus à votre photo.
like-picture-changed = Ceux-ci ressemblent à votre photo, avec ce changement : « { $change } ».
like-product = Voici ceux qui ressemblent le plus au produit choisi.
like-product-changed = Ceux-ci ressemblent au produit choisi, avec ce changement : « { $change } ».
reference = Vous avez choisi : { $title }.
page = Voici les numéros { $first } à { $last }.
page-of = Voici les numéros { $first } à { $last } sur { $count }.
page-end = C’était tout ; il n’y en a plus.

## What no product satisfies, what was left out, and why
none = Aucun produit ne convient : { $conditions }.
none-at-all = Je n’ai trouvé aucun produit.
lowest = Le minimum du catalogue est { $number } ({ $label }).
highest = Le maximum du catalogue est { $number } ({ $label }).
relaxed = Aucun produit n’a tout ce que vous demandez ; j’ai laissé de côté : { $conditions }.
excluded = Sans ce qui ne vous a pas plu : { $conditions }.
not-excluded = Tous les produits qui conviennent ont ce qui ne vous a pas plu : { $conditions }.
words-excluded = D’après le catalogue, aucun de ces produits n’a : « { $words } ».
words-not-excluded = D’après le catalogue, tous les produits qui conviennent ont : « { $words } ».
as-said = J’ai cherché vos mots tels quels.
sorted-up = Par ordre croissant : { $label }.
sorted-down = Par ordre décroissant : { $label }.
sorted-nearest = Trop de produits conviennent pour les trier tous ; voici les plus proches.

## A next step
next-wider = Essayez sans l’une de ces conditions.
next-words = Essayez avec d’autres mots.
next-more = Dites « voir plus » pour voir les suivants.
next-narrow = Vous pouvez affiner : { $fields }.

## Products side by side
compared = { $count ->
    [one] Voici ce que dit le catalogue.
   *[other] Voici { $count } produits côte à côte.
}
one-price = Tous coûtent { $price }.
cheapest = Le moins cher coûte { $price } : { $title }.
differ = Ils diffèrent en ceci : { $fields }.
answer-yes = Oui : { $conditions }.
answer-no = Non, pas ceci : { $conditions }.
answer-has = Il a : { $conditions }.
answer-others = { $count ->
    [0] Aucun autre produit de ce genre ne l’a.
    [one] Un autre produit de ce genre l’a.
   *[other] { $count } autres produits de ce genre l’ont.
}
answer-unsaid = Le catalogue ne dit pas si c’est le cas : { $conditions }.
described = Voici : { $title }.
details = Le catalogue dit : { $details }.

## What the catalogue holds
fact-count = { $count ->
    [0] Non, aucun produit n’a { $label } { $value }.
    [one] Oui, un produit a { $label } { $value }.
   *[other] Oui, { $count } produits ont { $label } { $value }.
}
fact-true = { $count ->
    [0] Aucun produit ne l’a : { $label }.
    [one] Un produit l’a : { $label }.
   *[other] { $count } produits l’ont : { $label }.
}
fact-range = De { $lowest } à { $highest } ({ $label }).
fact-values = Au choix ({ $label }) : { $values }.
ask-anything = Dites ce que vous cherchez, et je montre ce qu’il y a.

## Conditions
condition-is = { $label } { $values }
condition-not = { $label } pas { $values }
condition-below = { $label } moins de { $number }
condition-at-most = { $label } au plus { $number }
condition-above = { $label } plus de { $number }
condition-at-least = { $label } au moins { $number }
condition-between = { $label } de { $lowest } à { $highest }
condition-true = { $label } : oui
condition-false = { $label } : non
