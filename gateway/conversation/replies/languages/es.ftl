# See en.ftl.

sentence-gap = { " " }
condition-gap = { "; " }
capital-nouns = no

## What was found
found = { $count ->
    [one] Encontré un producto: { $conditions }.
   *[other] Encontré { $count } productos: { $conditions }.
}
found-some = Todos cumplen: { $conditions }.
nearest = Lo más parecido a tus palabras: «{ $words }».
like-picture = Estos son los que más se parecen a tu foto.
like-picture-changed = Estos se parecen a tu foto, con este cambio: «{ $change }».
like-product = Estos son los que más se parecen al producto que elegiste.
like-product-changed = Estos se parecen al producto que elegiste, con este cambio: «{ $change }».
reference = Elegiste: { $title }.
page = Estos son los números { $first } a { $last }.
page-of = Estos son los números { $first } a { $last } de { $count }.
page-end = Eso era todo; no hay más.

## What no product satisfies, what was left out, and why
none = Ningún producto cumple: { $conditions }.
none-at-all = No encontré ningún producto.
lowest = El mínimo del catálogo es { $number } ({ $label }).
highest = El máximo del catálogo es { $number } ({ $label }).
relaxed = Ningún producto tiene todo lo que pides, así que dejé fuera: { $conditions }.
excluded = Sin lo que no te gustó: { $conditions }.
not-excluded = Todos los productos que cumplen tienen lo que no te gustó: { $conditions }.
words-excluded = Según el catálogo, ninguno de estos tiene: “{ $words }”.
words-not-excluded = Según el catálogo, todos los productos que encajan tienen: “{ $words }”.
as-said = Busqué tus palabras tal como están.
sorted-up = De menor a mayor: { $label }.
sorted-down = De mayor a menor: { $label }.
sorted-nearest = Son demasiados productos para ordenarlos todos; estos son los más cercanos.

## A next step
next-wider = Prueba sin una de estas condiciones.
next-words = Prueba con otras palabras.
next-more = Di «muéstrame más» para ver los siguientes.
next-narrow = Puedes afinar la búsqueda por { $fields }.

## Products side by side
compared = { $count ->
    [one] Esto es lo que dice el catálogo.
   *[other] Aquí tienes { $count } productos, uno al lado del otro.
}
one-price = Todos cuestan { $price }.
cheapest = El más barato cuesta { $price }: { $title }.
differ = Se diferencian en { $fields }.
answer-yes = Sí: { $conditions }.
answer-no = No, esto no: { $conditions }.
answer-has = Tiene: { $conditions }.
answer-others = { $count ->
    [0] Ningún otro producto de su clase lo tiene.
    [one] Otro producto de su clase lo tiene.
   *[other] Otros { $count } productos de su clase lo tienen.
}
answer-unsaid = El catálogo no dice si es así: { $conditions }.
described = Esto es: { $title }.
details = El catálogo dice: { $details }.

## What the catalogue holds
fact-count = { $count ->
    [0] No, ningún producto tiene { $label } { $value }.
    [one] Sí, un producto tiene { $label } { $value }.
   *[other] Sí, { $count } productos tienen { $label } { $value }.
}
fact-true = { $count ->
    [0] Ningún producto lo tiene: { $label }.
    [one] Un producto lo tiene: { $label }.
   *[other] { $count } productos lo tienen: { $label }.
}
fact-range = De { $lowest } a { $highest } ({ $label }).
fact-values = Opciones de { $label }: { $values }.
ask-anything = Dime qué buscas y te muestro lo que hay.

## Conditions
condition-is = { $label } { $values }
condition-not = { $label } no { $values }
condition-below = { $label } menos de { $number }
condition-at-most = { $label } como máximo { $number }
condition-above = { $label } más de { $number }
condition-at-least = { $label } al menos { $number }
condition-between = { $label } de { $lowest } a { $highest }
condition-true = { $label }: sí
condition-false = { $label }: no
