"""Words of small talk and of a shop's business, in English and Spanish: what tells a question from a wish for a thing."""

from rewriter.nlu.words import stem

_ENGLISH = (
    "order parcel package delivery deliver shipping ship shipped shipment courier post refund return exchange warranty guarantee "
    "invoice receipt payment pay paid paypal visa mastercard amex bitcoin klarna credit debit cash cheque instalment voucher coupon "
    "discount loyalty newsletter sale store shop branch outlet boutique showroom open opening close closing hour address email "
    "password account login website app customer support service agent human person robot bot ai machine computer assistant manager "
    "staff employee someone somebody complain complaint weather rain sunny joke riddle song sing story poem name old alive sleep "
    "president capital news recipe sizing wash washable iron restock track tracking cancel arrive arrived late lost damaged broken "
    "stolen charged tax vat import wrap wrapping morning evening afternoon day night hello hi hey everyone everybody folk team friend "
    "dear sir madam mate buddy pal meet life language speak talk feel love marry stupid smart sorry privacy data cookie job hiring "
    "time instagram facebook won win game match score football election king queen world war math plus equal translate spell cook dinner "
    "lunch hungry flight hotel taxi train music movie film alarm"
)
_SPANISH = (
    "pedido paquete envío envio enviar entrega reembolso devolver devolución devolucion cambio pagar pago tarjeta efectivo factura "
    "cuenta contraseña dirección direccion tienda horario abrís abren abre cerráis garantía garantia descuento rebajas lavar robot "
    "humano persona máquina llamas hora tiempo llover chiste cuento canción buenos días dias buenas tardes noches amigo amiga todos "
    "encargo compra correo teléfono política politica capital partido trabajo idioma hablar habla"
)

TALK = frozenset(stem(word) for word in f"{_ENGLISH} {_SPANISH}".split())
"""By stem. A turn that holds none of them, and a word that nobody knows, may well want that very thing."""
