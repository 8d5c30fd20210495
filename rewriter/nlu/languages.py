"""What Spanish, Chinese and Korean call the values that the router knows in English. Tables alone.

In the Spanish column `rojo*` stands for the four endings of an adjective, `azul+` for the word and its plural.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

_NAMES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {  # colours
        "black": ("negro*", "黑色|黑", "검은색|검정색|검은|검정|블랙"),
        "white": ("blanco*", "白色|白", "하얀색|흰색|하얀|흰|화이트"),
        "grey": ("gris+", "灰色|灰", "회색|그레이"),
        "red": ("rojo*", "红色|大红|红", "빨간색|빨강|빨간|레드"),
        "burgundy": ("granate+|burdeos", "酒红色|酒红", "와인색|버건디|자주색"),
        "pink": ("rosa+|rosado*", "粉红色|粉色|粉红", "분홍색|분홍|핑크색|핑크"),
        "orange": ("naranja+|anaranjado*", "橙色|橘色", "주황색|주황|오렌지색"),
        "yellow": ("amarillo*", "黄色|黄", "노란색|노랑|노란"),
        "green": ("verde+", "绿色|绿", "초록색|녹색|초록|그린"),
        "olive": ("oliva+", "橄榄色|橄榄绿", "올리브색|올리브"),
        "teal": ("turquesa+", "青色|蓝绿色", "청록색|청록"),
        "blue": ("azul+", "蓝色|蓝", "파란색|파랑|파란|블루"),
        "navy": ("azul marino|marino+", "藏青色|深蓝色|海军蓝|藏青", "남색|네이비색|네이비"),
        "purple": ("morado*|violeta+|púrpura+", "紫色|紫", "보라색|보라|퍼플"),
        "brown": ("marrón|marrones|marron|café+", "棕色|褐色|咖啡色", "갈색|브라운"),
        "beige": ("beis", "米色|米白色|杏色", "베이지색|베이지"),
        # patterns
        "plain": ("liso*|sin estampado", "纯色|素色", "무지|민무늬|단색"),
        "striped": ("de rayas|a rayas|rayas|rayado*", "条纹", "줄무늬|스트라이프"),
        "polka-dot": ("de lunares|a lunares|lunares|de puntos", "波点|圆点", "물방울무늬|물방울|도트|땡땡이"),
        "checked": ("de cuadros|a cuadros|cuadros", "格子|格纹", "체크무늬|체크"),
        "floral": ("de flores|floral|florales|flores|floreado*", "碎花|花朵|印花", "꽃무늬|플로럴"),
        # categories
        "dress": ("vestido|vestidos", "连衣裙|裙装", "원피스|드레스"),
        "top": ("top tops|parte de arriba", "上衣", "상의|탑"),
        "skirt": ("falda|faldas", "半身裙|裙子|短裙", "치마|스커트"),
        "jacket": ("chaqueta|chaquetas|cazadora|cazadoras", "夹克|外套", "재킷|자켓"),
        "trousers": ("pantalón|pantalones|pantalon", "长裤|裤子", "바지|팬츠"),
        "shoes": ("zapato|zapatos|calzado", "鞋子|鞋", "신발|구두"),
        "bag": ("bolso|bolsos|bolsa|bolsas", "包包|包", "가방|백"),
        "hat": ("sombrero|sombreros", "帽子", "모자"),
        # kinds
        "sneakers": ("zapatillas|zapatilla|tenis|deportivas", "运动鞋|球鞋", "운동화|스니커즈"),
        "boots": ("botas|bota|botines", "靴子|长靴", "부츠"),
        "heels": ("tacones|zapatos de tacón", "高跟鞋", "하이힐|힐"),
        "sandals": ("sandalias|sandalia", "凉鞋", "샌들"),
        "loafers": ("mocasines|mocasín", "乐福鞋", "로퍼"),
        "backpack": ("mochila|mochilas", "双肩包|背包", "백팩|배낭"),
        "handbag": ("bolso de mano", "手提包", "핸드백"),
        "clutch": ("cartera de mano|clutch", "手拿包", "클러치"),
        "cap": ("gorra|gorras", "棒球帽|鸭舌帽", "야구모자|캡모자"),
        "beanie": ("gorro|gorros", "毛线帽", "비니"),
        "shirt": ("camisa|camisas", "衬衫", "셔츠"),
        "jeans": ("vaqueros|tejanos|jeans", "牛仔裤", "청바지"),
        # styles
        "sleeveless": ("sin mangas", "无袖", "민소매"),
        "short-sleeve": ("de manga corta|manga corta|con mangas cortas|mangas cortas", "短袖", "반팔|짧은 소매"),
        "long-sleeve": ("de manga larga|manga larga|con mangas largas|mangas largas", "长袖", "긴팔|긴 소매"),
        "v-neck": ("cuello de pico|cuello en v", "v领", "브이넥"),
        "crew-neck": ("cuello redondo", "圆领", "라운드넥"),
        "turtleneck": ("cuello alto|cuello vuelto", "高领", "터틀넥|목폴라"),
        "mini": ("mini", "迷你|超短", "미니"),
        "midi": ("midi", "中长款|中长", "미디"),
        "maxi": ("maxi", "长款|及踝", "맥시|롱"),
        "cotton": ("de algodón|algodón|algodon", "纯棉|棉质|棉", "면|코튼"),
        "silk": ("de seda|seda", "真丝|丝绸", "실크"),
        "denim": ("vaquero*|de mezclilla", "牛仔", "데님"),
        "leather": ("de cuero|de piel|cuero|piel", "真皮|皮革|皮质", "가죽"),
        "wool": ("de lana|lana", "羊毛", "울|양모"),
        "knit": ("de punto", "针织", "니트"),
        "suede": ("de ante", "麂皮|绒面", "스웨이드"),
        "canvas": ("de lona|lona", "帆布", "캔버스"),
        "pleated": ("plisado*", "百褶", "주름"),
        "hooded": ("con capucha|capucha", "连帽|带帽子", "후드"),
        "wide-leg": ("de pierna ancha|pernera ancha", "阔腿", "와이드"),
        "skinny": ("pitillo|pitillos|ajustado*", "紧身|修身", "스키니"),
        # steps along a scale
        "longer": ("más largo*|mas largo*", "长一点|更长", "더 긴|더 길게"),
        "shorter": ("más corto*|mas corto*", "短一点|更短", "더 짧은|더 짧게"),
        # what is wrong with what was shown
        "too bright": ("demasiado brillante+|muy llamativo*|demasiado llamativo*", "太亮|太鲜艳|太艳", "너무 밝아요|너무 밝은|너무 튀어요|너무 화려해요"),
        "too dark": ("demasiado oscuro*|muy oscuro*", "太暗|太深", "너무 어두워요|너무 어두운|너무 칙칙해요"),
        "too busy": ("demasiado recargado*|muy recargado*", "太花|太花哨|图案太多", "너무 복잡해요|무늬가 너무 많아요"),
        "too tight": ("demasiado estrecho*|me aprieta|muy estrecho*", "太紧", "너무 꽉 껴요|너무 작아요|너무 타이트해요"),
        "too loose": ("demasiado ancho*|muy ancho*|me queda grande", "太松|太宽|太肥", "너무 커요|너무 헐렁해요"),
        "too thin": ("demasiado fino*|muy fino*", "太薄", "너무 얇아요"),
        "too heavy": ("demasiado pesado*|muy pesado*", "太厚|太重", "너무 두꺼워요|너무 무거워요"),
        "too formal": ("demasiado formal|muy formal", "太正式", "너무 격식 있어요|너무 정장 같아요"),
        # what shoppers add of their own
        "wedding": ("boda|bodas", "婚礼", "결혼식"),
        "party": ("fiesta|fiestas", "派对|聚会", "파티"),
        "office": ("oficina", "上班|办公室", "회사|사무실"),
        "beach": ("playa", "海边|沙滩", "해변|바닷가"),
        "summer": ("verano", "夏天|夏季", "여름"),
        "winter": ("invierno", "冬天|冬季", "겨울"),
        "pockets": ("bolsillos", "口袋", "주머니"),
    }
)  # fmt: skip

FAULTS_ABROAD = tuple(value for value in _NAMES if value.startswith("too "))

SCRIPTS = MappingProxyType({"zh": 1, "ko": 2})
SPANISH = 0

ORDINALS: Mapping[str, int] = MappingProxyType(
    {
        "primero": 1, "primera": 1, "primer": 1, "segundo": 2, "segunda": 2, "tercero": 3, "tercera": 3,
        "tercer": 3, "cuarto": 4, "cuarta": 4, "quinto": 5, "quinta": 5, "último": -1, "última": -1,
        "ultimo": -1, "ultima": -1,
        "第一": 1, "第二": 2, "第三": 3, "第四": 4, "第五": 5, "最后一": -1,
        "첫 번째": 1, "첫번째": 1, "두 번째": 2, "두번째": 2, "세 번째": 3, "세번째": 3, "네 번째": 4,
        "네번째": 4, "다섯 번째": 5, "다섯번째": 5, "마지막": -1,
    }
)  # fmt: skip
"""Positions among the products shown, as the router's ORDINALS are."""

_ES_WORDS = (
    "a al algo alguna alguno algún ante aquel aquella aquí así aunque ayuda bien bueno buenas buenos busca buscaba "
    "buscando buscar busco buscas cada caro cara caros caras barato barata baratos baratas cambia cambiar cambio "
    "cliente comparar compara como con cosa creo cual cuál cuáles cuanto cuánto cuesta cuestan da dame de del "
    "demasiado deme diferencia dime dinero día días donde dos el ella ellos en encuentra encuentrame encuéntrame "
    "encanta enseñame enséñame entonces envían era eres es esa esas ese eso esos esta estas este esto estos estoy "
    "está están existe favor foto fue gracias gusta gustan gustaría ha hace hacia hasta hay hola imagen igual la "
    "las le les lo los luego mas más me mejor menos mi mira misma mismo mismos mismas mostrar mostrarme mucho muy "
    "muéstrame muestrame máximo maximo mínimo nada necesito ni no nos nuevo nueva o oferta olvida olvídalo otra "
    "otras otro otros para parece parecido parecida parecidos parecidas pasar pero perdon perdón poco por porfa "
    "podrías podrias precio presupuesto primero puede puedes puedo pues que quería queria quiero quisiera qué "
    "quitar sabes se sea sean ser si sin sobre solo sólo son soy su sus sé sí talla también tan te tendrán tendrias "
    "tendrías tenéis tengo tiene tienen tienes todo todos tu un una unas uno unos usted va vale vamos ver verlo "
    "verla vez voy y ya yo adiós adios encontrar euros dólares dolares entre debajo encima similar similares "
    "devolver devolución envío pedido hacer haces significa quién quien eh oye pongan ponga vista alguien versión "
    "cambialo cámbialo cambiala cámbiala prefiero mejor odio quita excepto salvo tampoco estilo tipo color pedí "
    "comprar regalo ropa tienda buenas tardes noches hasta luego último tarde ayúdame busque mostrad enseña"
)
SPANISH_WORDS = frozenset(_ES_WORDS.split())
"""Spanish words that are scaffolding, so that none of them is taken for a wish."""


def names(column: int) -> Iterator[tuple[str, str]]:
    """Give each name of a tongue with the English value that it stands for."""
    for value, row in _NAMES.items():
        yield from ((name, value) for name in _expanded(row[column]))


def names_of(value: str, column: int) -> list[str]:
    """Give every name of an English value in a tongue; none for a value without any."""
    row = _NAMES.get(value)
    return list(_expanded(row[column])) if row else []


def _expanded(cell: str) -> Iterator[str]:
    """Read a cell: names between bars, with their endings written out."""
    for name in cell.split("|"):
        if name.endswith("*"):
            yield from (name[:-2] + ending for ending in ("o", "a", "os", "as"))
        elif name.endswith("+"):
            yield from (name[:-1], name[:-1] + ("s" if name[-2] in "aeiou" else "es"))
        else:
            yield name
